"""The file ``calendar.yaml`` of the configuration directory; without it, the one of this installation."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from ops_platform import files, lined_yaml
from ops_platform.errors import ConfigurationError
from ops_platform.housekeeping.calendar.definition import Calendar

FILE = "calendar.yaml"


@dataclass
class CalendarFile:
    """The calendar of a configuration directory, read again when its file has changed."""

    config_dir: Path
    _read: Calendar | None = None
    _stamp: tuple[Path, int, int] | None = None

    def calendar(self) -> Calendar:
        """Return the calendar as the file is now. Raises ConfigurationError, with file and line."""
        file = self.config_dir / FILE
        if not file.exists():
            file = files.default_config_dir() / FILE
        try:
            status = file.stat()
        except OSError as error:
            raise ConfigurationError(f"{file}: cannot be read ({error.strerror})") from None
        stamp = (file, status.st_mtime_ns, status.st_size)
        if self._read is None or stamp != self._stamp:
            self._read = _load(file)
            self._stamp = stamp
        return self._read


def load_calendar(config_dir: Path) -> Calendar:
    """Read the calendar of a configuration directory. Raises ConfigurationError, with file and line."""
    return CalendarFile(config_dir).calendar()


def _load(file: Path) -> Calendar:
    source = lined_yaml.load_one(file)
    try:
        return Calendar.model_validate(source.value or {})
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"]))
        raise ConfigurationError(
            f"{source.at(first['loc'])}: {name}: {lined_yaml.complaint(first)}"
        ) from None
