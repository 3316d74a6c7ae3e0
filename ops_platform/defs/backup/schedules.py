"""Schedules of backups. Evaluations only read; a dry run from the UI changes nothing.

A schedule ticks at the union of its stanzas' times and asks for one run per stanza that is due.
An incremental gives way to any backup that runs or waits, so that a full is never starved.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import dagster as dg

from ops_platform.backup.stanza import BackupConfig, Cron, Kind, locks
from ops_platform.defs.backup.jobs import JOB_KINDS
from ops_platform.defs.failures import reported_failures
from ops_platform.defs.resources import PlatformResource
from ops_platform.defs.stanza_jobs import STANZA_TAG

# Daily at most: a backup is never asked for more than once a minute, and a month always has a tick.
CLEANUP_CRON = "0 5 1 * *"
WAL_CHECKS_CRON = "7,22,37,52 * * * *"
SCHEDULE_NAMES: dict[str, str] = {
    "backup_full": "backup_full_weekly",
    "backup_diff": "backup_diff_daily",
    "backup_incr": "backup_incr_hourly",
}
# A run whose host crashed stays STARTED; after this long without the stanza's lock it is a ghost.
GHOST_AFTER = timedelta(minutes=3)

Tick = dg.RunRequest | dg.SkipReason


def backup_schedule(config: BackupConfig, job: dg.JobDefinition) -> dg.ScheduleDefinition | None:
    """Define the schedule of one kind; None when no stanza has it in its schedules."""
    kind = JOB_KINDS[job.name]
    crons = {
        name: cron
        for name, stanza in config.stanzas.items()
        if (cron := stanza.schedules.get(kind)) is not None
    }
    if not crons:
        return None

    @dg.schedule(
        name=SCHEDULE_NAMES[job.name],
        job=job,
        cron_schedule=sorted(set(crons.values())),
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=f"Take a {kind} backup of each stanza that is due.",
    )
    def schedule(context: dg.ScheduleEvaluationContext, platform: PlatformResource) -> Iterator[Tick]:
        at = context.scheduled_execution_time
        for stanza, cron in crons.items():
            if is_due(cron, at):
                with reported_failures():
                    tick = _request(context, stanza, kind, at, platform)
                yield tick

    return schedule


def is_due(cron: str, at: datetime) -> bool:
    """Tell whether ``cron`` (UTC) is due in the minute of ``at``."""
    return Cron(cron).last(at) == at.astimezone(UTC).replace(second=0, microsecond=0)


def _request(
    context: dg.ScheduleEvaluationContext, stanza: str, kind: Kind, at: datetime, platform: PlatformResource
) -> Tick:
    if kind == "incremental":
        reason = busy_reason(context.instance, platform, stanza, at)
        if reason is not None:
            return dg.SkipReason(f"{stanza}: {reason}; the next hourly tick takes what this one would have")
    return dg.RunRequest(
        run_key=f"{stanza}:{at.astimezone(UTC).isoformat()}",
        run_config={"stanza": stanza},
        tags={STANZA_TAG: stanza},
    )


def busy_reason(
    instance: dg.DagsterInstance, platform: PlatformResource, stanza: str, now: datetime
) -> str | None:
    """Say why an incremental should give way: a backup holds the stanza's lock, or waits to run.

    None when it should run. Raises Unavailable when the ops database is away.
    """
    if locks.is_held(platform.settings().require("database_url"), stanza):
        return "another backup is running"
    waiting = dg.RunsFilter(
        statuses=[
            dg.DagsterRunStatus.QUEUED,
            dg.DagsterRunStatus.NOT_STARTED,
            dg.DagsterRunStatus.STARTING,
            dg.DagsterRunStatus.STARTED,
        ]
    )
    for record in instance.get_run_records(waiting, limit=200):
        run = record.dagster_run
        if run.job_name not in JOB_KINDS or run.run_config.get("stanza") != stanza:
            continue
        started = run.status == dg.DagsterRunStatus.STARTED
        if started and now - record.update_timestamp.astimezone(UTC) > GHOST_AFTER:
            continue
        return f"run {run.run_id[:8]} of {run.job_name} is {run.status.value.lower()}"
    return None
