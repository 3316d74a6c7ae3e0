"""The phases of an exercise, each using what earlier ones found. Their order is in ``runner``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from datetime import UTC, datetime

from ops_platform.backup.stanza import BackupContext
from ops_platform.dr.exercise import knowledge, theft, throughput_checks
from ops_platform.dr.exercise.drill import EXERCISE_OPTIONS, rehearse
from ops_platform.dr.exercise.rehearsal import Knowledge, Log, Progress, Rehearsal, RestoreChecks
from ops_platform.dr.exercise.report import ExerciseRequest
from ops_platform.dr.exercise.theft import Theft
from ops_platform.dr.inspection import (
    VERIFICATIONS,
    Verification,
    failed,
    missing,
    run_check,
    run_checks,
    verdict,
)
from ops_platform.dr.plan import STOLEN_KEY
from ops_platform.dr.restore import NotRemoved, scratch_cluster
from ops_platform.dr.verification import live_source, recovery_checks, suite


@dataclass(repr=False)
class Exercise:
    """The state that the phases of one exercise share.

    The phases set the fields; reading one before that raises AttributeError.
    """

    ctx: BackupContext
    request: ExerciseRequest
    log: Log
    progress: Progress
    archive_failures: int = field(init=False)
    """Segments that the source had failed to archive before the exercise."""
    checks: RestoreChecks = field(init=False)
    theft: Theft | None = None
    """What was copied and destroyed; None in other scenarios."""
    t0: datetime = field(init=False)
    """When the disaster is declared; of a stolen key, when the thief came."""
    knowledge: Knowledge = field(init=False)
    rehearsal: Rehearsal = field(init=False)


class ExercisePhase(ABC):
    """One phase. An exception in it ends the exercise, which is then recorded as failed."""

    @abstractmethod
    def perform(self, exercise: Exercise) -> None:
        """Carry out the phase, and set what it finds in ``exercise``."""


class ObserveSource(ExercisePhase):
    """Count the source's archive failures so far, so that a disturbance by the exercise shows."""

    def perform(self, exercise: Exercise) -> None:
        """Set ``archive_failures``."""
        exercise.archive_failures = live_source.archive_failures(exercise.ctx)


class PrepareChecks(ExercisePhase):
    """Take the references that restored copies are compared with."""

    def perform(self, exercise: Exercise) -> None:
        """Set ``checks``; raises an OpsError when the source or the ops database is away."""
        exercise.checks = suite.prepare(exercise.ctx, exercise.request.scenario, exercise.log)


class StealKey(ExercisePhase):
    """In the scenario of the stolen key: copy the repository, and let a thief destroy the copy."""

    def perform(self, exercise: Exercise) -> None:
        """Set ``theft``; raises an OpsError when the copy could not be made or attacked."""
        ctx, request = exercise.ctx, exercise.request
        if request.scenario == STOLEN_KEY:
            exercise.theft = theft.perform(ctx, request, exercise.log)


class DeclareDisaster(ExercisePhase):
    """Fix the moment from which the recovery time counts, and gather what is known then."""

    def perform(self, exercise: Exercise) -> None:
        """Set ``t0`` and ``knowledge``."""
        stolen = exercise.theft
        exercise.t0 = datetime.now(UTC) if stolen is None else stolen.copy.moment
        exercise.knowledge = knowledge.gather(
            exercise.ctx,
            exercise.request.scenario,
            exercise.t0,
            exercise.checks,
        )


class RehearseInScratch(ExercisePhase):
    """Restore and verify in a scratch directory of this host, and remove it."""

    def perform(self, exercise: Exercise) -> None:
        """Set ``rehearsal``; a directory that cannot be removed fails the check ``torn_down``."""
        ctx, request = exercise.ctx, exercise.request
        name = f"{request.run_id[:8]}-{request.scenario[:3]}"
        rehearsal: Rehearsal | None = None
        torn_down = verdict("torn_down", True, "nothing of the scratch cluster is left")
        try:
            with scratch_cluster.scratch(ctx.settings, request.exercise_id, name) as here:
                rehearsal = rehearse(
                    ctx,
                    here,
                    request.scenario,
                    exercise.knowledge,
                    exercise.t0,
                    exercise.log,
                    exercise.progress,
                    EXERCISE_OPTIONS if exercise.theft is None else exercise.theft.options,
                )
        except NotRemoved as error:
            if rehearsal is None:
                raise
            torn_down = failed("torn_down", str(error))
        finally:
            if exercise.theft is not None:
                exercise.theft.clear_away()
        if exercise.theft is not None:
            rehearsal.add(exercise.theft.verdict)
        rehearsal.add(torn_down)
        exercise.rehearsal = rehearsal


class CheckExercise(ExercisePhase):
    """Check the exercise itself: source, RPO, RTO, throughput. A check without a result is unknown."""

    def perform(self, exercise: Exercise) -> None:
        """Add the results to ``rehearsal``."""
        ctx, request, rehearsal = exercise.ctx, exercise.request, exercise.rehearsal

        def primary_undisturbed() -> Verification:
            return live_source.undisturbed(ctx, exercise.archive_failures)

        rehearsal.add(run_check("primary_undisturbed", primary_undisturbed))
        immediate = rehearsal.plan is not None and rehearsal.plan.target.kind == "immediate"
        source = exercise.knowledge.source
        rehearsal.add(recovery_checks.rpo(rehearsal.loss, request.target_rpo_ms, source, immediate))
        rehearsal.add(recovery_checks.rto(rehearsal.rto_seconds, request.target_rto_ms))
        if "throughput" in VERIFICATIONS[request.scenario]:
            rehearsal.results += run_checks(throughput_checks.checks(ctx, rehearsal), exercise.log)
        rehearsal.results += missing(rehearsal.results, request.scenario)
