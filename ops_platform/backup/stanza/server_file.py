"""The file that servers archive with, as it is now: into which repositories, and with which options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ops_platform.errors import ConfigurationError

_PLACE = ("s3-endpoint", "s3-bucket", "path")


@dataclass(frozen=True)
class ServerFile:
    """Options by section of one such file; empty when there is none."""

    sections: Mapping[str, Mapping[str, str]]

    @classmethod
    def parse(cls, text: str) -> ServerFile:
        """Read the text of a file that ``pgbackrest_conf`` wrote."""
        sections: dict[str, dict[str, str]] = {}
        options: dict[str, str] = {}
        for line in text.splitlines():
            if line.startswith("[") and line.endswith("]"):
                options = sections.setdefault(line[1:-1], {})
            elif not line.startswith("#") and "=" in line:
                name, _, value = line.partition("=")
                options[name] = value
        return cls(sections)

    @classmethod
    def read(cls, path: Path) -> ServerFile:
        """Read the file at ``path``. Raises ConfigurationError when it cannot be read."""
        try:
            return cls.parse(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return cls({})
        except OSError as error:
            raise ConfigurationError(f"{path}: cannot be read ({error.strerror}): run as its owner") from None

    def place(self, number: int) -> tuple[str, ...] | None:
        """Tell where servers archive to as repository ``number``; None when they do not."""
        options = self.sections.get("global", {})
        found = [options.get(f"repo{number}-{name}") for name in _PLACE]
        return tuple(value for value in found if value is not None) if all(found) else None

    def treats_alike(self, other: ServerFile, number: int) -> bool:
        """Tell whether what is said here of a repository is said there too: keys, passphrases and all."""
        return all(
            _of(number, options) == _of(number, other.sections.get(section, {}))
            for section, options in self.sections.items()
        )


def _of(number: int, options: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in options.items() if name.startswith(f"repo{number}-")}
