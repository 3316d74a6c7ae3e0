"""The name, type, labels and meaning of every metric that the agent exports.

``docs/metrics.md`` explains the same names to people; a test keeps the two together. How a value
comes about is in ``exporters``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Metric:
    """A counter's ``name`` ends in ``_total``."""

    name: str
    type: Literal["gauge", "counter"]
    help: str
    labels: tuple[str, ...] = ()


_KIND = ("stanza", "kind")
_STANZA = ("stanza",)
_LOOP = ("loop",)
_CERTIFICATE = ("certificate", "source")

BACKUP = (
    Metric("backup_duration_ms", "gauge", "Duration of the newest completed backup of this kind.", _KIND),
    Metric(
        "backup_size_bytes",
        "gauge",
        "Size of the cluster as the newest completed backup of this kind saw it.",
        _KIND,
    ),
    Metric(
        "backup_last_success_timestamp_seconds",
        "gauge",
        "Stop time of the newest set of this kind, as the repository has it.",
        _KIND,
    ),
    Metric("backup_sets", "gauge", "Sets of this kind in the repository.", _KIND),
    Metric("backup_damaged_sets", "gauge", "Sets in the repository with page checksum errors.", _STANZA),
    Metric(
        "backup_freshness_limit_seconds",
        "gauge",
        "Age at which a kind is stale; a stronger kind counts for it.",
        _KIND,
    ),
    Metric(
        "backup_runs_total",
        "counter",
        "Backup runs by how they ended, counted in the ops database.",
        (*_KIND, "status"),
    ),
    Metric("backup_last_run_failed", "gauge", "1 when the newest finished run of this kind failed.", _KIND),
    Metric("backup_running_since_timestamp_seconds", "gauge", "Start of the backup that runs now.", _KIND),
    Metric("backup_rpo_seconds", "gauge", "Data that would be lost if the cluster died now.", _STANZA),
    Metric("backup_rpo_known", "gauge", "1 when backup_rpo_seconds could be determined.", _STANZA),
    Metric("backup_rpo_target_seconds", "gauge", "The RPO that backups.yaml promises.", _STANZA),
    Metric(
        "backup_wal_gap_segments",
        "gauge",
        "WAL segments missing from the archive since the oldest set.",
        _STANZA,
    ),
    Metric(
        "backup_archive_failed_total",
        "counter",
        "Failed archive attempts that PostgreSQL counted (pg_stat_archiver).",
        _STANZA,
    ),
    Metric("backup_archive_failing", "gauge", "1 when the newest archive attempt failed.", _STANZA),
    Metric("backup_heartbeat_timestamp_seconds", "gauge", "Time of the newest heartbeat row.", _STANZA),
    Metric("backup_database_up", "gauge", "1 when the stanza's server answers.", _STANZA),
    Metric("backup_repository_up", "gauge", "1 when the repository could be listed.", _STANZA),
    Metric(
        "backup_repository_seen_age_seconds", "gauge", "Age of the newest listing of the archive.", _STANZA
    ),
    Metric("backup_repository_encrypted", "gauge", "1 when the repository says it is encrypted.", _STANZA),
)

_EXERCISE = ("stanza", "scenario")

DR = (
    Metric("dr_exercise_rto_seconds", "gauge", "RTO of the newest exercise that measured one.", _EXERCISE),
    Metric("dr_exercise_rpo_seconds", "gauge", "RPO of the newest exercise that measured one.", _EXERCISE),
    Metric(
        "dr_exercise_last_success_timestamp_seconds", "gauge", "End of the newest good exercise.", _EXERCISE
    ),
    Metric(
        "dr_exercise_expected_since_timestamp_seconds",
        "gauge",
        "Since when the stanza has had a backup that could be exercised.",
        _EXERCISE,
    ),
    Metric(
        "dr_exercise_last_failed", "gauge", "1 when the newest finished exercise was no success.", _EXERCISE
    ),
    Metric("dr_predicted_rto_seconds", "gauge", "Predicted RTO of the declared production size.", _STANZA),
    Metric("dr_rto_target_seconds", "gauge", "The RTO that backups.yaml promises.", _STANZA),
)

_OBJECTIVE = ("service", "slo")
_WINDOW = (*_OBJECTIVE, "window")

OBJECTIVES = (
    Metric("slo_achievement_percentage", "gauge", "Good events out of all, in percent.", _WINDOW),
    Metric("slo_error_budget_remaining", "gauge", "What is left of the error budget, in percent.", _WINDOW),
    Metric("slo_target_percentage", "gauge", "The share of good events that is promised.", _OBJECTIVE),
    Metric(
        "slo_period_info",
        "gauge",
        "Always 1; its window is what the objective is judged over.",
        _WINDOW,
    ),
    Metric("slo_good_events", "gauge", "Good events, without excluded ones.", _WINDOW),
    Metric("slo_total_events", "gauge", "All events, without excluded ones.", _WINDOW),
    Metric("slo_state", "gauge", "1 for the state of the figure that holds.", (*_WINDOW, "state")),
    Metric("slo_measured_timestamp_seconds", "gauge", "End of the newest hour with figures.", _OBJECTIVE),
    Metric("slo_exclusion_active", "gauge", "1 while planned maintenance is excluded.", _OBJECTIVE),
)

AUDIT = (
    Metric("audit_known", "gauge", "1 when the ledger's state could be read."),
    Metric("audit_unsealed_events", "gauge", "Events of the ledger that no seal covers yet."),
    Metric(
        "audit_oldest_unsealed_timestamp_seconds",
        "gauge",
        "Time of the oldest event without a seal; absent without one.",
    ),
    Metric("audit_last_seal_timestamp_seconds", "gauge", "Time of the newest seal; absent before the first."),
)

_TYPE = ("request_type",)

GDPR = (
    Metric(
        "gdpr_requests_total",
        "counter",
        "Requests of data subjects that entered a status, counted in the ops database.",
        (*_TYPE, "status"),
    ),
    Metric(
        "gdpr_oldest_pending_seconds",
        "gauge",
        "Time since the oldest open request was confirmed; 0 without one.",
        _TYPE,
    ),
    Metric(
        "gdpr_verification_duration_ms",
        "gauge",
        "From the request to its confirmation, of the newest one confirmed.",
        _TYPE,
    ),
    Metric(
        "gdpr_processing_duration_ms",
        "gauge",
        "From the confirmation to the end of the work, of the newest one completed.",
        _TYPE,
    ),
)

SYSTEM = (
    Metric(
        "ops_platform_build_info", "gauge", "Always 1; the labels tell the version.", ("version", "python")
    ),
    Metric("ops_database_up", "gauge", "1 when the ops database answers."),
    Metric(
        "ops_database_seen_age_seconds", "gauge", "Age of what the agent read from the ops database last."
    ),
    Metric("agent_loop_healthy", "gauge", "1 when the loop's newest step succeeded.", _LOOP),
    Metric("agent_loop_stuck", "gauge", "1 while a step of the loop takes longer than it may.", _LOOP),
    Metric("agent_loop_runs_total", "counter", "Finished steps of the loop since the agent started.", _LOOP),
    Metric(
        "agent_loop_failures_total", "counter", "Failed steps of the loop since the agent started.", _LOOP
    ),
    Metric(
        "agent_loop_last_success_timestamp_seconds", "gauge", "End of the loop's newest good step.", _LOOP
    ),
    Metric(
        "agent_loop_stale_after_seconds",
        "gauge",
        "Age of the newest good step at which the loop counts as down.",
        _LOOP,
    ),
    Metric("certificate_known", "gauge", "1 when the certificate could be read.", _CERTIFICATE),
    Metric(
        "certificate_expiry_timestamp_seconds", "gauge", "End of the certificate's validity.", _CERTIFICATE
    ),
    Metric("dagster_up", "gauge", "1 when Dagster's GraphQL answers."),
    Metric("dagster_daemon_healthy", "gauge", "1 when Dagster counts the daemon as healthy.", ("daemon",)),
    Metric(
        "dagster_daemon_heartbeat_timestamp_seconds", "gauge", "Newest heartbeat of the daemon.", ("daemon",)
    ),
    Metric("dagster_code_location_up", "gauge", "1 when the code location is loaded.", ("location",)),
    Metric(
        "alert_notifications_last_day",
        "gauge",
        "Alert notifications that reached the agent in the last 24 hours, without the Watchdog.",
        ("severity", "status"),
    ),
    Metric("alert_watchdog_timestamp_seconds", "gauge", "Newest arrival of the Watchdog at this agent."),
)

METRICS: dict[str, Metric] = {
    metric.name: metric for metric in (*BACKUP, *DR, *OBJECTIVES, *AUDIT, *GDPR, *SYSTEM)
}
