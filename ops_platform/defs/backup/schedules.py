"""Schedules of backups: one of each kind for each stanza. Evaluations only read.

A backup gives way to one of its own kind or a stronger one that runs or waits, so that a full of many
hours lets the later ones skip, and is never starved by them. Dagster makes up for a schedule's last
missed tick only: a schedule of several stanzas would make up for one of them.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import dagster as dg

from ops_platform.backup.stanza import BackupConfig, Kind, locks
from ops_platform.backup.taking import precedence
from ops_platform.defs.backup.jobs import A_KIND, JOB_KINDS
from ops_platform.defs.failures import reported_failures
from ops_platform.defs.resources import PlatformResource
from ops_platform.defs.stanza_jobs import STANZA_TAG, schedule_name

# Daily at most: a backup is never asked for more than once a minute, and a month always has a tick.
CLEANUP_CRON = "0 5 1 * *"
PRUNE_CRON = "50 4 * * *"
VERIFY_CRON = "35 4 * * *"
WAL_CHECKS_CRON = "7,22,37,52 * * * *"
SCHEDULE_NAMES: dict[str, str] = {
    "backup_full": "backup_full_weekly",
    "backup_diff": "backup_diff_daily",
    "backup_incr": "backup_incr_hourly",
}
# A run whose host crashed stays STARTED; after this long without the stanza's lock it is a ghost.
GHOST_AFTER = timedelta(minutes=3)

Tick = dg.RunRequest | dg.SkipReason


def backup_schedules(config: BackupConfig, job: dg.JobDefinition) -> Iterable[dg.ScheduleDefinition]:
    """Define the schedules of one kind, one for each stanza that has the kind in its schedules."""
    kind = JOB_KINDS[job.name]
    for name, stanza in config.stanzas.items():
        cron = stanza.schedules.get(kind)
        if cron is not None:
            yield _schedule(job, name, kind, cron)


def _schedule(job: dg.JobDefinition, stanza: str, kind: Kind, cron: str) -> dg.ScheduleDefinition:
    @dg.schedule(
        name=schedule_name(SCHEDULE_NAMES[job.name], stanza),
        job=job,
        cron_schedule=cron,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=f"{stanza}: take {A_KIND[kind]} backup.",
    )
    def schedule(context: dg.ScheduleEvaluationContext, platform: PlatformResource) -> Tick:
        with reported_failures():
            reason = busy_reason(context.instance, platform, stanza, kind, datetime.now(UTC))
        if reason is not None:
            return dg.SkipReason(f"{stanza}: {reason}; the next {kind} takes what this one would have")
        at = context.scheduled_execution_time.astimezone(UTC).isoformat()
        return dg.RunRequest(
            run_key=f"{stanza}:{at}", run_config={"stanza": stanza}, tags={STANZA_TAG: stanza}
        )

    return schedule


def busy_reason(
    instance: dg.DagsterInstance, platform: PlatformResource, stanza: str, kind: Kind, now: datetime
) -> str | None:
    """Say why a backup of ``kind`` should give way: one that precedes it runs, or waits to run.

    An incremental gives way to any backup. None when it should run. Raises Unavailable when the ops
    database is away.
    """
    url = platform.settings().require("database_url")
    running = precedence.running_backup(url, stanza, kind)
    if running is not None:
        return running
    if kind == "incremental" and locks.is_held(url, stanza):
        return "another backup is running"
    return _waiting_run(instance, stanza, kind, now)


def _waiting_run(instance: dg.DagsterInstance, stanza: str, kind: Kind, now: datetime) -> str | None:
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
        its_kind, its_stanza = JOB_KINDS.get(run.job_name), str(run.run_config.get("stanza"))
        if its_kind is None or not precedence.precedes((its_stanza, its_kind), (stanza, kind)):
            continue
        started = run.status == dg.DagsterRunStatus.STARTED
        if started and now - record.update_timestamp.astimezone(UTC) > GHOST_AFTER:
            continue
        return f"run {run.run_id[:8]} of {run.job_name} is {run.status.value.lower()}"
    return None
