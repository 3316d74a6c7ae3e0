"""The endpoints that the agent asks as a user would: ``probes.yaml`` of the configuration directory."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ops_platform import lined_yaml
from ops_platform.errors import ConfigurationError
from ops_platform.settings import Settings

FILE = "probes.yaml"
MOST = 50
"""Endpoints that one agent asks: each has to be answered within the pause between two rounds."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Probe(_Strict):
    """One endpoint, and the answer that is right."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
    url: str
    status: Annotated[int, Field(ge=100, le=599)] = 200
    contains: str = ""
    """Text that the body must hold."""
    timeout_seconds: Annotated[float, Field(gt=0, le=10)] = 5.0


class _File(_Strict):
    probes: Annotated[list[Probe], Field(max_length=MOST)]


class ProbeList:
    """The probes of a configuration directory, read again when the file has changed."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._file = settings.config_dir / FILE
        self._stamp: tuple[int, int, int] | None = None
        self._probes: tuple[Probe, ...] = ()

    def probes(self) -> tuple[Probe, ...]:
        """Return the probes as the file is now; none where there is no file.

        Raises ConfigurationError, with file and line.
        """
        try:
            status = self._file.stat()
        except FileNotFoundError:
            self._stamp, self._probes = None, ()
            return ()
        except OSError as error:
            raise ConfigurationError(f"{self._file}: cannot be read ({error.strerror})") from None
        stamp = (status.st_ino, status.st_mtime_ns, status.st_size)
        if stamp != self._stamp:
            self._stamp = None
            self._probes = load(self._file, self._settings)
            self._stamp = stamp
        return self._probes


def load(file: Path, settings: Settings) -> tuple[Probe, ...]:
    """Read the file, with ``${NAME}`` in URLs replaced. Raises ConfigurationError, with file and line."""
    source = lined_yaml.load_one(file)
    try:
        listed = _File.model_validate(source.value).probes
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"]))
        raise ConfigurationError(
            f"{source.at(first['loc'])}: {name}: {lined_yaml.complaint(first)}"
        ) from None
    names: set[str] = set()
    probes = []
    for number, probe in enumerate(listed):
        at = source.at(("probes", number, "url"))
        url = settings.expand(probe.url, at)
        if not _is_http(url):
            raise ConfigurationError(
                f"{at}: the URL of {probe.name} must be http:// or https://, without user and password"
            )
        if probe.name in names:
            raise ConfigurationError(f"{at}: there are two probes {probe.name}: choose another name")
        names.add(probe.name)
        probes.append(probe.model_copy(update={"url": url}))
    return tuple(probes)


def _is_http(url: str) -> bool:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc
