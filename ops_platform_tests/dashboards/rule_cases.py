"""For every alert, series that make it fire and series that must not: the input of ``promtool test rules``.

Times are minutes from the start; promtool's clock starts at the Unix epoch, so ``time()`` is
simply seconds since then.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

HOUR = 60
DAY = 24 * HOUR
WEEK = 7 * DAY
PRODUCT = {"stanza": "product"}


@dataclass(frozen=True)
class Case:
    """``series``: promtool's notation; ``fires``: the label sets expected, none = silent.

    ``value`` is how the annotations are to show the value.
    """

    alert: str
    why: str
    minute: int
    series: Mapping[str, str]
    fires: tuple[Mapping[str, str], ...] = ()
    value: str = ""

    @property
    def tick(self) -> int:
        """Minutes between two evaluations, coarse where days go by."""
        return 30 if self.minute > 2 * HOUR else 1


def backup(severity: str, **labels: str) -> tuple[Mapping[str, str], ...]:
    return ({"severity": severity, "service": "backup", **labels},)


def platform(severity: str, **labels: str) -> tuple[Mapping[str, str], ...]:
    return ({"severity": severity, "service": "platform", **labels},)


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


def gauge(name: str, value: float, minutes: int = 60, **labels: str) -> dict[str, str]:
    inner = ",".join(f'{key}="{text}"' for key, text in labels.items())
    return {f"{name}{{{inner}}}": f"{value:g}x{minutes}"}


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
        WEEK + 7 * HOUR + 30,
        success(full=1, differential=168, incremental=175),
        backup("critical", stanza="product", kind="full"),
        "7d 6h 30m 0s",
    ),
    Case(
        "BackupStale",
        "a full is 7 d and 6 h old to the second",
        WEEK + 7 * HOUR,
        success(full=1, differential=168, incremental=175),
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
        "RepositoryNotEncrypted",
        "no cipher",
        1,
        gauge("backup_repository_encrypted", 0, **PRODUCT),
        backup("critical", stanza="product"),
    ),
    Case("RepositoryNotEncrypted", "a cipher", 1, gauge("backup_repository_encrypted", 1, **PRODUCT)),
)

UP_AGENT = {'up{job="agent",instance="a:1"}': "1x60"}

SYSTEM = (
    Case("Watchdog", "always", 0, {}, platform("warning")),
    Case(
        "WatchdogLost",
        "it stopped arriving",
        12,
        gauge("alert_watchdog_timestamp_seconds", 0),
        platform("critical"),
        "12m 0s",
    ),
    Case("WatchdogLost", "it arrives", 12, {"alert_watchdog_timestamp_seconds": "0+60x20"}),
    Case(
        "AgentDown",
        "the scrape fails",
        3,
        {'up{job="agent",instance="a:1"}': "0x10"},
        platform("critical", job="agent", instance="a:1"),
    ),
    Case("AgentDown", "there is no such target", 3, {}, platform("critical", job="agent")),
    Case("AgentDown", "it restarts", 3, {'up{job="agent",instance="a:1"}': "1 0 1 1"}),
    Case(
        "AgentLoopStuck",
        "stuck",
        2,
        gauge("agent_loop_stuck", 1, loop="seal"),
        platform("critical", loop="seal"),
    ),
    Case("AgentLoopStuck", "not stuck", 2, gauge("agent_loop_stuck", 0, loop="seal")),
    Case(
        "AgentLoopFailing",
        "it fails for 10 min",
        11,
        gauge("agent_loop_healthy", 0, loop="seal"),
        platform("warning", loop="seal"),
    ),
    Case("AgentLoopFailing", "it recovered", 11, {'agent_loop_healthy{loop="seal"}': "0x5 1x10"}),
    Case("OpsDatabaseDown", "away", 3, gauge("ops_database_up", 0), platform("critical")),
    Case("OpsDatabaseDown", "it restarts", 3, {"ops_database_up": "1 0 1 1"}),
    Case(
        "AuditSealStale",
        "an event waits for eight minutes",
        8,
        gauge("audit_oldest_unsealed_timestamp_seconds", 0),
        platform("warning"),
        "8m 0s",
    ),
    Case(
        "AuditSealStale",
        "each event waits a minute",
        20,
        {"audit_oldest_unsealed_timestamp_seconds": "0+60x30"},
    ),
    Case("AuditUnknown", "unreadable", 16, gauge("audit_known", 0), platform("warning")),
    Case("AuditUnknown", "readable", 16, gauge("audit_known", 1)),
    Case(
        "TargetDown",
        "the product cannot be scraped",
        6,
        gauge("up", 0, job="product", instance="p:1"),
        platform("warning", job="product", instance="p:1"),
    ),
    Case("TargetDown", "it restarts", 6, {'up{job="product",instance="p:1"}': "1 0 1 1 1 1 1"}),
    Case("TargetDown", "the agent has an alert of its own", 6, gauge("up", 0, job="agent", instance="a:1")),
    Case(
        "PrometheusConfigReloadFailed",
        "refused",
        6,
        gauge("prometheus_config_last_reload_successful", 0),
        platform("warning"),
    ),
    Case("PrometheusConfigReloadFailed", "taken", 6, gauge("prometheus_config_last_reload_successful", 1)),
    Case(
        "PrometheusRuleFailures",
        "failures go on",
        20,
        {'prometheus_rule_evaluation_failures_total{rule_group="g"}': "0+1x30"},
        platform("warning", rule_group="g"),
    ),
    Case(
        "PrometheusRuleFailures",
        "failures of the past",
        20,
        {'prometheus_rule_evaluation_failures_total{rule_group="g"}': "7x30"},
    ),
    Case(
        "PrometheusNotificationsFailing",
        "errors go on",
        20,
        {'prometheus_notifications_errors_total{alertmanager="m"}': "0+1x30"},
        platform("warning", alertmanager="m"),
    ),
    Case(
        "PrometheusNotificationsFailing",
        "drops go on",
        20,
        {"prometheus_notifications_dropped_total": "0+1x30"},
        platform("warning"),
    ),
    Case(
        "PrometheusNotificationsFailing",
        "neither",
        20,
        {
            'prometheus_notifications_errors_total{alertmanager="m"}': "3x30",
            "prometheus_notifications_dropped_total": "3x30",
        },
    ),
    Case(
        "AlertmanagerDown",
        "the scrape fails",
        3,
        {'up{job="alertmanager",instance="m:1"}': "0x10"},
        platform("critical", job="alertmanager", instance="m:1"),
    ),
    Case("AlertmanagerDown", "there is no such target", 3, {}, platform("critical", job="alertmanager")),
    Case("AlertmanagerDown", "it answers", 3, {'up{job="alertmanager",instance="m:1"}': "1x10"}),
    Case(
        "AlertmanagerConfigReloadFailed",
        "refused",
        6,
        gauge("alertmanager_config_last_reload_successful", 0),
        platform("warning"),
    ),
    Case(
        "AlertmanagerConfigReloadFailed", "taken", 6, gauge("alertmanager_config_last_reload_successful", 1)
    ),
    Case(
        "AlertmanagerNotificationsFailing",
        "mail fails",
        8,
        {'alertmanager_notifications_failed_total{integration="email"}': "0+1x30"},
        platform("critical", integration="email"),
    ),
    Case(
        "AlertmanagerNotificationsFailing",
        "mail failed once, long ago",
        20,
        {'alertmanager_notifications_failed_total{integration="email"}': "1x30"},
    ),
    Case("DagsterDown", "no answer for 10 min", 11, gauge("dagster_up", 0), platform("critical")),
    Case("DagsterDown", "it restarts", 11, {"dagster_up": "1x4 0 0 1x10"}),
    Case(
        "DagsterDaemonDown",
        "the scheduler is dead",
        6,
        gauge("dagster_daemon_healthy", 0, daemon="SCHEDULER"),
        platform("critical", daemon="SCHEDULER"),
    ),
    Case("DagsterDaemonDown", "healthy", 6, gauge("dagster_daemon_healthy", 1, daemon="SCHEDULER")),
    Case(
        "DagsterCodeLocationDown",
        "it does not load",
        6,
        gauge("dagster_code_location_up", 0, location="ops_platform"),
        platform("critical", location="ops_platform"),
    ),
    Case(
        "DagsterCodeLocationDown", "loaded", 6, gauge("dagster_code_location_up", 1, location="ops_platform")
    ),
    Case(
        "CertificateExpiring",
        "less than 14 d",
        11,
        gauge("certificate_expiry_timestamp_seconds", 14 * 86400, certificate="s3", source="endpoint"),
        platform("warning", certificate="s3", source="endpoint"),
        "13d 23h 49m 0s",
    ),
    Case(
        "CertificateExpiring",
        "15 d",
        11,
        gauge("certificate_expiry_timestamp_seconds", 15 * 86400, certificate="s3", source="endpoint"),
    ),
    Case(
        "CertificateExpired",
        "less than 2 d",
        1,
        gauge("certificate_expiry_timestamp_seconds", 2 * 86400, certificate="s3", source="endpoint"),
        platform("critical", certificate="s3", source="endpoint"),
        "1d 23h 59m 0s",
    ),
    Case(
        "CertificateExpired",
        "more than 2 d",
        1,
        gauge("certificate_expiry_timestamp_seconds", 2 * 86400 + 61, certificate="s3", source="endpoint"),
    ),
    Case(
        "CertificateUnknown",
        "unreadable",
        16,
        gauge("certificate_known", 0, certificate="s3", source="endpoint"),
        platform("warning", certificate="s3", source="endpoint"),
    ),
    Case(
        "CertificateUnknown", "read", 16, gauge("certificate_known", 1, certificate="s3", source="endpoint")
    ),
)


def recovery(severity: str, **labels: str) -> tuple[Mapping[str, str], ...]:
    return ({"severity": severity, "service": "dr", "stanza": "product", **labels},)


LATEST = {"stanza": "product", "scenario": "latest"}
DR = (
    Case(
        "DrExerciseFailed",
        "the newest exercise was no success",
        1,
        gauge("dr_exercise_last_failed", 1, **LATEST),
        recovery("critical", scenario="latest"),
    ),
    Case(
        "DrExerciseFailed",
        "a later one succeeded",
        2,
        {'dr_exercise_last_failed{scenario="latest"}': "1 0 0"},
    ),
    Case(
        "DrExerciseOverdue",
        "35 days and an hour since the last good one",
        35 * DAY + HOUR,
        gauge("dr_exercise_last_success_timestamp_seconds", 0, 60000, **LATEST)
        | gauge("dr_exercise_expected_since_timestamp_seconds", 0, 60000, **LATEST),
        recovery("warning", scenario="latest"),
        "35d 1h 0m 0s",
    ),
    Case(
        "DrExerciseOverdue",
        "never a good one since the first backup",
        35 * DAY + HOUR,
        gauge("dr_exercise_expected_since_timestamp_seconds", 0, 60000, **LATEST),
        recovery("warning", scenario="latest"),
        "35d 1h 0m 0s",
    ),
    Case(
        "DrExerciseOverdue",
        "the first backup is old, the last good exercise is not",
        35 * DAY + HOUR,
        gauge("dr_exercise_last_success_timestamp_seconds", 2 * HOUR * 60, 60000, **LATEST)
        | gauge("dr_exercise_expected_since_timestamp_seconds", 0, 60000, **LATEST),
    ),
    Case(
        "DrPredictedRtoHigh",
        "more than 80 % of the promise",
        1,
        gauge("dr_predicted_rto_seconds", 1441, **PRODUCT) | gauge("dr_rto_target_seconds", 1800, **PRODUCT),
        recovery("warning"),
        "24m 1s",
    ),
    Case(
        "DrPredictedRtoHigh",
        "80 % of the promise to the second",
        1,
        gauge("dr_predicted_rto_seconds", 1440, **PRODUCT) | gauge("dr_rto_target_seconds", 1800, **PRODUCT),
    ),
)

CASES: Mapping[str, tuple[Case, ...]] = {
    "backups.yml": BACKUPS,
    "dr.yml": DR,
    "system.yml": SYSTEM,
}

ALWAYS = frozenset({"Watchdog"})
"""Alerts that have no silent case."""
