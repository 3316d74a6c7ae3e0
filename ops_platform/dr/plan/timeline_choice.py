"""The choice of the timeline that a restore follows: the living one, unless somebody asks for another.

What was abandoned is never chosen silently. A target that an abandoned timeline has too is refused until
the timeline is said.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from ops_platform.backup.monitoring import Observation
from ops_platform.backup.repository import Archive
from ops_platform.backup.wal import History, format_lsn
from ops_platform.dr.plan.recovery_target import RecoveryTarget
from ops_platform.errors import CheckFailed, ConfigurationError

LATEST = "latest"
_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Fork:
    """A point where the living history left ``parent`` for ``child``, and what the clock said around it.

    Whatever was committed before ``earliest`` lies before the fork. ``began_at``: when the archive first
    heard of ``child``, None when it does not say.
    """

    parent: int
    child: int
    lsn: int
    earliest: datetime
    began_at: datetime | None


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


def require_unambiguous(observation: Observation, target: RecoveryTarget) -> None:
    """Check that no abandoned timeline has the target too. Raises CheckFailed that says how to choose."""
    archive = observation.archive
    if archive is None:
        return
    if target.lsn is not None:
        _require_one_with_lsn(archive, target.lsn)
    if target.moment is not None:
        _require_one_at(observation, archive, target.moment)


def forks(observation: Observation, archive: Archive) -> Iterator[Fork]:
    """Yield the forks of the living history, oldest first."""
    history = archive.lineage.history()
    children = [*(timeline for timeline, _ in history.left), history.timeline][1:]
    for (parent, lsn), child in zip(history.left, children, strict=True):
        begun = [
            *(archived.archived_at for archived in archive.segments if archived.segment.timeline == child),
            *(moment for timeline, moment in archive.began_at.items() if timeline == child),
        ]
        earliest = history.first_lost.get(parent) or _newest_start_before(observation, history, parent, lsn)
        yield Fork(parent, child, lsn, earliest, min(begun, default=None))


def _newest_start_before(observation: Observation, history: History, parent: int, lsn: int) -> datetime:
    """Return when the newest set began that lies before the fork: no clock of WAL is known but the sets'."""
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
            f"timeline {living} lives: say which with --timeline {living} or --timeline {abandoned[-1]}"
        )


def _require_one_at(observation: Observation, archive: Archive, moment: datetime) -> None:
    for fork in forks(observation, archive):
        if moment < fork.earliest or (fork.began_at is not None and moment >= fork.began_at):
            continue
        left_behind = sorted(
            {
                archived.segment.timeline
                for archived in archive.segments
                if archived.archived_at >= fork.earliest
                and (fork.began_at is None or archived.archived_at < fork.began_at)
                and archive.lineage.is_abandoned(
                    archived.segment.timeline, archive.geometry.start(archived.segment.number + 1)
                )
            }
        )
        if left_behind:
            living, other = archive.lineage.living, left_behind[-1]
            since = "" if fork.began_at is None else f" until {fork.began_at:%Y-%m-%d %H:%M:%S}+00"
            raise CheckFailed(
                f"timeline {fork.child}, on which the cluster lives, did not exist{since}: it goes on from "
                f"{format_lsn(fork.lsn)} of timeline {fork.parent}. Say --timeline {other} for what was "
                f"written at that time and left behind, or --timeline {living} for the state at the fork"
            )
