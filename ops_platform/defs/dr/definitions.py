"""The Definitions of disaster recovery."""

from __future__ import annotations

from collections.abc import Sequence

import dagster as dg

from ops_platform.backup.stanza import BackupConfig
from ops_platform.defs.dr.assets import exercise_assets, exercise_key
from ops_platform.defs.dr.jobs import (
    check_restore,
    expire_tombstones,
    scratch_cluster_cleanup,
    take_reference,
)
from ops_platform.defs.dr.schedules import dr_schedules
from ops_platform.defs.dr.sensors import dr_catalogue_changes, scratch_cluster_janitor
from ops_platform.defs.ownership import duty_tag, owners
from ops_platform.defs.stanza_jobs import stanza_job
from ops_platform.dr.plan import SCENARIOS, STOLEN_KEY


def dr_definitions(config: BackupConfig) -> dg.Definitions:
    """Assets, jobs, schedules and sensors for the stanzas of ``config``."""
    assets = exercise_assets(config)
    exercise = dg.define_asset_job(
        "dr_exercise",
        selection=_selection(config, SCENARIOS),
        executor_def=dg.in_process_executor,
        tags=duty_tag("dr"),
        owners=owners("dr"),
        description="Restore for real: the monthly scenarios of the stanzas, verified, RPO and RTO measured.",
    )
    stolen_key = dg.define_asset_job(
        "dr_stolen_key",
        selection=_selection(config, (STOLEN_KEY,)),
        executor_def=dg.in_process_executor,
        tags=duty_tag("dr"),
        owners=owners("dr"),
        description="Destroy a copy of the repository with the backups' key, and restore from its versions.",
    )
    check = stanza_job(
        "backup_restore_check",
        config,
        check_restore,
        "Restore the newest set beside production and verify it.",
        duty="dr",
    )
    reference = stanza_job(
        "dr_reference",
        config,
        take_reference,
        "Take a signed reference of the stanza's live server.",
        duty="dr",
    )
    expiry = stanza_job(
        "tombstone_expiry",
        config,
        expire_tombstones,
        "Delete tombstones of erased subjects whom no backup of the stanza holds any more.",
        duty="dr",
    )
    return dg.Definitions(
        assets=assets,
        jobs=[exercise, stolen_key, check, reference, scratch_cluster_cleanup, expiry],
        schedules=dr_schedules(config),
        sensors=[scratch_cluster_janitor, dr_catalogue_changes],
    )


def _selection(config: BackupConfig, scenarios: Sequence[str]) -> dg.AssetSelection:
    """Select the scenarios' assets of every stanza, with their checks."""
    return dg.AssetSelection.assets(
        *(exercise_key(stanza, scenario) for stanza in config.stanzas for scenario in scenarios)
    )
