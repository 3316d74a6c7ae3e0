"""When recovery is exercised by itself. Evaluations only read: each tick asks for one run per stanza."""

from collections.abc import Callable, Iterator
from datetime import UTC

import dagster as dg

from ops_platform.backup.stanza import BackupConfig
from ops_platform.defs.dr.assets import exercise_key
from ops_platform.dr.plan import SCENARIOS

STANZA_TAG = "ops/stanza"
# Off the minutes of the backups, which an exercise must not compete with for the disk.
EXERCISE_CRON = "10 6 1 * *"
CHECK_CRON = "10 7 * * 3"
REFERENCE_CRON = "5 * * * *"
EXPIRY_CRON = "20 5 * * *"


def dr_schedules(config: BackupConfig) -> list[dg.ScheduleDefinition]:
    return [
        _schedule(
            config,
            "dr_exercise_monthly",
            EXERCISE_CRON,
            "dr_exercise",
            "Exercise the recovery of each stanza: all scenarios, another chain each month.",
            _all_scenarios,
        ),
        _schedule(
            config,
            "backup_restore_check_weekly",
            CHECK_CRON,
            "backup_restore_check",
            "Restore and verify the newest set of each stanza.",
            _named_in_config,
        ),
        _schedule(
            config,
            "dr_reference_hourly",
            REFERENCE_CRON,
            "dr_reference",
            "Take a signed reference of each stanza's live server.",
            _named_in_config,
        ),
        _schedule(
            config,
            "tombstone_expiry_daily",
            EXPIRY_CRON,
            "tombstone_expiry",
            "Delete tombstones that no backup of the stanza needs any more.",
            _named_in_config,
        ),
    ]


def _schedule(
    config: BackupConfig,
    name: str,
    cron: str,
    job_name: str,
    description: str,
    request: Callable[[str, str], dg.RunRequest],
) -> dg.ScheduleDefinition:
    @dg.schedule(
        name=name,
        job_name=job_name,
        cron_schedule=cron,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=description,
    )
    def schedule(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest]:
        at = context.scheduled_execution_time.astimezone(UTC).isoformat()
        for stanza in config.stanzas:
            yield request(stanza, f"{stanza}:{at}")

    return schedule


def _all_scenarios(stanza: str, key: str) -> dg.RunRequest:
    keys = [exercise_key(stanza, scenario) for scenario in SCENARIOS]
    return dg.RunRequest(run_key=key, asset_selection=keys, tags={STANZA_TAG: stanza})


def _named_in_config(stanza: str, key: str) -> dg.RunRequest:
    return dg.RunRequest(run_key=key, run_config={"stanza": stanza}, tags={STANZA_TAG: stanza})
