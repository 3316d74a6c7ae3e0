"""Knowledge -> exposition: what is known is shown, what is not has no sample."""

from __future__ import annotations

from datetime import UTC, datetime

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from ops_platform.agent import exporters
from ops_platform.agent.catalogue import METRICS
from ops_platform.agent.loops.supervised_loop import Loop, LoopState
from ops_platform.agent.probes.certificates import Expiry
from ops_platform.agent.probes.dagster_health import Daemon, DagsterHealth
from ops_platform.agent.state import (
    Archiver,
    Deliveries,
    ExerciseState,
    FigureState,
    KindReport,
    Knowledge,
    LedgerState,
    ObjectiveState,
    RequestState,
    SetsSeen,
    Targets,
    knowledge,
)

NOW = 1_000_000.0
PRODUCT = (("stanza", "product"),)


def empty() -> Knowledge:
    return knowledge({"product": Targets(900.0, 1800.0, {"full": 626400.0})}, 15)


def scrape(
    known: Knowledge, *loops: tuple[Loop, LoopState]
) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Name and sorted labels -> value, through the text format, as Prometheus reads it."""
    registry = CollectorRegistry()
    states = {loop.name: state for loop, state in loops}
    registry.register(
        exporters.SampleCollector(
            [
                lambda now: exporters.backup_samples(known, now),
                lambda now: exporters.dr_samples(known, now),
                lambda now: exporters.objective_samples(known, now),
                lambda now: exporters.audit_samples(known, now),
                lambda now: exporters.request_samples(known, now),
                lambda now: exporters.system_samples(known, now),
                lambda _now: exporters.loop_samples([loop for loop, _ in loops], states),
            ],
            lambda: NOW,
        )
    )
    text = generate_latest(registry).decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def full() -> Knowledge:
    known = empty()
    stanza = known.stanzas["product"]
    stanza.database_up.put(True)
    stanza.archiver.put(Archiver(failed_count=3, failing=True))
    stanza.repository_up.put(True)
    stanza.sets.put(SetsSeen({"full": NOW - 60}, {"full": 1, "differential": 0}, damaged=0, encrypted=True))
    stanza.wal_gap.put(0)
    stanza.recovery_point.put(NOW - 42)
    stanza.heartbeat_at.put(NOW - 3)
    known.ops_up.put(True)
    at = datetime.fromtimestamp(NOW - 100, UTC)
    known.reports.put(
        {("product", "full"): KindReport({"completed": 2, "failed": 1}, False, 4000, 10**9, at)}
    )
    known.exercises.put({("product", "performance"): ExerciseState(at, 4000, 53_500, at, False, 1075.5)})
    known.objectives.put(
        [
            ObjectiveState(
                "api",
                "availability",
                99.9,
                False,
                "30d",
                at,
                (
                    FigureState("1d", "ok", 999, 1000, 99.9, 0.0),
                    FigureState("30d", "source_missing", None, None, None, None),
                ),
            ),
            ObjectiveState("webhooks", "signatures", 100.0, True, "28d"),
        ]
    )
    known.ledger.put(LedgerState(2, at, at))
    known.requests.put(
        {
            "erasure": RequestState({"pending": 3, "failed": 0}, at, 60_000.0, 5_000.0),
            "export": RequestState({"pending": 0, "failed": 0}),
        }
    )
    known.deliveries.put(Deliveries({("critical", "firing"): 4}, at))
    known.certificates.put([Expiry("s3", "endpoint", at), Expiry("tls/ca.pem", "file", None, "away")])
    known.dagster_up.put(True)
    known.dagster.put(DagsterHealth((Daemon("SCHEDULER", True, NOW - 5),), {"ops_platform": True}))
    return known


def test_nothing_is_claimed_before_anything_was_seen() -> None:
    samples = scrape(empty())
    assert samples[("backup_rpo_known", PRODUCT)] == 0
    assert samples[("audit_known", ())] == 0
    promised = {
        "backup_rpo_known",
        "audit_known",
        "backup_rpo_target_seconds",
        "backup_freshness_limit_seconds",
        "dr_rto_target_seconds",
    }
    assert {name for name, _ in samples} == {*promised, "ops_platform_build_info"}


def test_every_metric_of_the_catalogue_can_be_shown() -> None:
    state = LoopState(condition="healthy", runs=7, failures=1, last_success_at=NOW)
    names = {name for name, _ in scrape(full(), (Loop("seal", 60, lambda: None), state))}
    assert names == set(METRICS)


def test_open_requests_age_and_no_request_is_no_age() -> None:
    samples = scrape(full())
    assert samples[("gdpr_oldest_pending_seconds", (("request_type", "erasure"),))] == 100
    assert samples[("gdpr_oldest_pending_seconds", (("request_type", "export"),))] == 0
    assert samples[("gdpr_requests_total", (("request_type", "export"), ("status", "failed")))] == 0
    assert ("gdpr_processing_duration_ms", (("request_type", "export"),)) not in samples


def test_rpo_grows_between_looks() -> None:
    assert scrape(full())[("backup_rpo_seconds", PRODUCT)] == 42


def test_a_clock_behind_the_heartbeat_gives_no_negative_rpo() -> None:
    known = full()
    known.stanzas["product"].recovery_point.put(NOW + 5)
    assert scrape(known)[("backup_rpo_seconds", PRODUCT)] == 0


def test_values_are_as_given() -> None:
    samples = scrape(full())
    kind = (("kind", "full"), ("stanza", "product"))
    assert samples[("backup_last_success_timestamp_seconds", kind)] == NOW - 60
    assert samples[("backup_runs_total", (*kind, ("status", "failed")))] == 1
    assert samples[("backup_size_bytes", kind)] == 10**9
    assert samples[("backup_sets", (("kind", "differential"), ("stanza", "product")))] == 0
    assert samples[("backup_archive_failing", PRODUCT)] == 1
    exercise = (("scenario", "performance"), ("stanza", "product"))
    assert samples[("dr_exercise_rpo_seconds", exercise)] == 53.5
    assert samples[("dr_exercise_last_failed", exercise)] == 0
    assert samples[("dr_predicted_rto_seconds", PRODUCT)] == 1075.5
    assert samples[("alert_notifications_last_day", (("severity", "critical"), ("status", "firing")))] == 4


def test_an_objective_whose_events_are_not_known_has_a_state_and_no_number() -> None:
    samples = scrape(full())
    known, unknown = (
        (("service", "api"), ("slo", "availability"), ("window", window)) for window in ("1d", "30d")
    )
    assert samples[("slo_achievement_percentage", known)] == 99.9
    assert samples[("slo_good_events", known)] == 999
    assert samples[("slo_total_events", known)] == 1000
    assert samples[("slo_error_budget_remaining", known)] == 0
    own = (("service", "webhooks"), ("slo", "signatures"), ("window", "28d"))
    assert samples[("slo_period_info", own)] == 1
    assert {name for name, labels in samples if labels == unknown} == {"slo_period_info"}

    def states(window: tuple[tuple[str, str], ...]) -> dict[str, float]:
        return {
            dict(labels)["state"]: value
            for (name, labels), value in samples.items()
            if name == "slo_state" and set(window) < set(labels)
        }

    assert states(known) == {"ok": 1, "no_data": 0, "source_missing": 0}
    assert states(unknown) == {"ok": 0, "no_data": 0, "source_missing": 1}
    new = (("service", "webhooks"), ("slo", "signatures"))
    assert samples[("slo_exclusion_active", new)] == 1
    assert samples[("slo_target_percentage", new)] == 100
    assert ("slo_measured_timestamp_seconds", new) not in samples


def test_an_unreadable_certificate_has_no_date() -> None:
    samples = scrape(full())
    away = (("certificate", "tls/ca.pem"), ("source", "file"))
    assert samples[("certificate_known", away)] == 0
    assert ("certificate_expiry_timestamp_seconds", away) not in samples


def test_an_archive_that_was_not_seen_for_too_long_is_unknown_again() -> None:
    known = knowledge({"product": Targets(900.0, 1800.0, {})}, 0)
    known.stanzas["product"].wal_gap.put(0)
    known.ops_up.put(True)
    names = {name for name, _ in scrape(known)}
    assert "backup_wal_gap_segments" not in names
    assert "ops_database_up" not in names


def test_a_starting_loop_is_neither_healthy_nor_not() -> None:
    samples = scrape(empty(), (Loop("seal", 60, lambda: None), LoopState()))
    assert ("agent_loop_healthy", (("loop", "seal"),)) not in samples
    assert samples[("agent_loop_stuck", (("loop", "seal"),))] == 0


def test_counters_are_counters_and_every_metric_has_help() -> None:
    registry = CollectorRegistry()
    registry.register(
        exporters.SampleCollector([lambda now: exporters.backup_samples(full(), now)], lambda: NOW)
    )
    text = generate_latest(registry).decode()
    assert "# TYPE backup_runs_total counter" in text
    assert all(
        metric.help.endswith(".") and metric.name.endswith("_total") == (metric.type == "counter")
        for metric in METRICS.values()
    )
