"""An exercise: one scenario restored for real beside production, measured, judged and recorded.

What a worker that is killed between any two lines leaves:

- before the row is opened: nothing but, perhaps, a scratch directory;
- the row opened, not finished: a row without a result and an audit intent, a scratch directory
  whose marker names a dead process, servers that the kernel killed with the worker or that the
  sweep kills. The locks are free, since their sessions are gone. The next exercise of the stanza
  sweeps the directory and reconciles the row to ``failed``; so does the janitor;
- finished: one transaction holds the result and the audit outcome. A replay of the run adopts it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import psycopg

from ops_platform.backup.monitoring import Observation, freshness, observe
from ops_platform.backup.recovery_point import rpo
from ops_platform.backup.stanza import BackupContext, Stanza, locks
from ops_platform.clients import postgres
from ops_platform.clients.safe_errors import Note, describe
from ops_platform.clients.waiting import wait_until
from ops_platform.dr.exercise import exercise_store as records
from ops_platform.dr.exercise import rto_forecast as forecast
from ops_platform.dr.exercise.drill import Knowledge, Log, Progress, Questions, Rehearsal, rehearse
from ops_platform.dr.exercise.report import ExerciseRequest, ExerciseResult, Outcome
from ops_platform.dr.exercise.rto_forecast import Measured, Prediction
from ops_platform.dr.inspection import (
    CRITICAL,
    VERIFICATIONS,
    Rung,
    Verification,
    ask,
    climb,
    failed,
    missing,
    verdict,
)
from ops_platform.dr.plan import BeatPair, Plan, Scenario, heartbeat_pairs, scenario
from ops_platform.dr.restore import NotRemoved, scratch_cluster
from ops_platform.dr.verification import Expected, Source, live_source, recovery_checks, suite
from ops_platform.errors import OpsError, Unavailable

LOCK_SECONDS = 6 * 3600.0
IN_FLIGHT_SECONDS = 15.0
SETS_SECONDS = 3600.0
"""How long to wait for a cleanup that removes sets."""


def run(ctx: BackupContext, request: ExerciseRequest, log: Log, progress: Progress) -> Outcome:
    """One scenario, recorded whatever ends it. A replay of a run that succeeded adopts its outcome.

    One exercise of a stanza at a time. Raises an OpsError when it could not even begin or be recorded;
    a bad backup is an outcome.
    """
    ops_url, stanza = ctx.ops_url, request.stanza
    with (
        locks.held(ops_url, records.lock_name(stanza), LOCK_SECONDS, log),
        locks.sets_in_use(ops_url, stanza, SETS_SECONDS, log),
    ):
        for left in scratch_cluster.sweep(ctx.settings):
            log(f"removed {left.directory.name}, which a killed exercise had left")
        with postgres.session(ops_url) as ops:
            for exercise_id in records.reconcile(ops, stanza, but=request.exercise_id):
                log(f"exercise {exercise_id} was of a run that died: now recorded as failed")
            earlier = records.found(ops, request.root_run_id, stanza, request.scenario)
            if earlier is not None:
                log(f"exercise {earlier['exercise_id']} of this run's root succeeded: adopted, not repeated")
                return records.outcome_of(earlier)
            records.open_exercise(ops, request)
        try:
            outcome = judge(request, rehearse_beside(ctx, request, log, progress))
        except BaseException as error:
            _record_failure(ops_url, request, error)
            raise
        with postgres.session(ops_url) as ops:
            records.finish(ops, request, outcome)
        return outcome


def _record_failure(ops_url: str, request: ExerciseRequest, error: BaseException) -> None:
    try:
        with postgres.session(ops_url) as ops:
            records.finish(ops, request, records.failure(error))
    except (OpsError, psycopg.OperationalError) as unrecorded:
        error.add_note(
            Note(f"the failure is not recorded yet and will be reconciled: {describe(unrecorded)}")
        )


def judge(request: ExerciseRequest, done: Rehearsal) -> Outcome:
    """The outcome. Nothing unknown counts as good."""
    plan, copy = done.plan, done.copy
    wrong = [one for one in done.answers if not one.passed]
    lost = any(one.name in CRITICAL for one in wrong) or done.rto_seconds is None
    rto_ms = None if done.rto_seconds is None else round(done.rto_seconds * 1000)
    rpo_ms = None if done.loss is None else round(done.loss.total_seconds() * 1000)
    reasons = [f"{one.name}: {one.summary}" for one in wrong]
    # An emergency is not asked about its targets, and misses them all the same.
    if not wrong and ((rto_ms or 0) > request.target_rto_ms or (rpo_ms or 0) > request.target_rpo_ms):
        reasons = ["a promised time was missed"]
    result: ExerciseResult = "failed" if lost else "partial" if reasons else "success"
    return Outcome(
        result=result,
        t0=done.t0,
        reason="; ".join(reasons) or (None if not lost else "it never took traffic"),
        backup_label=None if plan is None else plan.backup_set.label,
        recovery_target=None if plan is None else f"{plan.target} ({plan.note})",
        rto_ms=rto_ms,
        rpo_ms=rpo_ms,
        assurance_ms=None if done.assurance_seconds is None else round(done.assurance_seconds * 1000),
        phases=dict(done.phases),
        copy_bytes=None if copy is None else copy.size_bytes,
        copy_seconds=None if copy is None else copy.seconds,
        copy_rate=None if copy is None else copy.rate,
        replay_bytes=done.replayed_bytes,
        replay_seconds=done.replay_seconds,
        replay_rate=done.replay_rate,
        verifications=tuple(done.answers),
    )


def rehearse_beside(
    ctx: BackupContext,
    request: ExerciseRequest,
    log: Log,
    progress: Progress,
) -> Rehearsal:
    """Restore in a scratch directory of this host and answer everything about the exercise itself."""
    failures = live_source.archive_failures(ctx)
    asked = suite.prepare(ctx, request.scenario, log)
    t0 = datetime.now(UTC)
    known = knowledge(ctx, request.scenario, t0, asked)
    name = f"{request.run_id[:8]}-{request.scenario[:3]}"
    done: Rehearsal | None = None
    torn_down = verdict("torn_down", True, "nothing of the scratch cluster is left")
    try:
        with scratch_cluster.scratch(ctx.settings, request.exercise_id, name) as here:
            done = rehearse(ctx, here, request.scenario, known, t0, log, progress)
    except NotRemoved as error:
        if done is None:
            raise
        torn_down = failed("torn_down", str(error))
    done.answer(torn_down)
    done.answer(ask("primary_undisturbed", lambda: live_source.undisturbed(ctx, failures)))
    immediate = done.plan is not None and done.plan.target.kind == "immediate"
    done.answer(recovery_checks.rpo(done.loss, request.target_rpo_ms, known.source, immediate))
    done.answer(recovery_checks.rto(done.rto_seconds, request.target_rto_ms))
    if "throughput" in VERIFICATIONS[request.scenario]:
        done.answers += climb(speed(ctx, done), log)
    done.answers += missing(done.answers, request.scenario)
    return done


def speed(ctx: BackupContext, done: Rehearsal) -> Sequence[Rung]:
    """The questions about throughput, which compare with earlier exercises and with production's size."""
    now = measured(done)

    def earlier() -> list[Measured]:
        with postgres.session(ctx.ops_url) as ops:
            return records.measured(ops, ctx.stanza.name)

    def throughput() -> Verification:
        known = earlier()
        return forecast.throughput(
            now, known, forecast.needed_rate(production(ctx, now, known, done), ctx.stanza)
        )

    return (
        ("throughput", throughput),
        ("predicted_rto", lambda: forecast.within_target(production(ctx, now, earlier(), done), ctx.stanza)),
    )


def measured(done: Rehearsal) -> Measured | None:
    """None unless copy and replay were measured and the cluster took traffic."""
    if done.copy is None or not done.replay_rate or done.replayed_bytes is None or done.rto_seconds is None:
        return None
    return Measured(
        done.copy.size_bytes, done.copy.rate, done.replayed_bytes, done.replay_rate, done.rto_seconds
    )


def production(
    ctx: BackupContext, now: Measured | None, earlier: Sequence[Measured], done: Rehearsal
) -> Prediction | None:
    """The declared production size, with the most WAL that can lie between two sets."""
    if done.plan is None:
        return None
    with postgres.session(ctx.ops_url) as ops:
        hourly = records.wal_per_hour(ops, ctx.stanza.name, done.plan.geometry.size)
    wal = max(int(hourly * hours_between_sets(ctx.stanza)), done.plan.wal_bytes)
    return forecast.predict(
        ctx.stanza.production_size_bytes, wal, [*(() if now is None else (now,)), *earlier]
    )


def hours_between_sets(stanza: Stanza) -> float:
    """The longest time between two sets that the schedules allow."""
    longest = freshness.limits(stanza).values()
    return min(longest, default=7 * 24 * 3600.0) / 3600


def knowledge(ctx: BackupContext, name: str, t0: datetime, asked: Questions) -> Knowledge:
    """What the ops database knows of the heartbeats, and how the set is chosen."""
    stanza, ops_url = ctx.stanza.name, ctx.ops_url

    def plan(reader: BackupContext) -> Plan:
        def pairs(since: datetime, until: datetime, near: datetime) -> list[BeatPair]:
            with postgres.session(ops_url) as ops:
                return heartbeat_pairs.pairs(ops, stanza, since, until, near)

        return scenario.choose(_scenario(name), settled(reader), pairs, t0)

    def expected(chosen: Plan) -> Expected | None:
        if chosen.pair is not None:
            return Expected(chosen.pair.before.at)
        with postgres.session(ops_url) as ops:
            beat = scenario.beat_of(chosen, rpo.beats(ops, stanza))
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


def _scenario(name: str) -> Scenario:
    for one in scenario.SCENARIOS:
        if one == name:
            return one
    # The weekly short form restores the newest set.
    return "latest"
