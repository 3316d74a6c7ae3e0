"""Judging the times that events claim by the seals around them.

A transaction id that a seal's snapshot had not given yet was given later, so its events happened after that
seal; and an event happened before the seal that covers it. An id that ``next_xid`` of no seal bounds
(its transaction was open all the time) proves nothing about times.
"""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime, timedelta

from ops_platform.audit.encoding import Leaf
from ops_platform.audit.seal import Seal, moment

_UNIX = datetime(1970, 1, 1, tzinfo=UTC)
CLOCKS = timedelta(minutes=5)
"""Difference of the clocks of sealer and PostgreSQL, and the time that composing a seal takes."""
LONGEST_TRANSACTION = timedelta(days=1)
"""With seals of before ``next_xid``: an id at or above their end may have been given as long before them."""


class Dating:
    """The seals so far of one walk, of which each later event knows the last one before its transaction."""

    def __init__(self) -> None:
        self._coming: deque[tuple[int, Seal]] = deque()
        self._last: Seal | None = None

    def add(self, seal: Seal) -> None:
        """Take the next seal, after the events that it covers."""
        if seal.opens is not None:
            # Ids run again through numbers that were given before.
            self._coming.clear()
        self._coming.append((seal.to_xid if seal.next_xid is None else seal.next_xid, seal))

    def problem(self, event: Leaf, before: datetime) -> str | None:
        """Say what is wrong with the event's time; ``before`` is that of its seal, or now.

        Events come in the order of their transaction ids.
        """
        while self._coming and self._coming[0][0] <= event.xid:
            self._last = self._coming.popleft()[1]
        if event.occurred_us > _microseconds(before + CLOCKS):
            return f"is dated {_told(event)}, after its seal or now: forged, or a wrong clock"
        if self._last is None:
            return None
        since = moment(self._last.sealed_at)
        slack = LONGEST_TRANSACTION if self._last.next_xid is None else CLOCKS
        if event.occurred_us < _microseconds(since - slack):
            return (
                f"is dated {_told(event)}, but its transaction began after seal "
                f"{self._last.number} of {since:%Y-%m-%d %H:%M:%S} UTC: backdated"
            )
        return None


def time_of(event: Leaf) -> datetime | None:
    """Return the event's time; None for one that PostgreSQL can hold and Python cannot."""
    try:
        return _UNIX + timedelta(microseconds=event.occurred_us)
    except OverflowError:
        return None


def _told(event: Leaf) -> str:
    at = time_of(event)
    return f"{at:%Y-%m-%d %H:%M:%S} UTC" if at else f"{event.occurred_us} microseconds from 1970 on"


def _microseconds(moment: datetime) -> int:
    return (moment - _UNIX) // timedelta(microseconds=1)
