"""The plan of each scenario: the set, the target and the archive's end, frozen at the disaster.

Pure: computed from what the repository and the heartbeats say. The restore is in
``pgbackrest_restore``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, get_args

from ops_platform.backup.monitoring import Observation
from ops_platform.backup.recovery_point import Heartbeat
from ops_platform.backup.repository import BackupSet
from ops_platform.backup.wal import ArchiveState, Geometry, Segment
from ops_platform.dr.plan.heartbeat_pairs import HeartbeatPair
from ops_platform.dr.plan.recovery_target import RecoveryTarget
from ops_platform.errors import CheckFailed, ConfigurationError

Scenario = Literal["latest", "pitr", "integrity", "performance"]
SCENARIOS: tuple[Scenario, ...] = get_args(Scenario)
RESTORE_CHECK = "restore_check"
"""The weekly short form of an exercise: it restores as ``latest`` does, and asks less."""
STOLEN_KEY = "stolen_key"
"""A copy of the repository is destroyed with the key of the backups, and restored from its versions."""
EXERCISES: tuple[str, ...] = (*SCENARIOS, STOLEN_KEY)
"""All that have an asset: the SCENARIOS are exercised monthly, the stolen key quarterly."""
PITR_AGE = timedelta(hours=1)
# A set's stop time is known to the second, and pgBackRest wants it strictly before the target.
AFTER_SET = timedelta(seconds=2)

Pairs = Callable[[datetime, datetime, datetime], Sequence[HeartbeatPair]]
"""(since, until, near) -> neighbouring heartbeats, nearest to ``near`` first."""


@dataclass(frozen=True)
class Plan:
    """The set to restore and the target to recover to.

    ``pair``: the heartbeats around a target in time; None when the archive's end is the target.
    ``system_id``: of the cluster that the set was taken of. ``note``: for people.
    """

    backup_set: BackupSet
    state: ArchiveState
    geometry: Geometry
    system_id: int
    target: RecoveryTarget
    pair: HeartbeatPair | None
    note: str
    warnings: tuple[str, ...] = ()
    """For people: newer sets that were passed over and why, or what is wrong with the set asked for."""

    @property
    def last_segment(self) -> Segment:
        """The last WAL segment that existed for this exercise."""
        # Without its own WAL a set is not restorable, so there is one.
        return self.state.contiguous_last or self.state.start

    @property
    def wal_bytes(self) -> int:
        """The size of the WAL from the set's start to the frozen end: the most that recovery reads."""
        return (self.last_segment.number - self.state.start.number + 1) * self.geometry.size

    @property
    def timeline(self) -> str | None:
        """The timeline as pgBackRest's option; None where only consistency is wanted.

        The set's own is ``current``: given the number, PostgreSQL would need the timeline's history
        file, which was never archived if the timeline began while archiving was off.
        """
        if self.target.kind == "immediate":
            return None
        timeline = self.state.history.timeline
        return "current" if timeline == self.backup_set.timeline else str(timeline)

    def moment(self, t0: datetime) -> datetime:
        """Return the moment that is recovered: the target's, or that of the disaster, ``t0``."""
        return self.target.moment or t0


def of_exercise(name: str) -> Scenario:
    """Tell how an exercise of this name chooses what it restores.

    Raises ConfigurationError for one that there is not.
    """
    if name in (RESTORE_CHECK, STOLEN_KEY):
        return "latest"
    for scenario in SCENARIOS:
        if scenario == name:
            return scenario
    raise ConfigurationError(
        f"there is no scenario {name!r}: take one of {', '.join(EXERCISES)}, or {RESTORE_CHECK}"
    )


def choose(scenario: Scenario, observation: Observation, pairs: Pairs, t0: datetime) -> Plan:
    """Plan one scenario. Raises CheckFailed when nothing can be restored."""
    if observation.best is None or observation.archive is None:
        raise CheckFailed(_no_set(observation))
    if scenario == "latest":
        backup_set, state = observation.best
        if state.gaps:
            raise CheckFailed(
                f"{state.gap_segments} WAL segments are missing after set {backup_set.label}, from "
                f"{observation.archive.geometry.name(state.gaps[0].first)} on: what was archived behind them "
                "cannot be recovered; take a full backup"
            )
        note = f"newest set {backup_set.label}"
        return plan_for(observation, backup_set, state, RecoveryTarget.latest(), None, note)
    if scenario == "pitr":
        return _point_in_time(observation, pairs, t0)
    return _rotated(scenario, observation, pairs, t0)


def chains(observation: Observation) -> list[list[BackupSet]]:
    """Group the restorable sets by the full they build on, oldest chain first, each oldest set first."""
    by_full: dict[str, list[BackupSet]] = {}
    for backup_set in observation.restorable():
        full = observation.repository.chain(backup_set.label)[0]
        by_full.setdefault(full.label, []).append(backup_set)
    return [by_full[label] for label in sorted(by_full)]


def chain_index(scenario: Scenario, at: datetime, count: int) -> int:
    """Choose one of ``count`` chains for the month of ``at``.

    Each chain has its turn, and no two scenarios choose the same one.
    """
    months = at.year * 12 + at.month
    return (months + SCENARIOS.index(scenario)) % count


def _no_set(observation: Observation) -> str:
    """Say why there is no set to choose: none is sound, or the sound ones are not of the living timeline."""
    stanza, sound = observation.repository.stanza, observation.sound()
    others = ", ".join(str(timeline) for timeline in sorted({backup_set.timeline for backup_set in sound}))
    if not others or observation.archive is None:
        return f"stanza {stanza} has no set that can be restored: take a full backup"
    lineage = observation.archive.lineage
    writes = "the server writes" if lineage.writes == lineage.living else "the archive goes on with"
    return (
        f"stanza {stanza} has no set on the way of timeline {lineage.living}, which {writes}; its sound sets "
        f"are of timeline {others}: if 'connection' in backups.yaml names the server that your application "
        "uses, take a full backup, else correct it"
    )


def _point_in_time(observation: Observation, pairs: Pairs, t0: datetime) -> Plan:
    wanted = t0 - PITR_AGE
    restorable = observation.restorable()
    if not restorable or observation.archive is None:
        raise CheckFailed(f"stanza {observation.repository.stanza} has no restorable set: take a full backup")
    earliest = restorable[0].completed_at + AFTER_SET
    for pair in pairs(earliest, t0, wanted):
        for backup_set in reversed(restorable):
            state = _state_covering(observation, backup_set, pair)
            if state is not None:
                note = f"{_minutes(t0 - pair.middle)} before the disaster"
                if abs(pair.middle - wanted) > timedelta(minutes=2):
                    note += ", since the archive with its heartbeats reaches no nearer to one hour"
                target = RecoveryTarget.at(pair.middle)
                return plan_for(observation, backup_set, state, target, pair, note)
    raise CheckFailed(
        f"stanza {observation.repository.stanza}: no moment after {earliest:%Y-%m-%d %H:%M:%S} UTC lies "
        "between two archived heartbeats: is the agent running? wait for the archive, or look at "
        "'ops-platform backups'"
    )


def _rotated(scenario: Scenario, observation: Observation, pairs: Pairs, t0: datetime) -> Plan:
    all_chains = chains(observation)
    number = chain_index(scenario, t0, len(all_chains))
    chain = all_chains[number]
    # Within the chain, too, another set each time: the newest one when the month has come round.
    backup_set = chain[-1 - (t0.year * 12 + t0.month) // len(all_chains) % len(chain)]
    note = f"set {backup_set.label} of chain {number + 1} of {len(all_chains)}"
    assert observation.archive is not None  # noqa: S101 - there are chains
    since = backup_set.completed_at + AFTER_SET
    for pair in pairs(since, t0, since):
        covering = _state_covering(observation, backup_set, pair)
        if covering is not None:
            return plan_for(observation, backup_set, covering, RecoveryTarget.at(pair.middle), pair, note)
    state = observation.archive.state_from(backup_set.wal_start)
    target = RecoveryTarget("immediate")
    return plan_for(observation, backup_set, state, target, None, f"{note}, to the end of the backup")


def plan_for(
    observation: Observation,
    backup_set: BackupSet,
    state: ArchiveState,
    target: RecoveryTarget,
    pair: HeartbeatPair | None,
    note: str,
) -> Plan:
    """Make a plan with the facts that every restore needs. Raises CheckFailed when the stanza lacks them."""
    databases = observation.repository.databases
    database = next((database for database in databases if database.id == backup_set.database_id), None)
    if observation.archive is None or database is None:
        raise CheckFailed(
            f"set {backup_set.label} is of a cluster that the stanza does not know: restore another"
        )
    return Plan(backup_set, state, observation.archive.geometry, database.system_id, target, pair, note)


def _state_covering(
    observation: Observation, backup_set: BackupSet, pair: HeartbeatPair
) -> ArchiveState | None:
    """Return the archive from the set on, if recovery from the set passes both heartbeats."""
    if observation.archive is None or pair.middle <= backup_set.completed_at + AFTER_SET:
        return None
    state = observation.archive.state_from(backup_set.wal_start)
    covered = state.covers(pair.before.timeline, pair.before.lsn) and state.covers(
        pair.after.timeline, pair.after.lsn
    )
    return state if covered else None


def expected_heartbeat(plan: Plan, beats: Iterable[Heartbeat]) -> Heartbeat | None:
    """Find the first of ``beats`` (newest first) that recovery to the end of the archive must bring."""
    for beat in beats:
        if plan.state.covers(beat.timeline, beat.lsn):
            return beat
    return None


def _minutes(span: timedelta) -> str:
    return f"{span.total_seconds() / 60:.0f} min"
