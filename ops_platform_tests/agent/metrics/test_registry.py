"""All metrics together: names that never change, what is shown of nothing and of everything."""

from __future__ import annotations

from ops_platform.agent.metrics import (
    METRICS,
    archiving,
    audit,
    backup,
    dr,
    gdpr,
    index,
    proof,
    retention,
    slo,
    synthetic,
    system,
    upkeep,
    window,
)
from ops_platform.agent.supervised_loop import Loop, LoopState
from ops_platform_tests.agent.metrics.scraping import NOW, PRODUCT, empty, full, scrape, text

CONTRACT = """
gauge backup_duration_ms{stanza,kind}
gauge backup_size_bytes{stanza,kind}
gauge backup_last_success_timestamp_seconds{stanza,kind}
gauge backup_sets{stanza,kind}
gauge backup_damaged_sets{stanza}
gauge backup_incomplete_sets{stanza}
gauge backup_set_verified_timestamp_seconds{stanza}
gauge backup_unverified_bytes{stanza}
gauge backup_verification_due_timestamp_seconds{stanza}
gauge backup_damaged_files{stanza}
gauge backup_damaged_segments{stanza}
gauge backup_freshness_limit_seconds{stanza,kind}
counter backup_runs_total{stanza,kind,status}
gauge backup_last_run_failed{stanza,kind}
gauge backup_running_since_timestamp_seconds{stanza,kind}
gauge backup_rpo_seconds{stanza}
gauge backup_rpo_known{stanza}
gauge backup_rpo_target_seconds{stanza}
gauge backup_wal_gap_segments{stanza}
counter backup_archive_failed_total{stanza}
gauge backup_archive_failing{stanza}
gauge backup_archive_fault{stanza,fault}
gauge backup_archive_configured{stanza}
gauge backup_wal_disk_bytes{stanza}
gauge backup_wal_disk_free_bytes{stanza}
gauge backup_recoverable_seconds{stanza}
gauge backup_recoverable_promised_seconds{stanza}
gauge backup_recoverable_expected_seconds{stanza}
gauge backup_lost_sets{stanza}
gauge backup_index_lost{stanza}
gauge backup_index_damaged_files{stanza}
gauge backup_index_kept{stanza}
gauge backup_loss_acknowledged_timestamp_seconds{stanza}
gauge backup_heartbeat_timestamp_seconds{stanza}
gauge backup_clock_skew_seconds{stanza}
gauge backup_database_up{stanza}
gauge backup_repository_up{stanza}
gauge backup_repository_seen_age_seconds{stanza}
gauge backup_repository_encrypted{stanza}
gauge backup_repository_locked{stanza}
gauge backup_place_own{stanza}
gauge dr_exercise_rto_seconds{stanza,scenario}
gauge dr_exercise_rpo_seconds{stanza,scenario}
gauge dr_exercise_last_success_timestamp_seconds{stanza,scenario}
gauge dr_exercise_expected_since_timestamp_seconds{stanza,scenario}
gauge dr_exercise_last_failed{stanza,scenario}
gauge dr_predicted_rto_seconds{stanza}
gauge dr_rto_target_seconds{stanza}
gauge slo_achievement_percentage{service,slo,window,bound}
gauge slo_error_budget_remaining{service,slo,window,bound}
gauge slo_target_percentage{service,slo}
gauge slo_period_info{service,slo,window}
gauge slo_good_events{service,slo,window}
gauge slo_total_events{service,slo,window}
gauge slo_state{service,slo,window,state}
gauge slo_verdict{service,slo,window,verdict}
gauge slo_unknown_hours{service,slo,window}
gauge slo_measured_timestamp_seconds{service,slo}
gauge slo_exclusion_active{service,slo}
gauge audit_known
gauge audit_unsealed_events
gauge audit_oldest_unsealed_timestamp_seconds
gauge audit_last_seal_timestamp_seconds
gauge audit_bucket_known
gauge audit_bucket_last_seal_number
gauge audit_tail_missing_seals
gauge audit_bucket_last_seal_timestamp_seconds
gauge audit_verified_timestamp_seconds
gauge audit_verified_in_full_timestamp_seconds
gauge audit_verification_findings
counter gdpr_requests_total{request_type,status}
gauge gdpr_oldest_pending_seconds{request_type}
gauge gdpr_verification_duration_ms{request_type}
gauge gdpr_processing_duration_ms{request_type}
gauge gdpr_retention_overdue_rows{stanza,table}
gauge gdpr_retention_looked_timestamp_seconds{stanza,table}
gauge ops_platform_build_info{version,python}
gauge ops_database_up
gauge ops_database_seen_age_seconds
gauge agent_loop_healthy{loop}
gauge agent_loop_stuck{loop}
counter agent_loop_runs_total{loop}
counter agent_loop_failures_total{loop}
gauge agent_loop_last_success_timestamp_seconds{loop}
gauge agent_loop_stale_after_seconds{loop}
gauge certificate_known{certificate,source}
gauge certificate_expiry_timestamp_seconds{certificate,source}
counter synthetic_probes_total{probe,result}
counter synthetic_probes_missed_total{probe}
gauge synthetic_probe_seconds{probe}
gauge dagster_job_failing_since_timestamp_seconds{job_name,stanza,request,duty}
gauge dagster_job_failure_info{job_name,stanza,request,run_id,cause}
gauge dagster_job_failures{job_name,stanza,request,duty}
gauge dagster_job_outcomes_known
gauge dagster_newest_run_start_timestamp_seconds
gauge dagster_oldest_waiting_run_timestamp_seconds{state}
gauge dagster_runs{state}
gauge dagster_tick_failing{name}
gauge duty_calendar_known
gauge duty_done_timestamp_seconds{name,stanza,every,evidence}
gauge duty_due_timestamp_seconds{name,stanza,every,evidence}
gauge duty_reminder_timestamp_seconds{name,stanza,every,evidence}
gauge duty_escalation_timestamp_seconds{name,stanza,every,evidence}
gauge dagster_up
gauge dagster_daemon_healthy{daemon}
gauge dagster_daemon_heartbeat_timestamp_seconds{daemon}
gauge dagster_code_location_up{location}
gauge alert_notifications_last_day{severity,status}
gauge alert_watchdog_timestamp_seconds
"""
"""Rules, dashboards and other people's alerts name these: a line may be added, none may change."""


def test_the_contract_s_names_types_and_labels_are_as_ever() -> None:
    defined = []
    for metric in METRICS.values():
        labels = "{" + ",".join(metric.labels) + "}" if metric.labels else ""
        defined.append(f"{metric.type} {metric.name}{labels}")
    assert sorted(defined) == sorted(CONTRACT.split("\n")[1:-1])


def test_no_metric_is_defined_twice() -> None:
    modules = (
        archiving, backup, index, window, proof, dr, slo, audit, gdpr, retention, synthetic, system,
        upkeep.job_failures, upkeep.duties,
    )  # fmt: skip
    assert sum(len(module.METRICS) for module in modules) == len(METRICS)


def test_nothing_is_claimed_before_anything_was_seen() -> None:
    samples = scrape(empty())
    assert samples[("backup_rpo_known", PRODUCT)] == 0
    assert samples[("audit_known", ())] == 0
    promised = {
        "backup_rpo_known",
        "audit_known",
        "audit_bucket_known",
        "duty_calendar_known",
        "backup_rpo_target_seconds",
        "backup_freshness_limit_seconds",
        "backup_recoverable_promised_seconds",
        "dr_rto_target_seconds",
    }
    assert {name for name, _ in samples} == {*promised, "ops_platform_build_info"}


def test_every_metric_that_is_defined_can_be_shown() -> None:
    state = LoopState(condition="healthy", runs=7, failures=1, last_success_at=NOW)
    names = {name for name, _ in scrape(full(), (Loop("seal", 60, lambda: None), state))}
    assert names == set(METRICS)


def test_counters_are_counters_and_every_metric_has_help() -> None:
    assert "# TYPE backup_runs_total counter" in text(full())
    assert all(
        metric.help.endswith(".") and metric.name.endswith("_total") == (metric.type == "counter")
        for metric in METRICS.values()
    )
