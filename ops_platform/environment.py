"""Environment variables as text, numbers, paths and secrets. Knows no setting by name.

Every ``NAME`` may be given as ``NAME_FILE`` instead, the path of a file that holds it.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import SecretStr

from ops_platform.errors import ConfigurationError


def read_environment_file(path: Path) -> dict[str, str]:
    """Lines ``NAME=value`` of an environment file; blank lines and ``#`` comments are passed over."""
    values = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            name, _, value = line.partition("=")
            values[name] = value
    return values


class Environment:
    """What is set. All methods raise ConfigurationError, which names the variable."""

    def __init__(self, environ: dict[str, str]) -> None:
        self.values = environ

    def text(self, name: str) -> str | None:
        """The value, or what is in the file that ``NAME_FILE`` names; None where neither is set."""
        value = self.values.get(name) or None
        path = self.values.get(f"{name}_FILE")
        if path is None:
            return value
        if value is not None:
            raise ConfigurationError(f"{name} and {name}_FILE are both set: keep one")
        try:
            return Path(path).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise ConfigurationError(f"{name}_FILE: cannot read {path}: {error.strerror}") from None

    def secret(self, name: str) -> SecretStr | None:
        # A secret file that this user may not read is no error until somebody needs the secret.
        try:
            value = self.text(name)
        except ConfigurationError:
            if not Path(self.values[f"{name}_FILE"]).exists() or self.values.get(name):
                raise
            return None
        return None if value is None else SecretStr(value)

    def path(self, name: str) -> Path | None:
        value = self.text(name)
        return None if value is None else Path(value)

    def number(self, name: str) -> float | None:
        value = self.text(name)
        if value is None:
            return None
        try:
            return float(value)
        except ValueError:
            raise ConfigurationError(f"{name} must be a number, not {value!r}") from None

    def choice(self, name: str, allowed: tuple[str, ...]) -> str | None:
        value = self.text(name)
        if value is not None and value not in allowed:
            raise ConfigurationError(f"{name} must be one of {', '.join(allowed)}, not {value!r}")
        return value

    def names(self, name: str) -> tuple[str, ...] | None:
        """Entries of a comma-separated list; None when there is none."""
        entries = (entry.strip() for entry in (self.text(name) or "").split(","))
        return tuple(entry for entry in entries if entry) or None
