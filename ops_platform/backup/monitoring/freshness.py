"""Age of the newest set of each kind, by the set's own stop time: a replayed run refreshes nothing.

A full counts as differential and incremental too, a differential as incremental. A limit is the
longest pause between due times of the kinds that count, plus a grace; with the default schedules
7 days 6 hours, 26 hours, 2 hours.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from ops_platform.backup.recovery_point import rpo
from ops_platform.backup.repository import BackupSet
from ops_platform.backup.stanza import KINDS, Kind, Stanza, longest_pause


@dataclass(frozen=True)
class Freshness:
    """Freshness of one scheduled kind; ``newest`` is None when no set counts for it.

    ``age_seconds`` is None then, and when the set is of the future: some clock is wrong, and no age known.
    """

    kind: Kind
    newest: BackupSet | None
    age_seconds: float | None
    limit_seconds: float

    @property
    def fresh(self) -> bool:
        """True when a set counts for the kind and is not older than the limit."""
        return self.age_seconds is not None and self.age_seconds <= self.limit_seconds

    @property
    def summary(self) -> str:
        """One line with the newest set, its age and the limit."""
        limit = timedelta(seconds=round(self.limit_seconds))
        if self.newest is None:
            return f"no set counts as {self.kind}; one is due every {limit}"
        if self.age_seconds is None:
            return (
                f"the newest set that counts as {self.kind} is {self.newest.label}, which ended in the "
                "future: correct the clock of the host that takes the backups, or of this one"
            )
        age = timedelta(seconds=round(self.age_seconds))
        return f"the newest set that counts as {self.kind} is {self.newest.label}, {age} old; limit {limit}"


def limits(stanza: Stanza) -> dict[Kind, float]:
    """Compute the age in seconds above which each scheduled kind is stale."""
    return {
        kind: (pause + grace(pause)).total_seconds()
        for kind in KINDS
        if stanza.schedules.get(kind) is not None
        for pause in (longest_pause(stanza.crons(kind)),)
    }


def grace(pause: timedelta) -> timedelta:
    """Allow for a late backup: 1 h when due every two hours or more often, 2 h when daily, 6 h when rarer."""
    if pause <= timedelta(hours=2):
        return timedelta(hours=1)
    return timedelta(hours=2 if pause <= timedelta(days=2) else 6)


def freshness(stanza: Stanza, sets: Iterable[BackupSet], now: datetime) -> list[Freshness]:
    """Judge each scheduled kind by ``sets``, the ones that can be restored."""
    restorable = list(sets)
    judged = []
    for kind, limit in limits(stanza).items():
        counting = KINDS[: KINDS.index(kind) + 1]
        newest = max(
            (backup_set for backup_set in restorable if backup_set.kind in counting),
            key=lambda backup_set: backup_set.completed_at,
            default=None,
        )
        judged.append(Freshness(kind, newest, _age_seconds(newest, now), limit))
    return judged


def _age_seconds(newest: BackupSet | None, now: datetime) -> float | None:
    if newest is None or newest.completed_at - now > rpo.CLOCK_SLACK:
        return None
    return max(0.0, (now - newest.completed_at).total_seconds())
