"""Definitions of backups."""

from __future__ import annotations

import dagster as dg

from ops_platform.backup.stanza import BackupConfig
from ops_platform.defs.backup.assets import backup_assets
from ops_platform.defs.backup.checks import wal_checks
from ops_platform.defs.backup.jobs import JOB_KINDS, backup_job, cleanup_job, prune_job, verify_job
from ops_platform.defs.backup.schedules import (
    CLEANUP_CRON,
    PRUNE_CRON,
    VERIFY_CRON,
    WAL_CHECKS_CRON,
    backup_schedules,
)
from ops_platform.defs.ownership import duty_tag, owners
from ops_platform.defs.stanza_jobs import STANZA_TAG, key_parts, per_stanza_schedules


def backup_definitions(config: BackupConfig) -> dg.Definitions:
    """Define the assets, jobs, checks and schedules for the stanzas of ``config``."""
    jobs = [backup_job(name, config) for name in JOB_KINDS]
    schedules = [schedule for job in jobs for schedule in backup_schedules(config, job)]
    checks = wal_checks(config)
    checks_job = dg.define_asset_job(
        "wal_checks",
        selection=dg.AssetSelection.checks(*checks),
        executor_def=dg.in_process_executor,
        tags=duty_tag("backup"),
        owners=owners("backup"),
        description="Check archive, archiver, RPO, freshness, encryption and lock of the stanzas.",
    )
    cleanup, prune, verification = cleanup_job(config), prune_job(config), verify_job(config)

    def checks_of(stanza: str, key: str) -> dg.RunRequest:
        keys = [
            spec.key
            for definition in checks
            for spec in definition.check_specs
            if list(spec.key.asset_key.path[1:-1]) == key_parts(stanza)
        ]
        return dg.RunRequest(run_key=key, asset_check_keys=keys, tags={STANZA_TAG: stanza})

    schedules += [
        *per_stanza_schedules(
            config,
            "wal_checks_quarter_hourly",
            WAL_CHECKS_CRON,
            checks_job.name,
            "check its archive, archiver, RPO, freshness, encryption and lock.",
            checks_of,
        ),
        *per_stanza_schedules(
            config,
            "backup_cleanup_monthly",
            CLEANUP_CRON,
            cleanup.name,
            "apply its retention policy.",
        ),
        *per_stanza_schedules(
            config,
            "backup_prune_daily",
            PRUNE_CRON,
            prune.name,
            "remove old versions whose lock has ended.",
        ),
        *per_stanza_schedules(
            config,
            "backup_verify_daily",
            VERIFY_CRON,
            verification.name,
            "read what is due of its stored bytes.",
        ),
    ]
    return dg.Definitions(
        assets=list(backup_assets(config)),
        asset_checks=checks,
        jobs=[*jobs, cleanup, prune, verification, checks_job],
        schedules=schedules,
    )
