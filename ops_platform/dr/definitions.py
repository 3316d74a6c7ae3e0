"""The Definitions of disaster recovery."""

from __future__ import annotations

import dagster as dg

from ops_platform.backup.schedules import STANZA_TAG, per_stanza_schedule
from ops_platform.backup.stanza import BackupConfig
from ops_platform.dr.assets import exercise_assets, exercise_key
from ops_platform.dr.jobs import check_restore, scratch_cluster_cleanup, stanza_job, take_reference
from ops_platform.dr.scenario import SCENARIOS
from ops_platform.dr.sensors import scratch_cluster_janitor

# Off the minutes of the backups, which an exercise must not compete with for the disk.
EXERCISE_CRON = "10 6 1 * *"
CHECK_CRON = "10 7 * * 3"
REFERENCE_CRON = "5 * * * *"


def dr_definitions(config: BackupConfig) -> dg.Definitions:
    """Assets, jobs, schedules and the janitor for the stanzas of ``config``."""
    assets = exercise_assets(config)
    exercise = dg.define_asset_job(
        "dr_exercise",
        selection=dg.AssetSelection.assets(*assets),
        executor_def=dg.in_process_executor,
        tags={"duty": "dr"},
        description="Restore for real: all scenarios of the stanzas, verified, RPO and RTO measured.",
    )
    check = stanza_job(
        "backup_restore_check",
        config,
        check_restore,
        "Restore the newest set beside production and verify it.",
    )
    reference = stanza_job(
        "dr_reference", config, take_reference, "Take a signed reference of the stanza's live server."
    )

    def scenarios_of(stanza: str, key: str) -> dg.RunRequest:
        keys = [exercise_key(stanza, scenario) for scenario in SCENARIOS]
        return dg.RunRequest(run_key=key, asset_selection=keys, tags={STANZA_TAG: stanza})

    schedules = [
        per_stanza_schedule(
            config,
            "dr_exercise_monthly",
            EXERCISE_CRON,
            exercise.name,
            "Exercise the recovery of each stanza: all scenarios, another chain each month.",
            scenarios_of,
        ),
        per_stanza_schedule(
            config,
            "backup_restore_check_weekly",
            CHECK_CRON,
            check.name,
            "Restore and verify the newest set of each stanza.",
        ),
        per_stanza_schedule(
            config,
            "dr_reference_hourly",
            REFERENCE_CRON,
            reference.name,
            "Take a signed reference of each stanza's live server.",
        ),
    ]
    return dg.Definitions(
        assets=assets,
        jobs=[exercise, check, reference, scratch_cluster_cleanup],
        schedules=schedules,
        sensors=[scratch_cluster_janitor],
    )
