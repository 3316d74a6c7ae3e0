"""The choice of the timeline that a restore follows: the living one, unless somebody asks for another.

What was abandoned is never chosen silently. A target that an abandoned timeline has too is refused until
the timeline is said.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ops_platform.backup.monitoring import Observation
from ops_platform.backup.repository import Archive
from ops_platform.backup.wal import History, format_lsn
from ops_platform.dr.plan.recovery_target import RecoveryTarget
from ops_platform.errors import CheckFailed, ConfigurationError

LATEST = "latest"
_NEVER = datetime.min.replace(tzinfo=UTC)
_BESIDE = timedelta(seconds=1)

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
    observation: Observation, target: RecoveryTarget, last_beat: LastBeat = no_heartbeats
) -> None:
    """Check that no abandoned timeline has the target too. Raises CheckFailed that says how to choose.

    ``last_beat`` narrows down the time of a fork where the ops database answers; see ``LastBeat``.
    """
    archive = observation.archive
    if archive is None:
        return
    if target.lsn is not None:
        _require_one_with_lsn(archive, target.lsn)
    if target.moment is not None:
        _require_one_at(observation, archive, target.moment, last_beat)


def left_behind(
    observation: Observation, archive: Archive, last_beat: LastBeat = no_heartbeats
) -> Iterator[LeftBehind]:
    """Yield what the archive holds beside the living timeline's way, by timeline.

    ``last_beat`` narrows down the time of each fork; see ``LastBeat``.
    """
    lineage, way = archive.lineage, archive.lineage.history()
    last: dict[int, datetime] = {}
    for archived in archive.segments:
        timeline, end = archived.segment.timeline, archive.geometry.start(archived.segment.number + 1)
        if lineage.is_abandoned(timeline, end):
            last[timeline] = max(archived.archived_at, last.get(timeline, _NEVER))
    for timeline, until in sorted(last.items()):
        parent, lsn, stopped = _fork(archive, timeline)
        child = next((child for child in (*dict(way.left), way.timeline) if child > parent), None)
        since = max(
            stopped or _NEVER,
            _newest_start_before(observation, lineage.history(parent), parent, lsn),
            _shortly_before(last_beat(parent, lsn)),
        )
        began = None if child is None else _began(archive, child)
        yield LeftBehind(timeline, lsn, since, until, child, began)


def _fork(archive: Archive, timeline: int) -> tuple[int, int, datetime | None]:
    """Return where ``timeline`` and the living one part: ancestor, LSN, and the time that a history names.

    The ancestor is ``timeline`` itself where the living one left it.
    """
    way, own = archive.lineage.history(), archive.lineage.history(timeline)
    for ancestor, lsn in way.left:
        if ancestor == timeline:
            return timeline, lsn, way.first_lost.get(timeline)
    common = [(ancestor, lsn) for ancestor, lsn in own.left if way.holds_position(ancestor, 0)]
    if not common:
        return timeline, 0, None
    ancestor, lsn = common[-1]
    left = dict(way.left).get(ancestor, lsn)
    if left < lsn:
        return ancestor, left, way.first_lost.get(ancestor)
    return ancestor, lsn, own.first_lost.get(ancestor)


def _began(archive: Archive, child: int) -> datetime | None:
    """Tell when the archive first heard of ``child`` or of what the living history has after it."""
    way = archive.lineage.history()
    later = {timeline for timeline in (*dict(way.left), way.timeline) if timeline >= child}
    return min(
        [
            *(archived.archived_at for archived in archive.segments if archived.segment.timeline in later),
            *(moment for timeline, moment in archive.began_at.items() if timeline in later),
        ],
        default=None,
    )


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
    ends: dict[int, int] = {}
    for archived in archive.segments:
        segment = archived.segment
        end = archive.geometry.start(segment.number + 1)
        ends[segment.timeline] = max(end, ends.get(segment.timeline, 0))
    abandoned = [
        timeline
        for timeline, end in sorted(ends.items())
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
    observation: Observation, archive: Archive, moment: datetime, last_beat: LastBeat
) -> None:
    meant = [left for left in left_behind(observation, archive, last_beat) if left.may_hold(moment)]
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
