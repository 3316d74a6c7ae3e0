"""Recovery targets in the words of PostgreSQL and pgBackRest, independent of sets and servers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from ops_platform.backup.wal import format_lsn, parse_lsn
from ops_platform.errors import ConfigurationError

TargetKind = Literal["latest", "immediate", "time", "lsn", "name", "xid"]

# What pg_create_restore_point takes: less than 64 bytes. Quotes and backslashes would need another
# syntax in postgresql.auto.conf.
_NAME = re.compile(r"[^\x00-\x1f'\\]{1,63}")
_XID = re.compile(r"[1-9]\d{0,9}")


@dataclass(frozen=True)
class RecoveryTarget:
    """The point at which recovery is to end.

    ``value`` is None for ``latest`` (the end of the archive) and ``immediate`` (consistency).
    """

    kind: TargetKind
    value: str | None = None

    @classmethod
    def latest(cls) -> RecoveryTarget:
        """Recover to the end of the archive."""
        return cls("latest")

    @classmethod
    def at(cls, moment: datetime) -> RecoveryTarget:
        """Recover to the last commit at or before ``moment``.

        Raises ConfigurationError when ``moment`` has no time zone.
        """
        if moment.tzinfo is None:
            raise ConfigurationError(f"the moment {moment} has no time zone: write one, for example +00")
        # Without a zone pgBackRest and PostgreSQL each would take their own.
        return cls("time", moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f+00"))

    @classmethod
    def parse(cls, kind: TargetKind, text: str) -> RecoveryTarget:
        """Read what somebody typed. Raises ConfigurationError that says what is wrong with it."""
        if kind == "time":
            return cls.at(_moment(text))
        if kind == "lsn":
            try:
                return cls("lsn", format_lsn(parse_lsn(text)))
            except ValueError:
                raise ConfigurationError(
                    f"{text!r} is not an LSN: write two hexadecimal numbers, as in 0/3000148"
                ) from None
        if kind == "xid" and not _XID.fullmatch(text):
            raise ConfigurationError(f"{text!r} is not a transaction id: write a positive number")
        if kind == "name" and not _NAME.fullmatch(text):
            raise ConfigurationError(
                f"{text!r} is not the name of a restore point: write 1 to 63 characters, "
                "no quote, no backslash"
            )
        if kind in ("latest", "immediate"):
            return cls(kind)
        return cls(kind, text)

    @property
    def moment(self) -> datetime | None:
        """The time of a ``time`` target."""
        return datetime.fromisoformat(self.value) if self.kind == "time" and self.value else None

    @property
    def lsn(self) -> int | None:
        """The position of an ``lsn`` target, as a number of bytes."""
        return parse_lsn(self.value) if self.kind == "lsn" and self.value else None

    def options(self, timeline: str | None = None) -> Sequence[str]:
        """Return arguments of ``pgbackrest restore``. ``timeline`` None: the newest there is."""
        options = [f"--type={'default' if self.kind == 'latest' else self.kind}"]
        if self.value is not None:
            options.append(f"--target={self.value}")
        if self.kind != "latest":
            # The default is to pause and wait for a person. Not valid with --type=default.
            options.append("--target-action=promote")
        if timeline is not None and self.kind != "immediate":
            options.append(f"--target-timeline={timeline}")
        return options

    def __str__(self) -> str:
        if self.kind == "latest":
            return "the end of the archive"
        if self.kind == "immediate":
            return "the end of the backup"
        return f"{self.kind} {self.value}"


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ConfigurationError(f"{text!r} is not a time: write it as in '2026-01-31 14:05:00+00'") from None
    if moment.tzinfo is None:
        raise ConfigurationError(f"{text!r} has no time zone: add one, for example '{text}+00' for UTC")
    try:
        moment.astimezone(UTC)
    except OverflowError:
        raise ConfigurationError(f"{text!r} is out of range: correct the year") from None
    return moment
