"""The phases of an exercise: what each does with what earlier ones found. Their order is in ``runner``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from datetime import UTC, datetime

from ops_platform.backup.stanza import BackupContext
from ops_platform.dr.exercise import knowledge, throughput_checks
from ops_platform.dr.exercise.drill import rehearse
from ops_platform.dr.exercise.rehearsal import Knowledge, Log, Progress, Questions, Rehearsal
from ops_platform.dr.exercise.report import ExerciseRequest
from ops_platform.dr.inspection import (
    VERIFICATIONS,
    Verification,
    failed,
    missing,
    run_check,
    run_checks,
    verdict,
)
from ops_platform.dr.restore import NotRemoved, scratch_cluster
from ops_platform.dr.verification import live_source, recovery_checks
from ops_platform.dr.verification import suite as questions


@dataclass(repr=False)
class Exercise:
    """What the phases of one exercise share. Reading what no phase has found yet raises AttributeError."""

    ctx: BackupContext
    request: ExerciseRequest
    log: Log
    progress: Progress
    archive_failures: int = field(init=False)
    """Segments that the source had failed to archive before the exercise."""
    questions: Questions = field(init=False)
    t0: datetime = field(init=False)
    """When the disaster is declared."""
    knowledge: Knowledge = field(init=False)
    rehearsal: Rehearsal = field(init=False)


class ExercisePhase(ABC):
    """One phase. What it raises ends the exercise, which is then recorded as failed."""

    @abstractmethod
    def perform(self, exercise: Exercise) -> None:
        """Do it, and set in ``exercise`` what it finds."""


class ObserveSource(ExercisePhase):
    """Note how the source archives, so that a disturbance shows."""

    def perform(self, exercise: Exercise) -> None:
        exercise.archive_failures = live_source.archive_failures(exercise.ctx)


class PrepareQuestions(ExercisePhase):
    """Take the references that restored copies are compared with."""

    def perform(self, exercise: Exercise) -> None:
        exercise.questions = questions.prepare(exercise.ctx, exercise.request.scenario, exercise.log)


class DeclareDisaster(ExercisePhase):
    """Fix the moment from which the recovery time counts, and what is known then."""

    def perform(self, exercise: Exercise) -> None:
        exercise.t0 = datetime.now(UTC)
        exercise.knowledge = knowledge.gather(
            exercise.ctx, exercise.request.scenario, exercise.t0, exercise.questions
        )


class RehearseInScratch(ExercisePhase):
    """Restore and verify in a scratch directory of this host, and remove it."""

    def perform(self, exercise: Exercise) -> None:
        ctx, request = exercise.ctx, exercise.request
        name = f"{request.run_id[:8]}-{request.scenario[:3]}"
        done: Rehearsal | None = None
        torn_down = verdict("torn_down", True, "nothing of the scratch cluster is left")
        try:
            with scratch_cluster.scratch(ctx.settings, request.exercise_id, name) as here:
                done = rehearse(
                    ctx,
                    here,
                    request.scenario,
                    exercise.knowledge,
                    exercise.t0,
                    exercise.log,
                    exercise.progress,
                )
        except NotRemoved as error:
            if done is None:
                raise
            torn_down = failed("torn_down", str(error))
        done.answer(torn_down)
        exercise.rehearsal = done


class AskAboutExercise(ExercisePhase):
    """Answer everything about the exercise itself; what nobody answered is unknown."""

    def perform(self, exercise: Exercise) -> None:
        ctx, request, done = exercise.ctx, exercise.request, exercise.rehearsal

        def primary_undisturbed() -> Verification:
            return live_source.undisturbed(ctx, exercise.archive_failures)

        done.answer(run_check("primary_undisturbed", primary_undisturbed))
        immediate = done.plan is not None and done.plan.target.kind == "immediate"
        known = exercise.knowledge.source
        done.answer(recovery_checks.rpo(done.loss, request.target_rpo_ms, known, immediate))
        done.answer(recovery_checks.rto(done.rto_seconds, request.target_rto_ms))
        if "throughput" in VERIFICATIONS[request.scenario]:
            done.answers += run_checks(throughput_checks.rungs(ctx, done), exercise.log)
        done.answers += missing(done.answers, request.scenario)
