"""The schedules of disaster recovery, one of each kind for each stanza. Evaluations only read."""

import dagster as dg

from ops_platform.backup.stanza import BackupConfig
from ops_platform.defs.dr.assets import exercise_key
from ops_platform.defs.stanza_jobs import STANZA_TAG, per_stanza_schedules
from ops_platform.dr.plan import SCENARIOS, STOLEN_KEY

# Not in the minutes of the backups: an exercise must not compete with them for the disk.
EXERCISE_CRON = "10 6 1 * *"
STOLEN_KEY_CRON = "10 8 5 1,4,7,10 *"
CHECK_CRON = "10 7 * * 3"
REFERENCE_CRON = "5 * * * *"
EXPIRY_CRON = "20 5 * * *"


def dr_schedules(config: BackupConfig) -> list[dg.ScheduleDefinition]:
    """Make the schedules for the stanzas of ``config``."""
    return [
        *per_stanza_schedules(
            config,
            "dr_exercise_monthly",
            EXERCISE_CRON,
            "dr_exercise",
            "exercise its recovery: all scenarios, another chain each month.",
            _all_scenarios,
        ),
        *per_stanza_schedules(
            config,
            "dr_stolen_key_quarterly",
            STOLEN_KEY_CRON,
            "dr_stolen_key",
            "destroy a copy of its repository with the key of the backups, and restore from the versions.",
            _stolen_key,
        ),
        *per_stanza_schedules(
            config,
            "backup_restore_check_weekly",
            CHECK_CRON,
            "backup_restore_check",
            "restore and verify its newest set.",
        ),
        *per_stanza_schedules(
            config,
            "dr_reference_hourly",
            REFERENCE_CRON,
            "dr_reference",
            "take a signed reference of its live server.",
            of_clusters=True,
        ),
        *per_stanza_schedules(
            config,
            "tombstone_expiry_daily",
            EXPIRY_CRON,
            "tombstone_expiry",
            "delete tombstones that none of its backups needs any more.",
            of_clusters=True,
        ),
    ]


def _all_scenarios(stanza: str, key: str) -> dg.RunRequest:
    keys = [exercise_key(stanza, scenario) for scenario in SCENARIOS]
    return dg.RunRequest(run_key=key, asset_selection=keys, tags={STANZA_TAG: stanza})


def _stolen_key(stanza: str, key: str) -> dg.RunRequest:
    keys = [exercise_key(stanza, STOLEN_KEY)]
    return dg.RunRequest(run_key=key, asset_selection=keys, tags={STANZA_TAG: stanza})
