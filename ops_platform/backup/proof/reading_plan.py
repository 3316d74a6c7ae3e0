"""Which stored objects to read next, and within which bounds. Pure.

Each object is due again a third of the retention after it was stored or last found sound. Nothing expires
before the retention is over, so each is read at least twice before it does, with a third to spare.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

READINGS_PER_RETENTION = 3
AHEAD = timedelta(days=1)
"""Pause between two runs: what would become due before the next is read in this one."""


@dataclass(frozen=True)
class StoredItem:
    """An object or a segment in the repository, and what is known of its readings.

    ``holder`` is the label of a set, or the archive id and the folder of a segment.
    """

    kind: str
    holder: str
    name: str
    size: int
    stored_at: datetime
    due_at: datetime
    read_at: datetime | None = None


@dataclass(frozen=True)
class Budget:
    """Bounds of one run. The first object is read whatever its size, so that each run gets on."""

    seconds: float
    bytes: int

    def allows(self, spent_seconds: float, spent_bytes: int, size: int) -> bool:
        """Tell whether an object of ``size`` bytes may be read after what was spent."""
        if spent_bytes == 0:
            return True
        return spent_seconds < self.seconds and spent_bytes + size <= self.bytes


@dataclass(frozen=True)
class Pace:
    """How long a reading counts, and the pause between two runs: what becomes due in it is read, too.

    ``scale`` turns a moment of the clocks, ours and the store's, into the plan's time: the same by default.
    """

    counts_for: timedelta
    ahead: timedelta = AHEAD
    scale: Callable[[datetime], datetime] | None = None

    def of(self, moment: datetime) -> datetime:
        """Return the plan's time of a moment."""
        return moment if self.scale is None else self.scale(moment)

    def now(self) -> datetime:
        """Return the plan's time now."""
        return self.of(datetime.now(UTC))


def period(retention: timedelta) -> timedelta:
    """Compute how long a reading counts."""
    return retention / READINGS_PER_RETENTION


def in_order(items: Iterable[StoredItem], now: datetime, ahead: timedelta = AHEAD) -> Iterator[StoredItem]:
    """Yield what to read at ``now``: what is due before the next run, then what was never read."""
    ordered = sorted(items, key=lambda item: item.due_at)
    yield from (item for item in ordered if item.due_at <= now + ahead)
    yield from (item for item in ordered if item.due_at > now + ahead and item.read_at is None)
