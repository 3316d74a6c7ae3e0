"""The backup jobs: an op for each phase of ``execution.PHASES``, one graph for the three kinds.

The stanza is chosen in run config: ``{"stanza": "product"}``. Ops pass nothing to each other:
each finds the run's set in the repository by its annotation, so that any of them can be
replayed on any host. The phases themselves are in ``execution``.

A run that a schedule asked for gives way to a backup of its own kind or a stronger one: it ends with no
set, its steps skipped, and the tag ``ops/skipped`` says why. One launched by hand waits for the lock.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import dagster as dg
from dagster._core.storage.tags import MAX_RUNTIME_SECONDS_TAG, RETRY_NUMBER_TAG, SCHEDULE_NAME_TAG

from ops_platform.backup.proof import rolling
from ops_platform.backup.retention import cleanup, version_pruning
from ops_platform.backup.stanza import BackupConfig, BackupContext, Kind
from ops_platform.backup.taking import (
    Backup,
    BackupRequest,
    Phase,
    RecordReport,
    TakeSet,
    execution,
    precedence,
)
from ops_platform.clients import postgres
from ops_platform.defs import run_priority, run_retries
from ops_platform.defs.backup.assets import materialization
from ops_platform.defs.failures import reported_failures
from ops_platform.defs.ownership import duty_tag, owners
from ops_platform.defs.resources import PlatformResource, StanzaLockResource
from ops_platform.defs.stanza_jobs import stanza_job, stanza_schema
from ops_platform.errors import OpsError, Unavailable
from ops_platform.housekeeping import calendar

JOB_KINDS: dict[str, Kind] = {
    "backup_full": "full",
    "backup_diff": "differential",
    "backup_incr": "incremental",
}
A_KIND: dict[Kind, str] = {
    "full": "a full",
    "differential": "a differential",
    "incremental": "an incremental",
}
SKIPPED_TAG = "ops/skipped"
# A full of a large cluster, and a cleanup that waits for it, may take longer than any other run of the
# platform (dagster.yaml). Another kind has the usual time, counted from the end of its longest wait.
_LONG = {MAX_RUNTIME_SECONDS_TAG: str(4 * 24 * 3600)}
_LONG_AFTER_ITS_TURN = {MAX_RUNTIME_SECONDS_TAG: str(60 * 3600)}
_AFTER = {"after": dg.In(dg.Nothing)}
_ALLOW_PROMOTION = dg.Field(
    bool,
    default_value=False,
    is_required=False,
    description="Take a full when the chain to build on broke; else the run refuses.",
)


class BackupOpConfig(dg.Config):
    """The config of each op of a backup job; ``kind`` as in JOB_KINDS' values."""

    stanza: str
    kind: str
    allow_promotion: bool = False


class StanzaOpConfig(dg.Config):
    """The config of the ops of ``backup_cleanup``, ``backup_prune`` and ``backup_verify``."""

    stanza: str


def phase_op(phase: Phase) -> dg.OpDefinition:
    """Make the op of one phase: it opens the stanza, holds its lock and runs the phase."""

    @dg.op(
        name=phase.name,
        description=phase.description,
        ins={} if phase is execution.PHASES[0] else _AFTER,
        # Without an output the steps behind it are skipped.
        out=dg.Out(dg.Nothing, is_required=False),
    )
    def do(
        context: dg.OpExecutionContext,
        config: BackupOpConfig,
        platform: PlatformResource,
        stanza_lock: StanzaLockResource,
    ) -> Iterator[dg.Output[None]]:
        turn_seconds = stanza_lock.turn_seconds if _is_scheduled(context) else 0.0
        with _step(context, config, platform, turn_seconds) as (opened, request):
            if not _has_turn(context, opened, request, stanza_lock, takes_set=phase in _TAKE_SET):
                return
            log = _printed(context) if isinstance(phase, TakeSet) else context.log.info
            backup = Backup(opened, request, log, _progress(context))
            metadata = phase.perform(backup)
            if isinstance(phase, RecordReport):
                context.log_event(materialization(backup.report))
        yield dg.Output(None, metadata=metadata)

    return do


def _is_scheduled(context: dg.OpExecutionContext) -> bool:
    """Tell whether a schedule asked for the run, or Dagster retries one of a schedule whose worker died.

    A person who executes one again asks for it; Dagster keeps the schedule's tag then, but not the retry's.
    """
    run = context.run
    return SCHEDULE_NAME_TAG in run.tags and (run.root_run_id is None or RETRY_NUMBER_TAG in run.tags)


def _has_turn(
    context: dg.OpExecutionContext,
    backup: BackupContext,
    request: BackupRequest,
    lock: StanzaLockResource,
    *,
    takes_set: bool,
) -> bool:
    """Take the stanza's lock; False when a scheduled run gave way, and then its tag says to what.

    A scheduled run comes next behind a backup into the cluster's other repository, however long that one is,
    up to ``turn_seconds``. ``takes_set``: whether it is still to take its set; else, in a retry, it gives
    way to nothing.
    """
    by_schedule = _is_scheduled(context)
    began = time.monotonic()

    def give_way() -> None:
        if by_schedule and takes_set:
            precedence.give_way(backup.ops_url, request.stanza, request.kind)

    while True:
        try:
            lock.hold(backup, context.log.info, give_way)
        except precedence.GaveWay as reason:
            return _skip(context, str(reason))
        except Unavailable:
            running = precedence.running_elsewhere(backup.ops_url, request.stanza) if by_schedule else None
            if running is None:
                raise
            waited = time.monotonic() - began
            if waited >= lock.turn_seconds and not takes_set:
                raise
            if waited >= lock.turn_seconds:
                return _skip(
                    context,
                    f"{request.stanza}: {running}, and this one waited {waited / 3600:.0f} h for its turn: "
                    f"take a {request.kind} by hand behind it, or move one of the two schedules",
                )
            context.log.info(f"{running}: this one comes next")
        else:
            return True


def _skip(context: dg.OpExecutionContext, reason: str) -> bool:
    context.log.warning(f"no backup was taken: {reason}")
    context.instance.add_run_tags(context.run.run_id, {SKIPPED_TAG: reason})
    return False


_TAKE_SET = execution.PHASES[:2]
OPS = tuple(phase_op(phase) for phase in execution.PHASES)


def backup_job(name: str, config: BackupConfig) -> dg.JobDefinition:
    """Make the job ``name``, which takes one kind of backup."""
    kind = JOB_KINDS[name]
    tags = {**duty_tag("backup"), **run_priority.BACKUP} | (_LONG if kind == "full" else _LONG_AFTER_ITS_TURN)

    @dg.config_mapping(config_schema={**stanza_schema(config), "allow_promotion": _ALLOW_PROMOTION})
    def choose(value: dict[str, Any]) -> dict[str, Any]:
        op_config = {"config": {**value, "kind": kind}}
        return {"ops": {op.name: op_config for op in OPS}}

    @dg.job(
        name=name,
        config=choose,
        executor_def=dg.in_process_executor,
        tags=tags,
        owners=owners("backup"),
        description=f"Take and verify {A_KIND[kind]} backup of the stanza named in run config.",
    )
    def job() -> None:
        first, *others = OPS
        before = first()
        for op in others:
            before = op(after=before)

    return job


@dg.op(description="Dry run, then expire what the retention policy lets go and nobody uses.")
def expire(
    context: dg.OpExecutionContext, config: StanzaOpConfig, platform: PlatformResource
) -> dg.Output[None]:
    """Plan the cleanup, log the plan and apply it."""
    with reported_failures():
        backup = platform.backup(config.stanza)
        plan = cleanup.plan(backup)
        context.log.info(plan.summary)
        result = cleanup.apply(backup, plan, operation_id=context.run.run_id, log=context.log.info)
        with postgres.session(backup.ops_url) as ops:
            calendar.record_performed(ops, "backup_cleanup", context.run.run_id, stanza=config.stanza)
    return dg.Output(None, metadata={"expired": list(result.expired), "kept": list(result.kept)})


def cleanup_job(config: BackupConfig) -> dg.JobDefinition:
    """Make the job ``backup_cleanup``, whose one op is ``expire``."""
    return stanza_job(
        "backup_cleanup",
        config,
        expire,
        "Apply the retention policy: a dry run first; never the last restorable chain, never a set in use.",
        duty="backup",
        tags=_LONG,
    )


@dg.op(description="Remove old versions of the repository's objects whose lock has ended.")
def prune_versions(
    context: dg.OpExecutionContext, config: StanzaOpConfig, platform: PlatformResource
) -> dg.Output[None]:
    """Prune the stanza's versions, or see that the bucket's lifecycle does it."""
    with reported_failures():
        pruned = version_pruning.prune(
            platform.backup(config.stanza),
            datetime.now(UTC),
            operation_id=context.run.run_id,
            log=context.log.info,
        )
    metadata = {"removed": pruned.removed, "locked_still": pruned.kept, "bytes": pruned.size_bytes}
    return dg.Output(None, metadata={**metadata, "by_lifecycle": pruned.by_lifecycle})


def prune_job(config: BackupConfig) -> dg.JobDefinition:
    """Make the job ``backup_prune``, whose one op is ``prune_versions``."""
    return stanza_job(
        "backup_prune",
        config,
        prune_versions,
        "Remove versions that were deleted or replaced before the margin, and whose lock has ended.",
        duty="backup",
    )


@dg.op(description="Read every stored byte that is due against its checksum, within the stanza's bounds.")
def read_bytes(
    context: dg.OpExecutionContext, config: StanzaOpConfig, platform: PlatformResource
) -> dg.Output[None]:
    """Read what is due; fail when anything is damaged, also what an earlier run found."""
    with reported_failures():
        result = rolling.run(platform.backup(config.stanza), context.log.info)
        result.require_sound(config.stanza)
    return dg.Output(None, metadata=result.as_metadata())


def verify_job(config: BackupConfig) -> dg.JobDefinition:
    """Make the job ``backup_verify``, whose one op is ``read_bytes``; everything else goes before it."""
    return stanza_job(
        "backup_verify",
        config,
        read_bytes,
        "Read the repository against its checksums, a part a day: each byte twice before it expires.",
        duty="backup",
        tags={**run_priority.WHEN_IDLE, **_LONG},
    )


@contextmanager
def _step(
    context: dg.OpExecutionContext, config: BackupOpConfig, platform: PlatformResource, turn_seconds: float
) -> Iterator[tuple[BackupContext, BackupRequest]]:
    """Open the stanza; record any failure, and report it to Dagster in one line."""
    request = BackupRequest(
        stanza=config.stanza,
        kind=_kind(config.kind),
        run_id=context.run.run_id,
        root_run_id=run_retries.root_run_id(context.run),
        launched_by="dagster",
        allow_promotion=config.allow_promotion,
        turn_seconds=turn_seconds,
    )
    backup: BackupContext | None = None
    with reported_failures():
        try:
            backup = platform.backup(config.stanza)
            yield backup, request
        except OpsError as error:
            _record_failure(context, backup, request, str(error))
            raise
        except BaseException as error:
            reason = f"{context.op.name} ended by {type(error).__name__}"
            _record_failure(context, backup, request, reason)
            raise


def _record_failure(
    context: dg.OpExecutionContext, backup: BackupContext | None, request: BackupRequest, reason: str
) -> None:
    """Record the failure if possible; when the ops database is away, the agent reconciles the row later."""
    if backup is None:
        return
    try:
        execution.fail(backup, request, reason)
    except OpsError as error:
        context.log.warning(f"the failure could not be recorded now and will be reconciled: {error}")


def _kind(value: str) -> Kind:
    for kind in JOB_KINDS.values():
        if kind == value:
            return kind
    raise dg.Failure(description=f"unknown backup kind {value!r}", allow_retries=False)


def _printed(context: dg.OpExecutionContext) -> Callable[[str], None]:
    """Log to the compute log (streamed to S3), warnings and errors also to the event log."""

    def log(line: str) -> None:
        print(line, flush=True)  # the compute log is the process's stdout
        if " WARN:" in line:
            context.log.warning(line)
        elif " ERROR:" in line:
            context.log.error(line)

    return log


def _progress(context: dg.OpExecutionContext) -> Callable[[float], None]:
    """Log progress at most once every 10 %: each event is a row in the ops database."""
    last = 0.0

    def report(fraction: float) -> None:
        nonlocal last
        if fraction - last >= 0.1:
            last = fraction
            context.log.info(f"copied {fraction:.0%}")

    return report
