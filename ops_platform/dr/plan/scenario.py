"""What an exercise restores: the set, the target and the archive's end, frozen at the disaster.

Pure: from what the repository and the heartbeats say. How it is restored is in ``restoring``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, get_args

from ops_platform.backup.monitoring import Observation
from ops_platform.backup.recovery_point import Beat
from ops_platform.backup.repository import BackupSet
from ops_platform.backup.wal import ArchiveState, Geometry, Segment
from ops_platform.dr.plan.heartbeat_pairs import BeatPair
from ops_platform.dr.plan.recovery_target import RecoveryTarget
from ops_platform.errors import CheckFailed, ConfigurationError

Scenario = Literal["latest", "pitr", "integrity", "performance"]
SCENARIOS: tuple[Scenario, ...] = get_args(Scenario)
RESTORE_CHECK = "restore_check"
"""The weekly short form of an exercise: it restores as ``latest`` does, and asks less."""
PITR_AGE = timedelta(hours=1)
# A set's stop time is known to the second, and pgBackRest wants it strictly before the target.
AFTER_SET = timedelta(seconds=2)

Pairs = Callable[[datetime, datetime, datetime], Sequence[BeatPair]]
"""(since, until, near) -> neighbouring heartbeats, nearest to ``near`` first."""


@dataclass(frozen=True)
class Plan:
    """``pair``: the heartbeats around a target in time; None when the archive's end is the target."""

    backup_set: BackupSet
    state: ArchiveState
    geometry: Geometry
    system_id: int
    """Of the cluster that the set was taken of."""
    target: RecoveryTarget
    pair: BeatPair | None
    note: str

    @property
    def last_segment(self) -> Segment:
        """The last WAL segment that existed for this exercise."""
        # Without its own WAL a set is not restorable, so there is one.
        return self.state.contiguous_last or self.state.start

    @property
    def wal_bytes(self) -> int:
        """Of the WAL from the set's start to the frozen end: at most what recovery reads."""
        return (self.last_segment.number - self.state.start.number + 1) * self.geometry.size

    @property
    def timeline(self) -> str | None:
        """What pgBackRest is told of the timeline; None where consistency is all that is wanted.

        The set's own is ``current``: by number PostgreSQL would want its history file, which nobody
        archived where a timeline began while archiving was off.
        """
        if self.target.kind == "immediate":
            return None
        wanted = self.state.history.timeline
        return "current" if wanted == self.backup_set.timeline else str(wanted)

    def moment(self, t0: datetime) -> datetime:
        """The moment that is recovered: the target's, or that of the disaster."""
        return self.target.moment or t0


def of_exercise(name: str) -> Scenario:
    """Tell how an exercise of this name chooses what it restores.

    Raises ConfigurationError for one that there is not.
    """
    if name == RESTORE_CHECK:
        return "latest"
    for scenario in SCENARIOS:
        if scenario == name:
            return scenario
    raise ConfigurationError(
        f"there is no scenario {name!r}: take one of {', '.join(SCENARIOS)}, or {RESTORE_CHECK}"
    )


def choose(scenario: Scenario, seen: Observation, pairs: Pairs, t0: datetime) -> Plan:
    """The plan of one scenario. Raises CheckFailed when nothing can be restored."""
    if seen.best is None or seen.archive is None:
        raise CheckFailed(
            f"stanza {seen.repository.stanza} has no set that can be restored: take a full backup"
        )
    if scenario == "latest":
        one, state = seen.best
        if state.gaps:
            raise CheckFailed(
                f"{state.gap_segments} WAL segments are missing after set {one.label}, from "
                f"{seen.archive.geometry.name(state.gaps[0].first)} on: what was archived behind them cannot "
                "be recovered; take a full backup"
            )
        return plan_for(seen, one, state, RecoveryTarget.latest(), None, f"newest set {one.label}")
    if scenario == "pitr":
        return _point_in_time(seen, pairs, t0)
    return _rotated(scenario, seen, pairs, t0)


def chains(seen: Observation) -> list[list[BackupSet]]:
    """The restorable sets by the full they build on, oldest chain first, each oldest set first."""
    found: dict[str, list[BackupSet]] = {}
    for one in seen.restorable():
        found.setdefault(seen.repository.chain(one.label)[0].label, []).append(one)
    return [found[label] for label in sorted(found)]


def turn(scenario: Scenario, at: datetime, count: int) -> int:
    """Which of ``count`` chains it is this month: all of them come round, and no two scenarios agree."""
    months = at.year * 12 + at.month
    return (months + SCENARIOS.index(scenario)) % count


def _point_in_time(seen: Observation, pairs: Pairs, t0: datetime) -> Plan:
    wanted = t0 - PITR_AGE
    restorable = seen.restorable()
    if not restorable or seen.archive is None:
        raise CheckFailed(f"stanza {seen.repository.stanza} has no restorable set: take a full backup")
    earliest = restorable[0].completed_at + AFTER_SET
    for pair in pairs(earliest, t0, wanted):
        for one in reversed(restorable):
            state = _reaches(seen, one, pair)
            if state is not None:
                note = f"{_ago(t0 - pair.middle)} before the disaster"
                if abs(pair.middle - wanted) > timedelta(minutes=2):
                    note += ", since the archive with its heartbeats reaches no nearer to one hour"
                return plan_for(seen, one, state, RecoveryTarget.at(pair.middle), pair, note)
    raise CheckFailed(
        f"stanza {seen.repository.stanza}: no moment after {earliest:%Y-%m-%d %H:%M:%S} UTC lies between two "
        "archived heartbeats: is the agent running? wait for the archive, or look at 'ops-platform backups'"
    )


def _rotated(scenario: Scenario, seen: Observation, pairs: Pairs, t0: datetime) -> Plan:
    found = chains(seen)
    number = turn(scenario, t0, len(found))
    chain = found[number]
    # Within the chain, too, another set each time: the newest one when the month has come round.
    one = chain[-1 - (t0.year * 12 + t0.month) // len(found) % len(chain)]
    note = f"set {one.label} of chain {number + 1} of {len(found)}"
    assert seen.archive is not None  # noqa: S101 - there are chains
    state = seen.archive.state_from(one.wal_start)
    since = one.completed_at + AFTER_SET
    for pair in pairs(since, t0, since):
        reached = _reaches(seen, one, pair)
        if reached is not None:
            return plan_for(seen, one, reached, RecoveryTarget.at(pair.middle), pair, note)
    return plan_for(seen, one, state, RecoveryTarget("immediate"), None, f"{note}, to the end of the backup")


def plan_for(
    seen: Observation,
    one: BackupSet,
    state: ArchiveState,
    target: RecoveryTarget,
    pair: BeatPair | None,
    note: str,
) -> Plan:
    """A plan with the facts that every restore needs. Raises CheckFailed when the stanza lacks them."""
    database = next((each for each in seen.repository.databases if each.id == one.database_id), None)
    if seen.archive is None or database is None:
        raise CheckFailed(f"set {one.label} is of a cluster that the stanza does not know: restore another")
    return Plan(one, state, seen.archive.geometry, database.system_id, target, pair, note)


def _reaches(seen: Observation, one: BackupSet, pair: BeatPair) -> ArchiveState | None:
    """The archive from ``one`` on if recovery from it passes both heartbeats."""
    if seen.archive is None or pair.middle <= one.completed_at + AFTER_SET:
        return None
    state = seen.archive.state_from(one.wal_start)
    covered = state.covers(pair.before.timeline, pair.before.lsn) and state.covers(
        pair.after.timeline, pair.after.lsn
    )
    return state if covered else None


def beat_of(plan: Plan, beats: Iterable[Beat]) -> Beat | None:
    """The newest of ``beats`` (newest first) that recovery to the end of the archive must bring."""
    for beat in beats:
        if plan.state.covers(beat.timeline, beat.lsn):
            return beat
    return None


def _ago(span: timedelta) -> str:
    return f"{span.total_seconds() / 60:.0f} min"
