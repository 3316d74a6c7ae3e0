"""Recoverable window of a stanza: the stretch of time that can be restored on the living timeline, gapless.

It is measured from what the repository holds, and compared with what was promised and recorded. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from ops_platform.backup.monitoring.observation import Observation
from ops_platform.backup.repository import BackupSet


@dataclass(frozen=True)
class Window:
    """The window: from the end of ``first`` on; ``first`` is None when nothing can be restored.

    ``until`` is the end of the newest set that is part of it; usually recovery goes on from there.
    """

    first: BackupSet | None = None
    until: datetime | None = None

    def seconds(self, point: datetime | None) -> float:
        """Compute the length up to ``point``, the newest moment known to be recoverable; 0 if none."""
        if self.first is None or self.until is None:
            return 0.0
        end = self.until if point is None else max(self.until, point)
        return (end - self.first.completed_at).total_seconds()


def restorable_window(observation: Observation) -> Window:
    """Find the window: it begins with the oldest set that all of the archive up to its end continues.

    A gap in the archive, or a set that cannot be restored, cuts off what is before it.
    """
    archive, best = observation.archive, observation.best
    if archive is None or best is None or best[1].contiguous_last is None:
        return Window()
    end = best[1].contiguous_last.number
    gaps = () if observation.from_oldest is None else observation.from_oldest.gaps
    begin = max((gap.last.number + 1 for gap in gaps if gap.first.number <= end), default=0)
    for backup_set in observation.restorable():
        if archive.geometry.parse(backup_set.wal_start).number >= begin:
            return Window(backup_set, best[0].completed_at)
    return Window()


def expected_seconds(since: datetime, end: datetime, retention: timedelta) -> float:
    """Compute how long the window up to ``end`` has to be, if sets have been kept ``since`` that moment."""
    return max(0.0, min(retention, end - since).total_seconds())
