"""An exercise: one scenario restored for real beside production, measured, judged and recorded.

PHASES is the order of the phases between the opening of its row and the verdict.

A worker that is killed between any two lines leaves this behind:

- before the row is opened: nothing but, perhaps, a scratch directory;
- the row opened, not finished: a row without a result and an audit intent, a scratch directory
  whose marker names a dead process, servers that the kernel killed with the worker or that the
  sweep kills. The locks are free, since their sessions are gone. The next exercise of the stanza
  sweeps the directory and reconciles the row to ``failed``; so does the janitor;
- finished: one transaction holds the result and the audit outcome. A replay of the run adopts it.
"""

from __future__ import annotations

import psycopg

from ops_platform.backup.stanza import BackupContext, locks
from ops_platform.clients import postgres
from ops_platform.clients.safe_errors import Note, describe
from ops_platform.dr.exercise import exercise_store
from ops_platform.dr.exercise.phases import (
    CheckExercise,
    DeclareDisaster,
    Exercise,
    ExercisePhase,
    ObserveSource,
    PrepareChecks,
    RehearseInScratch,
    StealKey,
)
from ops_platform.dr.exercise.rehearsal import Log, Progress, Rehearsal
from ops_platform.dr.exercise.report import ExerciseRequest, ExerciseResult, Outcome
from ops_platform.dr.inspection import CRITICAL
from ops_platform.dr.plan import scenario
from ops_platform.dr.restore import scratch_cluster
from ops_platform.errors import OpsError

PHASES: tuple[ExercisePhase, ...] = (
    ObserveSource(),
    PrepareChecks(),
    StealKey(),
    DeclareDisaster(),
    RehearseInScratch(),
    CheckExercise(),
)
LOCK_SECONDS = 6 * 3600.0
SETS_SECONDS = 3600.0
"""How long to wait for a cleanup that removes sets to end."""


def run(ctx: BackupContext, request: ExerciseRequest, log: Log, progress: Progress) -> Outcome:
    """Run one scenario and record its outcome, however it ends.

    A replay of a run that succeeded adopts its outcome. One exercise of a stanza runs at a time. Raises
    ConfigurationError for an unknown scenario, another OpsError when the exercise could not begin or be
    recorded; a bad backup is an outcome.
    """
    scenario.of_exercise(request.scenario)
    ops_url, stanza = ctx.ops_url, request.stanza
    with (
        locks.held(ops_url, exercise_store.lock_name(stanza), LOCK_SECONDS, log),
        locks.sets_in_use(ops_url, stanza, SETS_SECONDS, log),
    ):
        for leftover in scratch_cluster.sweep(ctx.settings):
            log(f"removed {leftover.directory.name}, which a killed exercise had left")
        with postgres.session(ops_url) as ops:
            for exercise_id in exercise_store.reconcile(ops, stanza, but=request.exercise_id):
                log(f"exercise {exercise_id} was of a run that died: now recorded as failed")
            earlier = exercise_store.find_success(ops, request.root_run_id, stanza, request.scenario)
            if earlier is not None:
                log(f"exercise {earlier['exercise_id']} of this run's root succeeded: adopted, not repeated")
                return exercise_store.outcome_of(earlier)
            exercise_store.open_exercise(ops, request)
        try:
            exercise = Exercise(ctx, request, log, progress)
            for phase in PHASES:
                phase.perform(exercise)
            outcome = judge(request, exercise.rehearsal)
        except BaseException as error:
            _record_failure(ops_url, request, error)
            raise
        with postgres.session(ops_url) as ops:
            exercise_store.finish(ops, request, outcome)
        return outcome


def _record_failure(ops_url: str, request: ExerciseRequest, error: BaseException) -> None:
    try:
        with postgres.session(ops_url) as ops:
            exercise_store.finish(ops, request, exercise_store.failure(error))
    except (OpsError, psycopg.OperationalError) as unrecorded:
        error.add_note(
            Note(f"the failure is not recorded yet and will be reconciled: {describe(unrecorded)}")
        )


def judge(request: ExerciseRequest, rehearsal: Rehearsal) -> Outcome:
    """Judge the exercise by its targets and its checks; an unknown result never counts as good."""
    plan, copy, assurance = rehearsal.plan, rehearsal.copy, rehearsal.assurance_seconds
    not_passed = [result for result in rehearsal.results if not result.passed]
    has_failed = any(result.name in CRITICAL for result in not_passed) or rehearsal.rto_seconds is None
    rto_ms = None if rehearsal.rto_seconds is None else round(rehearsal.rto_seconds * 1000)
    rpo_ms = None if rehearsal.loss is None else round(rehearsal.loss.total_seconds() * 1000)
    reasons = [f"{result.name}: {result.summary}" for result in not_passed]
    # An emergency has no checks of its targets, and can miss them all the same.
    if not not_passed and ((rto_ms or 0) > request.target_rto_ms or (rpo_ms or 0) > request.target_rpo_ms):
        reasons = ["a promised time was missed"]
    result: ExerciseResult = "failed" if has_failed else "partial" if reasons else "success"
    return Outcome(
        result=result,
        t0=rehearsal.t0,
        reason="; ".join(reasons) or (None if not has_failed else "it never took traffic"),
        backup_label=None if plan is None else plan.backup_set.label,
        recovery_target=None if plan is None else f"{plan.target} ({plan.note})",
        rto_ms=rto_ms,
        rpo_ms=rpo_ms,
        assurance_ms=None if assurance is None else round(assurance * 1000),
        phases=dict(rehearsal.phases),
        copy_bytes=None if copy is None else copy.size_bytes,
        copy_seconds=None if copy is None else copy.seconds,
        copy_rate=None if copy is None else copy.rate,
        replay_bytes=rehearsal.replayed_bytes,
        replay_seconds=rehearsal.replay_seconds,
        replay_rate=rehearsal.replay_rate,
        verifications=tuple(rehearsal.results),
    )
