"""Cases of backups.yml."""

from __future__ import annotations

from collections.abc import Mapping

from ops_platform_tests.dashboards.rule_case import HOUR, PRODUCT, Case, gauge


def backup(severity: str, **labels: str) -> tuple[Mapping[str, str], ...]:
    return ({"severity": severity, "service": "backup", **labels},)


LIMITS = {
    'backup_freshness_limit_seconds{stanza="product",kind="full"}': (7 * 24 + 6) * 3600,
    'backup_freshness_limit_seconds{stanza="product",kind="differential"}': 26 * 3600,
    'backup_freshness_limit_seconds{stanza="product",kind="incremental"}': 2 * 3600,
}


def success(**hours: float) -> dict[str, str]:
    """Newest stop times in hours since the epoch, beside the limits; as constants over three weeks."""
    series = {name: f"{limit}x20000" for name, limit in LIMITS.items()}
    for kind, hour in hours.items():
        name = f'backup_last_success_timestamp_seconds{{stanza="product",kind="{kind}"}}'
        series[name] = f"{hour * 3600:.0f}x20000"
    return series


BACKUPS = (
    Case(
        "BackupFailed",
        "the newest run failed",
        1,
        gauge("backup_last_run_failed", 1, stanza="product", kind="full"),
        backup("warning", stanza="product", kind="full"),
    ),
    Case(
        "BackupFailed",
        "the metric is away for ten minutes: still failed",
        11,
        {'backup_last_run_failed{stanza="product",kind="full"}': "1 1 _x30"},
        backup("warning", stanza="product", kind="full"),
    ),
    Case(
        "BackupFailed",
        "a later run succeeded",
        3,
        {'backup_last_run_failed{stanza="product",kind="full"}': "1 1 0 0 0"},
    ),
    Case(
        "BackupStale",
        "a full is older than 7 d and 6 h",
        7 * HOUR + 30,
        success(full=1 - 168, differential=0, incremental=7),
        backup("critical", stanza="product", kind="full"),
        "7d 6h 30m 0s",
    ),
    Case(
        "BackupStale",
        "a full is 7 d and 6 h old to the second",
        7 * HOUR,
        success(full=1 - 168, differential=0, incremental=7),
    ),
    Case(
        "BackupStale",
        "a differential is older than 26 h",
        27 * HOUR + 30,
        success(full=0, differential=1, incremental=27),
        backup("warning", stanza="product", kind="differential"),
        "1d 2h 30m 0s",
    ),
    Case(
        "BackupStale",
        "a later full counts as a differential",
        27 * HOUR + 30,
        success(full=5, differential=1, incremental=27),
    ),
    Case(
        "BackupStale",
        "an incremental is older than 2 h",
        4 * HOUR + 30,
        success(full=0, differential=1, incremental=2),
        backup("warning", stanza="product", kind="incremental"),
        "2h 30m 0s",
    ),
    Case(
        "BackupStale",
        "a later differential counts as an incremental",
        4 * HOUR + 30,
        success(full=0, differential=3, incremental=2),
    ),
    Case(
        "BackupStale",
        "an incremental is stale because a full runs",
        4 * HOUR + 30,
        {
            **success(full=0, differential=1, incremental=2),
            'backup_running_since_timestamp_seconds{stanza="product",kind="full"}': f"{4 * 3600}x300",
        },
    ),
    Case(
        "BackupStale",
        "a backup that hangs for 12 h hides nothing",
        15 * HOUR,
        {
            **success(full=0, differential=1, incremental=1),
            'backup_running_since_timestamp_seconds{stanza="product",kind="full"}': f"{2 * 3600}x1000",
        },
        backup("warning", stanza="product", kind="incremental"),
        "14h 0m 0s",
    ),
    Case(
        "BackupMissing",
        "no full for half an hour",
        31,
        gauge("backup_sets", 0, stanza="product", kind="full"),
        backup("critical", stanza="product", kind="full"),
    ),
    Case(
        "BackupMissing",
        "a new stanza has half an hour",
        29,
        gauge("backup_sets", 0, stanza="product", kind="full"),
    ),
    Case(
        "BackupMissing",
        "no differential yet is no alarm",
        31,
        {
            **gauge("backup_sets", 1, stanza="product", kind="full"),
            **gauge("backup_sets", 0, stanza="product", kind="differential"),
        },
    ),
    Case(
        "BackupRunningLong",
        "a backup runs for more than 12 h",
        12 * HOUR + 30,
        gauge("backup_running_since_timestamp_seconds", 0, 800, stanza="product", kind="full"),
        backup("warning", stanza="product", kind="full"),
        "12h 30m 0s",
    ),
    Case(
        "BackupRunningLong",
        "a backup runs for 12 h",
        12 * HOUR,
        gauge("backup_running_since_timestamp_seconds", 0, 800, stanza="product", kind="full"),
    ),
    Case(
        "BackupSetDamaged",
        "one set holds damaged pages",
        1,
        gauge("backup_damaged_sets", 1, **PRODUCT),
        backup("critical", stanza="product"),
        "1",
    ),
    Case("BackupSetDamaged", "no set does", 1, gauge("backup_damaged_sets", 0, **PRODUCT)),
    Case(
        "BackupFilesMissing",
        "a bundle of the newest full is gone",
        1,
        gauge("backup_incomplete_sets", 3, **PRODUCT),
        backup("critical", stanza="product"),
        "3",
    ),
    Case(
        "BackupFilesMissing",
        "a full has been taken since",
        4,
        {'backup_incomplete_sets{stanza="product"}': "3 3 0 0 0"},
    ),
    Case(
        "BackupVerificationOverdue",
        "bytes were due two days ago",
        2 * 24 * HOUR + 30,
        gauge("backup_verification_due_timestamp_seconds", 0, 4000, **PRODUCT),
        backup("warning", stanza="product"),
        "2d 0h 30m 0s",
    ),
    Case(
        "BackupVerificationOverdue",
        "bytes are due, and the run of the night reads them",
        24 * HOUR,
        gauge("backup_verification_due_timestamp_seconds", 0, 4000, **PRODUCT),
    ),
    Case(
        "BackupNeverVerified",
        "three days after the first full nothing was read",
        3 * 24 * HOUR + 30,
        gauge("backup_sets", 1, 5000, stanza="product", kind="full"),
        backup("warning", stanza="product", kind="full"),
    ),
    Case(
        "BackupNeverVerified",
        "the first full is of yesterday",
        24 * HOUR,
        gauge("backup_sets", 1, 5000, stanza="product", kind="full"),
    ),
    Case(
        "WalSegmentDamaged",
        "a segment has other bytes",
        1,
        gauge("backup_damaged_segments", 1, **PRODUCT),
        backup("critical", stanza="product"),
        "1",
    ),
    Case("WalSegmentDamaged", "none has", 1, gauge("backup_damaged_segments", 0, **PRODUCT)),
    Case(
        "ArchiveConfigurationStale",
        "no backup adopts it",
        190,
        gauge("backup_archive_configured", 0, **PRODUCT),
        backup("warning", stanza="product"),
    ),
    Case("ArchiveConfigurationStale", "it is the one", 190, gauge("backup_archive_configured", 1, **PRODUCT)),
    Case(
        "BackupDatabaseDown",
        "the server is away",
        3,
        gauge("backup_database_up", 0, **PRODUCT),
        backup("critical", stanza="product"),
    ),
    Case(
        "BackupDatabaseDown", "the server restarts", 4, {'backup_database_up{stanza="product"}': "1 0 0 1 1"}
    ),
    Case(
        "BackupHeartbeatStopped",
        "no heartbeat for minutes",
        3,
        gauge("backup_heartbeat_timestamp_seconds", 30, **PRODUCT),
        backup("warning", stanza="product"),
        "2m 30s",
    ),
    Case(
        "BackupHeartbeatStopped",
        "heartbeats go on",
        10,
        {'backup_heartbeat_timestamp_seconds{stanza="product"}': "0+60x20"},
    ),
    Case(
        "BackupClockWrong",
        "the server is an hour behind",
        3,
        gauge("backup_clock_skew_seconds", -3600, **PRODUCT),
        backup("critical", stanza="product"),
        "1h 0m 0s",
    ),
    Case(
        "BackupClockWrong",
        "the server is an hour ahead",
        3,
        gauge("backup_clock_skew_seconds", 3600, **PRODUCT),
        backup("critical", stanza="product"),
        "1h 0m 0s",
    ),
    Case("BackupClockWrong", "a minute is borne", 9, gauge("backup_clock_skew_seconds", 60, **PRODUCT)),
    Case(
        "BackupSetsLost",
        "four sets vanished",
        0,
        gauge("backup_lost_sets", 4, **PRODUCT),
        backup("critical", stanza="product"),
        "4",
    ),
    Case(
        "BackupSetsLost",
        "they did, and the ops database does not answer for ten minutes",
        11,
        {'backup_lost_sets{stanza="product"}': "4 4 _x30"},
        backup("critical", stanza="product"),
        "4",
    ),
    Case(
        "BackupSetsLost",
        "they were put back",
        3,
        {'backup_lost_sets{stanza="product"}': "4 4 0 0 0"},
    ),
    Case("BackupSetsLost", "none did", 5, gauge("backup_lost_sets", 0, **PRODUCT)),
    Case(
        "BackupWindowShort",
        "nothing can be restored of a stanza that is a day old",
        2,
        {
            **gauge("backup_recoverable_seconds", 0, **PRODUCT),
            **gauge("backup_recoverable_expected_seconds", 86400, **PRODUCT),
        },
        backup("critical", stanza="product"),
        "0s",
    ),
    Case(
        "BackupWindowShort",
        "what it has to be is not known for ten minutes",
        11,
        {
            **gauge("backup_recoverable_seconds", 3600, **PRODUCT),
            'backup_recoverable_expected_seconds{stanza="product"}': "86400 86400 _x30",
        },
        backup("critical", stanza="product"),
        "1h 0m 0s",
    ),
    Case(
        "BackupWindowShort",
        "a young stanza with all that it ever had",
        5,
        {
            **gauge("backup_recoverable_seconds", 7200, **PRODUCT),
            **gauge("backup_recoverable_expected_seconds", 7230, **PRODUCT),
        },
    ),
    Case(
        "BackupWindowShrank",
        "ten days became one hour",
        3,
        {
            'backup_recoverable_seconds{stanza="product"}': "864000 3600 3600 3600 3600",
            **gauge("backup_recoverable_promised_seconds", 3_024_000, **PRODUCT),
        },
        backup("critical", stanza="product"),
        "9d 23h 0m 0s",
    ),
    Case(
        "BackupWindowShrank",
        "a cleanup left what is promised",
        3,
        {
            'backup_recoverable_seconds{stanza="product"}': "5000000 3030000 3030000 3030000 3030000",
            **gauge("backup_recoverable_promised_seconds", 3_024_000, **PRODUCT),
        },
    ),
    Case(
        "BackupWindowShrank",
        "a person has acknowledged it",
        3,
        {
            'backup_recoverable_seconds{stanza="product"}': "864000 3600 3600 3600 3600",
            **gauge("backup_recoverable_promised_seconds", 3_024_000, **PRODUCT),
            **gauge("backup_loss_acknowledged_timestamp_seconds", 100, **PRODUCT),
        },
    ),
    Case(
        "BackupWindowUnknown",
        "it was never measured",
        16,
        gauge("backup_recoverable_promised_seconds", 3_024_000, **PRODUCT),
        backup("critical", stanza="product"),
        "3024000",
    ),
    Case(
        "BackupWindowUnknown",
        "it is measured, but which sets were recorded is not known",
        25,
        {
            **gauge("backup_recoverable_promised_seconds", 3_024_000, **PRODUCT),
            **gauge("backup_recoverable_seconds", 3_024_000, **PRODUCT),
            'backup_lost_sets{stanza="product"}': "0 0 _x30",
        },
        backup("critical", stanza="product"),
        "3024000",
    ),
    Case(
        "BackupWindowUnknown",
        "it is nothing, and known to be",
        30,
        {
            **gauge("backup_recoverable_promised_seconds", 3_024_000, **PRODUCT),
            **gauge("backup_recoverable_seconds", 0, **PRODUCT),
            **gauge("backup_lost_sets", 0, **PRODUCT),
        },
    ),
    Case(
        "WalArchiveGap",
        "two segments are missing",
        3,
        gauge("backup_wal_gap_segments", 2, **PRODUCT),
        backup("critical", stanza="product"),
        "2",
    ),
    Case(
        "WalArchiveGap",
        "segments arrive out of order for a moment",
        3,
        {'backup_wal_gap_segments{stanza="product"}': "0 1 1 0 0"},
    ),
    Case(
        "WalArchiveFailing",
        "archiving fails",
        3,
        gauge("backup_archive_failing", 1, **PRODUCT),
        backup("warning", stanza="product"),
    ),
    Case(
        "WalArchiveFailing", "one attempt failed", 3, {'backup_archive_failing{stanza="product"}': "0 1 0 0"}
    ),
    Case(
        "WalDiskFilling",
        "nothing is archived, and a twentieth is left",
        3,
        {
            **gauge("backup_wal_disk_free_bytes", 5 << 30, **PRODUCT),
            **gauge("backup_wal_disk_bytes", 100 << 30, **PRODUCT),
        },
        backup("critical", stanza="product"),
        "5Gi",
    ),
    Case(
        "WalDiskFilling",
        "a tenth is free",
        9,
        {
            **gauge("backup_wal_disk_free_bytes", 10 << 30, **PRODUCT),
            **gauge("backup_wal_disk_bytes", 100 << 30, **PRODUCT),
        },
    ),
    Case(
        "WalArchiverUntrue",
        "what the server calls archived is not in the repository",
        1,
        gauge("backup_archive_fault", 1, **PRODUCT, fault="elsewhere"),
        backup("critical", stanza="product", fault="elsewhere"),
    ),
    Case(
        "WalArchiverUntrue",
        "it is there",
        5,
        gauge("backup_archive_fault", 0, **PRODUCT, fault="elsewhere"),
    ),
    Case(
        "RpoWarning",
        "more than 5 min of 15",
        2,
        {**gauge("backup_rpo_seconds", 301, **PRODUCT), **gauge("backup_rpo_target_seconds", 900, **PRODUCT)},
        backup("warning", stanza="product"),
        "5m 1s",
    ),
    Case(
        "RpoWarning",
        "5 min of 15",
        5,
        {**gauge("backup_rpo_seconds", 300, **PRODUCT), **gauge("backup_rpo_target_seconds", 900, **PRODUCT)},
    ),
    Case(
        "RpoCritical",
        "more than 15 min",
        0,
        {**gauge("backup_rpo_seconds", 901, **PRODUCT), **gauge("backup_rpo_target_seconds", 900, **PRODUCT)},
        backup("critical", stanza="product"),
        "15m 1s",
    ),
    Case(
        "RpoCritical",
        "15 min",
        5,
        {**gauge("backup_rpo_seconds", 900, **PRODUCT), **gauge("backup_rpo_target_seconds", 900, **PRODUCT)},
    ),
    Case(
        "RpoUnknown",
        "unknown for 10 min",
        11,
        gauge("backup_rpo_known", 0, **PRODUCT),
        backup("critical", stanza="product"),
    ),
    Case("RpoUnknown", "unknown after a start", 9, gauge("backup_rpo_known", 0, **PRODUCT)),
    Case(
        "RepositoryUnreachable",
        "S3 is away",
        6,
        gauge("backup_repository_up", 0, **PRODUCT),
        backup("warning", stanza="product"),
    ),
    Case(
        "RepositoryUnreachable", "S3 was away", 6, {'backup_repository_up{stanza="product"}': "0 0 0 1 1 1 1"}
    ),
    Case(
        "RepositoryIndexLost",
        "neither backup.info nor its copy can be read",
        0,
        gauge("backup_index_lost", 1, **PRODUCT),
        backup("critical", stanza="product"),
    ),
    Case("RepositoryIndexLost", "both indexes can", 5, gauge("backup_index_lost", 0, **PRODUCT)),
    Case(
        "RepositoryIndexDamaged",
        "one of a pair is gone",
        0,
        {**gauge("backup_index_damaged_files", 1, **PRODUCT), **gauge("backup_index_lost", 0, **PRODUCT)},
        backup("warning", stanza="product"),
        "1",
    ),
    Case(
        "RepositoryIndexDamaged",
        "both are: the other alert says it",
        5,
        {**gauge("backup_index_damaged_files", 2, **PRODUCT), **gauge("backup_index_lost", 1, **PRODUCT)},
    ),
    Case(
        "RepositoryIndexNotKept",
        "no bucket takes it",
        16,
        gauge("backup_index_kept", 0, **PRODUCT),
        backup("warning", stanza="product"),
    ),
    Case(
        "RepositoryIndexNotKept",
        "nor is it known now and then",
        16,
        {'backup_index_kept{stanza="product"}': "0x7 _x3 0x20"},
        backup("warning", stanza="product"),
    ),
    Case("RepositoryIndexNotKept", "it is kept", 30, gauge("backup_index_kept", 1, **PRODUCT)),
    Case(
        "RepositoryNotEncrypted",
        "no cipher",
        1,
        gauge("backup_repository_encrypted", 0, **PRODUCT),
        backup("critical", stanza="product"),
    ),
    Case("RepositoryNotEncrypted", "a cipher", 1, gauge("backup_repository_encrypted", 1, **PRODUCT)),
    Case(
        "RepositoryNotLocked",
        "no lock",
        1,
        gauge("backup_repository_locked", 0, **PRODUCT),
        backup("critical", stanza="product"),
    ),
    Case(
        "RepositoryNotLocked",
        "no lock, and then nobody knows",
        40,
        {'backup_repository_locked{stanza="product"}': "0x7 _x40"},
        backup("critical", stanza="product"),
    ),
    Case("RepositoryNotLocked", "a lock", 1, gauge("backup_repository_locked", 1, **PRODUCT)),
    Case(
        "RepositoryLockUnknown",
        "sets, and nobody looked",
        31,
        gauge("backup_sets", 2, kind="full", **PRODUCT),
        backup("critical", stanza="product", kind="full"),
    ),
    Case(
        "RepositoryLockUnknown",
        "a look",
        40,
        {
            **gauge("backup_sets", 2, kind="full", **PRODUCT),
            **gauge("backup_repository_locked", 0, **PRODUCT),
        },
    ),
    Case("RepositoryLockUnknown", "no set yet", 40, gauge("backup_sets", 0, kind="full", **PRODUCT)),
    Case(
        "RepositoryPlaceUnproved",
        "the first repository refuses, and now and then nobody looks",
        70,
        {'backup_place_own{stanza="product@offsite"}': "0x30 _x10 0x30"},
        backup("warning", stanza="product@offsite"),
    ),
    Case(
        "RepositoryPlaceUnproved",
        "away for half an hour",
        70,
        {'backup_place_own{stanza="product@offsite"}': "0x30 1x40"},
    ),
)
