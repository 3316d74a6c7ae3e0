"""The theft within an exercise: a plan's repository copied and destroyed, and what the restore then reads."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime

from ops_platform.backup.stanza import BackupContext
from ops_platform.clients import object_store
from ops_platform.dr.exercise import knowledge
from ops_platform.dr.exercise.drill import EXERCISE_OPTIONS
from ops_platform.dr.exercise.rehearsal import LIVE, Log, RestoreOptions
from ops_platform.dr.exercise.report import ExerciseRequest
from ops_platform.dr.inspection import Verification
from ops_platform.dr.plan import scenario
from ops_platform.dr.restore import past_repository, scratch_cluster
from ops_platform.dr.restore.past_repository import PastRepository
from ops_platform.dr.stolen_key import Answers, RepositoryCopy, attack, repository_copy


@dataclass(frozen=True)
class Theft:
    """A copy that a thief has destroyed; ``verdict``: whether its versions survived that."""

    ctx: BackupContext
    copy: RepositoryCopy
    repository: PastRepository
    verdict: Verification

    @property
    def options(self) -> RestoreOptions:
        """The options of an exercise that reads the copy as it was before the theft."""
        return replace(EXERCISE_OPTIONS, repository=self.repository)

    def clear_away(self) -> None:
        """Delete what is left of the copy."""
        repository_copy.clear_away(self.ctx)


def perform(ctx: BackupContext, request: ExerciseRequest, log: Log) -> Theft:
    """Copy what the newest set needs into the drill bucket, and attack the copy with the key of the backups.

    Raises ConfigurationError without a drill bucket, another OpsError when there is nothing to copy or the
    store is away.
    """
    now = datetime.now(UTC)
    if left := repository_copy.clear_away(ctx):
        log(f"deleted {left} objects in the drill bucket, which a killed exercise had left")
    try:
        copy, answers, verdict = _steal(ctx, request, now, log)
    except BaseException:
        repository_copy.clear_away(ctx)
        raise
    for attempt, line in answers.lines().items():
        log(f"with the stolen key: {attempt}: {line}")
    store = object_store.drill_from_settings(ctx.settings, "backup_reader")
    return Theft(ctx, copy, past_repository.PastRepository(store, copy.key_prefix, copy.moment), verdict)


def _steal(
    ctx: BackupContext, request: ExerciseRequest, now: datetime, log: Log
) -> tuple[RepositoryCopy, Answers, Verification]:
    with scratch_cluster.scratch(ctx.settings, request.exercise_id, f"{request.run_id[:8]}-key") as here:
        reader = LIVE.open_reader(ctx, here)
        plan = scenario.choose("latest", knowledge.settled(reader), lambda since, until, near: (), now)
        copy = repository_copy.make(ctx, reader, plan, request.run_id)
    log(f"copied {len(copy.originals)} objects ({copy.size_bytes / 1e6:.1f} MB) into {copy.bucket}")
    answers = attack.carry_out(ctx, copy)
    return copy, answers, attack.judge(ctx, copy, answers)
