"""Cases of system.yml."""

from __future__ import annotations

from collections.abc import Mapping

from ops_platform_tests.dashboards.rule_case import Case, gauge


def platform(severity: str, **labels: str) -> tuple[Mapping[str, str], ...]:
    return ({"severity": severity, "service": "platform", **labels},)


AT = '{job="agent",instance="a:1"}'
AGENT_READS = {f"ops_database_up{AT}": "1x60"}
UP_AGENT = {'up{job="agent",instance="a:1"}': "1x60"}


def probed(probe: str, right: str, *, wrong: str = "0x60", missed: str = "0x60") -> dict[str, str]:
    """Counters of an endpoint: answered rightly, answered wrongly, and not asked."""
    labels = f'probe="{probe}",job="agent",instance="a:1"'
    return {
        f'synthetic_probes_total{{{labels},result="ok"}}': right,
        f'synthetic_probes_total{{{labels},result="wrong_status"}}': wrong,
        f"synthetic_probes_missed_total{{{labels}}}": missed,
    }


def failing(job: str, duty: str, counts: str, known: str = "1x60", **of: str) -> dict[str, str]:
    """A job that fails so many times in a row, and whether the agent could tell."""
    of = {"stanza": "", "request": "", **of}
    named = ",".join(f'{name}="{text}"' for name, text in {"job_name": job, **of}.items())
    return {
        f'dagster_job_failures{{{named},duty="{duty}",job="agent"}}': counts,
        f'dagster_job_failure_info{{{named},run_id="r-1",cause="S3 is away: start it",job="agent"}}': "1x60",
        'dagster_job_outcomes_known{job="agent"}': known,
    }


def run_failed(severity: str, job: str, duty: str, **of: str) -> tuple[Mapping[str, str], ...]:
    return ({"severity": severity, "service": "dagster", "job_name": job, "duty": duty, **of},)


def run_queue(
    queued: tuple[int, int] = (0, 0), starting: tuple[int, int] = (0, 0), running: int = 0, began: int = 0
) -> dict[str, str]:
    """Runs in each state; of those that wait, how many, and since which second."""
    here = 'job="agent",instance="a:1"'
    found = {f"dagster_newest_run_start_timestamp_seconds{{{here}}}": f"{began}x90"}
    for state, (count, since) in {"queued": queued, "starting": starting, "running": (running, 0)}.items():
        found[f'dagster_runs{{{here},state="{state}"}}'] = f"{count}x90"
        if since:
            found[f'dagster_oldest_waiting_run_timestamp_seconds{{{here},state="{state}"}}'] = f"{since}x90"
    return found


WHY = {"cause": "S3 is away: start it (run r-1)"}
CONTACTS = 'name="contact_list",stanza="",every="quarter",evidence="hand",job="agent"'


def duty(due: int, *, reminder: int, escalation: int) -> dict[str, str]:
    """Times of a duty, in minutes."""
    return {
        f"duty_{name}_timestamp_seconds{{{CONTACTS}}}": f"{minute * 60}x60"
        for name, minute in (("due", due), ("reminder", reminder), ("escalation", escalation))
    }


def duty_told(severity: str) -> tuple[Mapping[str, str], ...]:
    return platform(severity, name="contact_list", every="quarter", evidence="hand", job="agent")


SYSTEM = (
    Case("DutyDue", "its reminder has come", 10, duty(60, reminder=2, escalation=90), duty_told("warning")),
    Case("DutyDue", "it is not yet time", 10, duty(60, reminder=20, escalation=90)),
    Case("DutyDue", "it is overdue, which is told otherwise", 20, duty(10, reminder=2, escalation=90)),
    Case(
        "DutyOverdue",
        "it was due ten minutes ago",
        20,
        duty(10, reminder=2, escalation=90),
        duty_told("warning"),
        "10m 0s",
    ),
    Case(
        "DutyOverdue",
        "nobody did it until it is critical",
        30,
        duty(10, reminder=2, escalation=20),
        (*duty_told("warning"), *duty_told("critical")),
        "20m 0s",
    ),
    Case("DutyOverdue", "it is due soon", 20, duty(60, reminder=2, escalation=90)),
    Case(
        "DutyCalendarUnknown",
        "calendar.yaml is wrong",
        20,
        {'duty_calendar_known{job="agent"}': "0x30"},
        platform("warning", job="agent"),
    ),
    Case("DutyCalendarUnknown", "it is known", 20, {'duty_calendar_known{job="agent"}': "1x30"}),
    Case(
        "RunFailed",
        "a backup failed once",
        10,
        failing("backup_incr", "backup", "_x2 1x20", stanza="product"),
        run_failed("warning", "backup_incr", "backup", stanza="product"),
        "1",
        annotations=WHY,
    ),
    Case(
        "RunFailed",
        "it failed again",
        10,
        failing("backup_incr", "backup", "1x4 2x20", stanza="product"),
        (
            *run_failed("warning", "backup_incr", "backup", stanza="product"),
            *run_failed("critical", "backup_incr", "backup", stanza="product"),
        ),
        "2",
        annotations=WHY,
    ),
    Case(
        "RunFailed",
        "a request failed twice",
        10,
        failing("gdpr_export", "gdpr", "2x20", request="q-1"),
        (
            *run_failed("warning", "gdpr_export", "gdpr", request="q-1"),
            *run_failed("critical", "gdpr_export", "gdpr", request="q-1"),
        ),
        "2",
        annotations=WHY,
    ),
    Case(
        "RunFailed",
        "what wakes nobody",
        10,
        failing("retention_cleanup", "housekeeping", "5x20"),
        run_failed("warning", "retention_cleanup", "housekeeping"),
        "5",
        annotations=WHY,
    ),
    Case(
        "RunFailed",
        "the agent has been away for half an hour",
        40,
        failing("retention_cleanup", "housekeeping", "5x10 _x50", "1x10 _x50"),
        run_failed("warning", "retention_cleanup", "housekeeping"),
        "5",
        annotations=WHY,
    ),
    Case(
        "RunFailed",
        "the agent is back and it had succeeded meanwhile",
        40,
        failing("retention_cleanup", "housekeeping", "5x10 _x50", "1x10 _x20 1x30"),
    ),
    Case(
        "DagsterRunsDoNotStart",
        "one is being started for 7 min",
        10,
        run_queue(starting=(1, 180)),
        platform("critical", state="starting", job="agent", instance="a:1"),
        "7m 0s",
    ),
    Case("DagsterRunsDoNotStart", "one is being started for 4 min", 10, run_queue(starting=(1, 360))),
    Case(
        "DagsterRunsDoNotStart",
        "one waits for 20 min and none works",
        25,
        run_queue(queued=(3, 300)),
        platform("critical", state="queued", job="agent", instance="a:1"),
        "20m 0s",
    ),
    Case("DagsterRunsDoNotStart", "one waits for 20 min behind another", 25, run_queue((3, 300), running=1)),
    Case("DagsterRunsDoNotStart", "nothing waits", 25, run_queue()),
    Case(
        "DagsterQueueStands",
        "none has begun for 70 min, and one waits for as long",
        80,
        run_queue((3, 600), running=10, began=600),
        platform("warning", job="agent", instance="a:1"),
        "1h 10m 0s",
    ),
    Case(
        "DagsterQueueStands",
        "one of low priority waits, and others begin",
        80,
        run_queue((3, 600), running=10, began=4500),
    ),
    Case("DagsterQueueStands", "a quiet night", 80, run_queue(began=0)),
    Case(
        "DagsterTicksFailing",
        "they fail for 11 min",
        12,
        gauge("dagster_tick_failing", 1, name="run_failures"),
        platform("warning", name="run_failures"),
    ),
    Case("DagsterTicksFailing", "the next one succeeded", 12, {'dagster_tick_failing{name="x"}': "1x5 0x10"}),
    Case("RunFailed", "nothing fails", 10, {'dagster_job_outcomes_known{job="agent"}': "1x60"}),
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
        "WatchdogLost",
        "it never arrived",
        16,
        AGENT_READS,
        platform("critical", job="agent", instance="a:1", arrived="never"),
        says="never",
    ),
    Case("WatchdogLost", "the stack has just started", 14, AGENT_READS),
    Case(
        "WatchdogLost",
        "it arrives since the agent could read the ops database",
        16,
        AGENT_READS | {f"alert_watchdog_timestamp_seconds{AT}": "_x3 180+60x20"},
    ),
    Case("WatchdogLost", "whether it arrived is not known", 16, {f"ops_database_up{AT}": "0x60"}),
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
    Case(
        "SyntheticProbesMissed",
        "it is not asked any more, and another one is",
        12,
        probed("front", "0+4x5 20x20") | probed("api", "0+4x20"),
        platform("warning", job="agent", instance="a:1", probe="front"),
    ),
    Case(
        "SyntheticProbesMissed",
        "every other round is left out",
        12,
        probed("front", "0+2x20", missed="0+2x20"),
        platform("warning", job="agent", instance="a:1", probe="front"),
    ),
    Case(
        "SyntheticProbesMissed",
        "a few rounds are left out",
        12,
        probed("front", "0+4x20", missed="0x4 3x20"),
    ),
    Case(
        "SyntheticProbesMissed",
        "every answer is wrong",
        12,
        probed("front", "7x20", wrong="0+4x20"),
    ),
    Case("SyntheticProbesMissed", "there are no probes", 12, UP_AGENT),
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
    Case("AuditUnknown", "readable", 16, gauge("audit_known", 1) | gauge("audit_bucket_known", 1)),
    Case(
        "AuditUnknown",
        "the bucket is not",
        16,
        gauge("audit_bucket_known", 0),
        platform("warning"),
    ),
    Case(
        "AuditSealerDead",
        "nothing since the beginning",
        181,  # evaluated every half hour
        gauge("audit_bucket_last_seal_timestamp_seconds", 0, 10),
        platform("critical"),
    ),
    Case("AuditSealerDead", "one an hour", 181, {"audit_bucket_last_seal_timestamp_seconds": "0+1800x10"}),
    Case("AuditSealerDead", "never one", 11, gauge("audit_bucket_last_seal_number", 0), platform("critical")),
    Case(
        "AuditTailDeleted",
        "the bucket has more",
        11,
        gauge("audit_tail_missing_seals", 2),
        platform("critical"),
        "2",
    ),
    Case("AuditTailDeleted", "one is just recorded", 11, {"audit_tail_missing_seals": "0 1 0 0 1 0x20"}),
    Case(
        "AuditVerificationFailed",
        "something differs",
        1,
        gauge("audit_verification_findings", 3),
        platform("critical"),
        "3",
    ),
    Case("AuditVerificationFailed", "nothing differs", 1, gauge("audit_verification_findings", 0)),
    Case(
        "AuditVerificationStale",
        "the hourly one stopped",
        331,
        gauge("audit_verified_timestamp_seconds", 0, 15),
        platform("warning"),
    ),
    Case("AuditVerificationStale", "hourly", 331, {"audit_verified_timestamp_seconds": "0+1800x15"}),
    Case(
        "AuditVerificationStale",
        "never one",
        121,
        gauge("audit_known", 1, 130),
        platform("warning"),
    ),
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
    Case(
        "SloFiguresStale",
        "no figures for three hours and a half",
        210,
        gauge("slo_measured_timestamp_seconds", 0, 300, service="api", slo="availability"),
        (
            {
                "severity": "warning",
                "service": "platform",
                "slo": "availability",
                "objective": "api/availability",
            },
        ),
        "3h 30m 0s",
    ),
    Case(
        "SloFiguresStale",
        "the hour's figures are two hours old",
        120,
        gauge("slo_measured_timestamp_seconds", 0, 300, service="api", slo="availability"),
    ),
    Case(
        "SloFiguresMissing",
        "an objective without a figure for three hours",
        180,
        gauge("slo_target_percentage", 99.9, 300, service="api", slo="availability"),
        platform("warning", slo="availability", objective="api/availability"),
    ),
    Case(
        "SloFiguresMissing",
        "it has one, though an old one",
        180,
        gauge("slo_target_percentage", 99.9, 300, service="api", slo="availability")
        | gauge("slo_measured_timestamp_seconds", 0, 300, service="api", slo="availability"),
    ),
)
