"""Lines of pgBackRest's log, and what the messages in them say."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

_LINE = re.compile(
    r"^(?P<logged>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+) P(?P<process>\d+) +(?P<level>[A-Z]+): (?P<text>.*)$"
)
_PERCENT = re.compile(r"^(?:backup|restore) file .*?, (?P<percent>\d+(?:\.\d+)?)%\)")
_NEW_LABEL = re.compile(r"^new backup label = (?P<label>\S+)")
_EXPIRED_SET = re.compile(r"remove expired backup (?P<label>\S+)")
_EXPIRED_WAL = re.compile(
    r"(?P<id>\S+) remove archive, start = (?P<start>[0-9A-F]{24}), stop = (?P<stop>[0-9A-F]{24})"
)


@dataclass(frozen=True)
class Line:
    """One line of pgBackRest's log: raw, its level, and its text without the prefix."""

    raw: str
    level: str
    text: str
    logged_at: datetime
    """In pgBackRest's local time, without a time zone."""

    @classmethod
    def parse(cls, raw: str) -> Line | None:
        """Read a line; None for one that goes on with the message before it."""
        match = _LINE.match(raw)
        if match is None:
            return None
        return cls(raw, match["level"], match["text"], datetime.fromisoformat(match["logged"]))

    @property
    def fraction(self) -> float | None:
        """The part of a backup or restore that was copied, 0 to 1; None in lines without it."""
        match = _PERCENT.match(self.text)
        return None if match is None else min(1.0, float(match["percent"]) / 100)

    @property
    def new_label(self) -> str | None:
        """The label that a backup gave its set; None in other lines."""
        match = _NEW_LABEL.match(self.text)
        return None if match is None else match["label"]


@dataclass(frozen=True)
class ArchiveRange:
    """Segments ``start`` to ``stop``, both included, of one archive id."""

    archive_id: str
    start: str
    stop: str


def expired_sets(messages: Iterable[str]) -> tuple[str, ...]:
    """Collect the labels of the sets that ``expire`` removes, in its order."""
    return tuple(match["label"] for message in messages if (match := _EXPIRED_SET.search(message)))


def expired_archive(messages: Iterable[str]) -> tuple[ArchiveRange, ...]:
    """Collect the WAL that ``expire`` removes."""
    return tuple(
        ArchiveRange(match["id"], match["start"], match["stop"])
        for message in messages
        if (match := _EXPIRED_WAL.search(message))
    )
