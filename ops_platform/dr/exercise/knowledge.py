"""Gather what an exercise is told: how its set is chosen, and which heartbeats it must bring."""

from __future__ import annotations

from datetime import datetime

from ops_platform.backup.monitoring import Observation, observe
from ops_platform.backup.recovery_point import rpo
from ops_platform.backup.stanza import BackupContext
from ops_platform.clients import postgres
from ops_platform.clients.waiting import wait_until
from ops_platform.dr.exercise.rehearsal import Knowledge, Questions
from ops_platform.dr.plan import BeatPair, Plan, heartbeat_pairs, scenario
from ops_platform.dr.verification import Expected, Source, live_source
from ops_platform.errors import Unavailable

IN_FLIGHT_SECONDS = 15.0


def gather(ctx: BackupContext, name: str, t0: datetime, asked: Questions) -> Knowledge:
    """Gather what the ops database knows of the heartbeats, and how the set is chosen.

    Raises ConfigurationError for a scenario that there is not.
    """
    chosen_as = scenario.of_exercise(name)
    stanza, ops_url = ctx.stanza.name, ctx.ops_url

    def plan(reader: BackupContext) -> Plan:
        def pairs(since: datetime, until: datetime, near: datetime) -> list[BeatPair]:
            with postgres.session(ops_url) as ops:
                return heartbeat_pairs.pairs(ops, stanza, since, until, near)

        return scenario.choose(chosen_as, settled(reader), pairs, t0)

    def expected(chosen: Plan) -> Expected | None:
        if chosen.pair is not None:
            return Expected(chosen.pair.before.at)
        with postgres.session(ops_url) as ops:
            beat = scenario.beat_of(chosen, rpo.heartbeats(ops, stanza))
        return None if beat is None else Expected(beat.at)

    with postgres.session(ops_url) as ops:
        newest = heartbeat_pairs.newest(ops, stanza, t0)
    known = Source(
        live_source.database_name(ctx), None if newest is None else newest.at, live_source.system_id(ctx)
    )
    return Knowledge(plan, known, expected, asked)


def settled(reader: BackupContext) -> Observation:
    """The repository once its archive has no gap; after a while with the gaps that stay.

    Segments are archived side by side: for moments a later one is there before an earlier one.
    """

    def without_gaps() -> Observation | None:
        seen = observe(reader)
        return None if seen.best is not None and seen.best[1].gaps else seen

    try:
        return wait_until(without_gaps, IN_FLIGHT_SECONDS, "the archive has no gap", interval=1.0)
    except Unavailable:
        return observe(reader)
