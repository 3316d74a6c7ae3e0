"""The knowledge of an exercise: how its set is chosen, and which heartbeats recovery must bring."""

from __future__ import annotations

from datetime import UTC, datetime

from ops_platform.backup.monitoring import Observation, Observer, archiver
from ops_platform.backup.recovery_point import rpo
from ops_platform.backup.stanza import BackupContext
from ops_platform.clients import postgres
from ops_platform.clients.waiting import wait_until
from ops_platform.dr.exercise.rehearsal import Knowledge, RestoreChecks
from ops_platform.dr.plan import HeartbeatPair, Plan, heartbeat_pairs, scenario
from ops_platform.dr.verification import Expected, Source, live_source
from ops_platform.errors import Unavailable

IN_FLIGHT_SECONDS = 15.0


def gather(ctx: BackupContext, scenario_name: str, t0: datetime, checks: RestoreChecks) -> Knowledge:
    """Gather the heartbeats from the ops database, and how the set is chosen.

    Raises ConfigurationError for an unknown scenario.
    """
    chosen_scenario = scenario.of_exercise(scenario_name)
    stanza, ops_url = ctx.stanza.name, ctx.ops_url

    def plan(reader: BackupContext) -> Plan:
        def pairs(since: datetime, until: datetime, near: datetime) -> list[HeartbeatPair]:
            with postgres.session(ops_url) as ops:
                return heartbeat_pairs.pairs(ops, stanza, since, until, near)

        return scenario.choose(chosen_scenario, settled(reader), pairs, t0)

    def expected(plan: Plan) -> Expected | None:
        if plan.pair is not None:
            return Expected(plan.pair.before.at)
        with postgres.session(ops_url) as ops:
            heartbeat = scenario.expected_heartbeat(plan, rpo.heartbeats(ops, stanza))
        return None if heartbeat is None else Expected(heartbeat.at)

    with postgres.session(ops_url) as ops:
        newest = heartbeat_pairs.newest(ops, stanza, t0)
    source = Source(
        live_source.database_name(ctx), None if newest is None else newest.at, live_source.system_id(ctx)
    )
    return Knowledge(plan, source, expected, checks)


def settled(reader: BackupContext) -> Observation:
    """Observe the repository once its archive has no gap; after IN_FLIGHT_SECONDS with the gaps that stay.

    Segments are archived in parallel: for a moment a later one may be there before an earlier one.
    """
    asked = archiver.ask(reader)
    observer, written = Observer(reader), archiver.written(asked, datetime.now(UTC))

    def without_gaps() -> Observation | None:
        observation = observer.look(written=written)
        best = observation.best
        return None if best is not None and best[1].gaps else observation

    try:
        return wait_until(without_gaps, IN_FLIGHT_SECONDS, "the archive has no gap", interval=1.0)
    except Unavailable:
        return observer.look(written=written)
