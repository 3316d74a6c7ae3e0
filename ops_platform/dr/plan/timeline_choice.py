"""The choice of the timeline that a restore follows: the living one, unless somebody asks for another.

What was abandoned is never chosen silently. A target that an abandoned timeline has too is refused until
the timeline is said.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ops_platform.backup.monitoring import Observation, contest
from ops_platform.backup.recovery_point import rpo
from ops_platform.backup.repository import Archive
from ops_platform.backup.wal import History, format_lsn
from ops_platform.dr.plan.recovery_target import RecoveryTarget
from ops_platform.errors import CheckFailed, ConfigurationError

LATEST = "latest"
_NEVER = datetime.min.replace(tzinfo=UTC)
_BESIDE = timedelta(seconds=1)
_SETS = 3
"""So many of the newest sets are asked what S3's clock says; each may cost a listing."""

LastBeat = Callable[[int, int], datetime | None]
"""(timeline, LSN) -> time of the newest heartbeat known to lie on that timeline at or before that LSN."""


def no_heartbeats(timeline: int, lsn: int) -> datetime | None:
    """Know no heartbeat, as without the ops database."""
    return None


@dataclass(frozen=True)
class LeftBehind:
    """A stretch of WAL that is no part of what the cluster lives on: ``timeline`` behind ``lsn``.

    Nothing in it was committed before ``since``, or after ``until``, when the newest of it was archived.
    ``child`` goes on from ``lsn`` on the living timeline's way, from ``child_began`` on; both are None where
    the archive does not say.
    """

    timeline: int
    lsn: int
    since: datetime
    until: datetime
    child: int | None
    child_began: datetime | None

    def may_hold(self, moment: datetime) -> bool:
        """Tell whether somebody who asks for ``moment`` may mean this stretch.

        Before the child began, nothing else was written at all.
        """
        if moment < self.since:
            return False
        if self.child is not None and (self.child_began is None or moment < self.child_began):
            return True
        return moment <= self.until


def parse(text: str | None) -> int | None:
    """Read ``--timeline``: a number, or None for the latest. Raises ConfigurationError."""
    if text is None or text == LATEST:
        return None
    if not text.isascii() or not text.isdigit() or int(text) == 0:
        raise ConfigurationError(f"{text!r} is no timeline: write a number, or {LATEST}")
    return int(text)


def history_of(archive: Archive, timeline: int | None) -> History:
    """Return the history of ``timeline``, None for the living one. Raises CheckFailed for an unknown one."""
    lineage = archive.lineage
    if timeline is not None and timeline not in lineage.seen:
        known = ", ".join(str(number) for number in sorted(lineage.seen))
        raise CheckFailed(f"timeline {timeline} is not in the archive: there are {known}")
    return lineage.history(timeline)


def require_unambiguous(
    observation: Observation,
    target: RecoveryTarget,
    last_beat: LastBeat = no_heartbeats,
    store_behind: timedelta = timedelta(0),
) -> None:
    """Check that it is clear which timeline lives, and that no other one has the target too.

    Raises CheckFailed that says how to choose.

    ``last_beat`` narrows down the time of a fork where the ops database answers; see ``LastBeat``.
    ``store_behind`` is how far S3's own clock is known to be behind.
    """
    archive = observation.archive
    if archive is None:
        return
    if target.lsn is not None:
        _require_one_with_lsn(archive, target.lsn)
    if target.moment is not None:
        _require_one_at(observation, archive, target.moment, last_beat, store_behind)
    found = contest.remembered(archive)
    if found is None:
        return
    for left in left_behind(observation, archive, last_beat, store_behind):
        # What lies before their parting is the same on both.
        common = (target.lsn is not None and target.lsn <= left.lsn) or (
            target.moment is not None and target.moment < left.since
        )
        if left.timeline == found.other and not common:
            options = _options([found.living, found.other])
            raise CheckFailed(f"{found.summary}. Find out which one is the cluster, and say {options}")


def left_behind(
    observation: Observation,
    archive: Archive,
    last_beat: LastBeat = no_heartbeats,
    store_behind: timedelta = timedelta(0),
) -> Iterator[LeftBehind]:
    """Yield what the archive holds beside the living timeline's way, by timeline.

    ``last_beat`` narrows down the time of each fork; see ``LastBeat``. ``store_behind`` is how far S3's own
    clock is known to be behind.
    """
    lineage, way = archive.lineage, archive.lineage.history()
    behind = max(certainly_behind(observation, archive), store_behind)
    for timeline, until in sorted(archive.left_behind().items()):
        parent, lsn, stopped = lineage.parting(timeline)
        child = next((child for child in (*dict(way.left), way.timeline) if child > parent), None)
        since = max(
            stopped or _NEVER,
            _newest_start_before(observation, lineage.history(parent), parent, lsn),
            _shortly_before(last_beat(parent, lsn)),
        )
        began = None if child is None else archive.began(parent)
        yield LeftBehind(
            timeline, lsn, since, until + behind, child, None if began is None else began + behind
        )


def certainly_behind(observation: Observation, archive: Archive) -> timedelta:
    """Return how far S3's clock was behind the server's when one of the newest sets was taken; zero: unknown.

    Either may have been the wrong one, and been put right since: never promise a moment by this alone.
    The last WAL of a set arrives after the set began, so an earlier time is of a clock that is behind: what
    S3 dates would make a moment look later than all that was left behind.
    """
    current = observation.repository.current
    sets = [
        backup_set
        for backup_set in observation.repository.sets[-_SETS:]
        if current is not None and backup_set.database_id == current.id
    ]
    arrivals = [
        (backup_set.started_at, archive.arrived_at(archive.geometry.parse(backup_set.wal_stop)))
        for backup_set in sets
    ]
    behind = max(
        (began - arrived for began, arrived in arrivals if arrived is not None), default=timedelta(0)
    )
    return behind if behind > rpo.CLOCK_SLACK else timedelta(0)


def _shortly_before(beat: datetime | None) -> datetime:
    # A heartbeat is stamped before its commit; a commit beside it may bear a time a little earlier.
    return _NEVER if beat is None else beat - _BESIDE


def _newest_start_before(observation: Observation, history: History, parent: int, lsn: int) -> datetime:
    """Return when the newest set began that lies before the fork: the repository's own clock."""
    return max(
        (
            backup_set.started_at
            for backup_set in observation.repository.sets
            if backup_set.timeline <= parent
            and history.holds_position(backup_set.timeline, backup_set.stop_position)
            and backup_set.stop_position <= lsn
        ),
        default=_NEVER,
    )


def _require_one_with_lsn(archive: Archive, lsn: int) -> None:
    living = archive.lineage.living
    abandoned = [
        timeline
        for timeline, end in sorted(archive.ends().items())
        if archive.lineage.history(timeline).begin < lsn <= end
        and archive.lineage.is_abandoned(timeline, lsn)
    ]
    if abandoned:
        others = ", ".join(str(timeline) for timeline in abandoned)
        raise CheckFailed(
            f"the LSN {format_lsn(lsn)} is also one of timeline {others}, which was left before it, while "
            f"timeline {living} lives: say which with {_options([living, *reversed(abandoned)])}"
        )


def _require_one_at(
    observation: Observation,
    archive: Archive,
    moment: datetime,
    last_beat: LastBeat,
    store_behind: timedelta,
) -> None:
    stretches = left_behind(observation, archive, last_beat, store_behind)
    meant = [left for left in stretches if left.may_hold(moment)]
    if not meant:
        return
    living, left = archive.lineage.living, meant[-1]
    options = _options([one.timeline for one in reversed(meant)])
    goes_on = f"goes on from {format_lsn(left.lsn)} of timeline {left.timeline}"
    if left.child is not None and (left.child_began is None or moment < left.child_began):
        since = "" if left.child_began is None else f" until {left.child_began:%Y-%m-%d %H:%M:%S}+00"
        raise CheckFailed(
            f"timeline {left.child}, on which the cluster lives, did not exist{since}: it {goes_on}. "
            f"Say {options} for what was written at that time and left behind, or --timeline {living} for "
            "the state at the fork"
        )
    both = ", ".join(str(one.timeline) for one in meant)
    raise CheckFailed(
        f"what was archived of timeline {both} until {left.until:%Y-%m-%d %H:%M:%S}+00 may have been written "
        f"at that time, and timeline {living} lives. Say {options} for what was left behind, or --timeline "
        f"{living} for what the cluster lives on"
    )


def _options(timelines: Iterable[int]) -> str:
    return " or ".join(f"--timeline {timeline}" for timeline in timelines)
