"""Knowledge -> samples, at the moment of a scrape. Pure: what is unknown gives no sample, never a zero.

Names and help texts are in ``catalogue``; the HTTP side is in ``http``.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from ops_platform import __version__
from ops_platform.agent.catalogue import METRICS
from ops_platform.agent.loops import Loop, LoopState
from ops_platform.agent.state import Knowledge, StanzaKnowledge
from ops_platform.slo.reporting import STATES


@dataclass(frozen=True)
class Sample:
    """``labels`` in the order of the catalogue."""

    name: str
    labels: tuple[str, ...]
    value: float


Exporter = Callable[[float], Iterable[Sample]]
"""Given the Unix time of the scrape."""


class SampleCollector(Collector):
    """Gathers the samples of all exporters into families, at each scrape anew."""

    def __init__(self, exporters: Iterable[Exporter], clock: Callable[[], float]) -> None:
        self._exporters = list(exporters)
        self._clock = clock

    def describe(self) -> Iterable[Metric]:
        # Registration must not scrape: nothing is known yet.
        return [_family(name) for name in METRICS]

    def collect(self) -> Iterator[Metric]:
        families: dict[str, GaugeMetricFamily | CounterMetricFamily] = {}
        now = self._clock()
        for exporter in self._exporters:
            for sample in exporter(now):
                family = families.setdefault(sample.name, _family(sample.name))
                family.add_metric(sample.labels, sample.value)
        yield from families.values()


def _family(name: str) -> GaugeMetricFamily | CounterMetricFamily:
    metric = METRICS[name]
    kind = CounterMetricFamily if metric.type == "counter" else GaugeMetricFamily
    return kind(metric.name, metric.help, labels=metric.labels)


def backup_samples(known: Knowledge, now: float) -> Iterator[Sample]:
    """The backups of every stanza: from the repository, the stanza's server and the ops database."""
    for name, stanza in known.stanzas.items():
        yield from _promises(name, stanza)
        yield from _repository(name, stanza)
        yield from _recovery(name, stanza, now)
        yield from _server(name, stanza)
    for (stanza_name, kind), report in (known.reports.get() or {}).items():
        labels = (stanza_name, kind)
        for status, count in report.runs.items():
            yield Sample("backup_runs_total", (*labels, status), count)
        yield from _known("backup_last_run_failed", labels, report.last_run_failed)
        yield from _known("backup_duration_ms", labels, report.duration_ms)
        yield from _known("backup_size_bytes", labels, report.size_bytes)
        yield from _known("backup_running_since_timestamp_seconds", labels, report.running_since)


def _promises(name: str, stanza: StanzaKnowledge) -> Iterator[Sample]:
    yield Sample("backup_rpo_target_seconds", (name,), stanza.targets.rpo_seconds)
    for kind, limit in stanza.targets.freshness.items():
        yield Sample("backup_freshness_limit_seconds", (name, kind), limit)


def _repository(name: str, stanza: StanzaKnowledge) -> Iterator[Sample]:
    yield from _known("backup_repository_up", (name,), stanza.repository_up.get())
    yield from _known("backup_repository_seen_age_seconds", (name,), stanza.wal_gap.age())
    yield from _known("backup_wal_gap_segments", (name,), stanza.wal_gap.get())
    seen = stanza.sets.get()
    if seen is None:
        return
    yield Sample("backup_repository_encrypted", (name,), seen.encrypted)
    yield Sample("backup_damaged_sets", (name,), seen.damaged)
    for kind, count in seen.counts.items():
        yield Sample("backup_sets", (name, kind), count)
    for kind, stopped_at in seen.last_success.items():
        yield Sample("backup_last_success_timestamp_seconds", (name, kind), stopped_at)


def _recovery(name: str, stanza: StanzaKnowledge, now: float) -> Iterator[Sample]:
    point = stanza.recovery_point.get()
    yield Sample("backup_rpo_known", (name,), point is not None)
    if point is not None:
        yield Sample("backup_rpo_seconds", (name,), max(0.0, now - point))
    yield from _known("backup_heartbeat_timestamp_seconds", (name,), stanza.heartbeat_at.get())


def _server(name: str, stanza: StanzaKnowledge) -> Iterator[Sample]:
    yield from _known("backup_database_up", (name,), stanza.database_up.get())
    archiver = stanza.archiver.get()
    if archiver is not None:
        yield Sample("backup_archive_failed_total", (name,), archiver.failed_count)
        yield Sample("backup_archive_failing", (name,), archiver.failing)


def dr_samples(known: Knowledge, _now: float) -> Iterator[Sample]:
    """The exercises of every stanza, and what they predict for production."""
    for name, stanza in known.stanzas.items():
        yield Sample("dr_rto_target_seconds", (name,), stanza.targets.rto_seconds)
    for (stanza_name, scenario), state in (known.exercises.get() or {}).items():
        labels = (stanza_name, scenario)
        yield from _known("dr_exercise_expected_since_timestamp_seconds", labels, state.expected_since)
        yield from _known("dr_exercise_last_success_timestamp_seconds", labels, state.last_success_at)
        yield from _known("dr_exercise_last_failed", labels, state.last_failed)
        yield from _known("dr_predicted_rto_seconds", (stanza_name,), state.predicted_rto_seconds)
        for metric, value in (("rto", state.rto_ms), ("rpo", state.rpo_ms)):
            seconds = None if value is None else value / 1000
            yield from _known(f"dr_exercise_{metric}_seconds", labels, seconds)


def objective_samples(known: Knowledge, _now: float) -> Iterator[Sample]:
    """The newest figures of every objective; those that are not known are no samples."""
    for one in known.objectives.get() or ():
        labels = (one.service, one.slo)
        yield Sample("slo_target_percentage", labels, one.target_percentage)
        yield Sample("slo_exclusion_active", labels, one.excluded_now)
        yield Sample("slo_period_info", (*labels, one.period), 1)
        yield from _known("slo_measured_timestamp_seconds", labels, one.measured_at)
        for figure in one.figures:
            window = (*labels, figure.window)
            for state in STATES:
                yield Sample("slo_state", (*window, state), figure.state == state)
            yield from _known("slo_good_events", window, figure.good)
            yield from _known("slo_total_events", window, figure.total)
            yield from _known("slo_achievement_percentage", window, figure.achievement)
            yield from _known("slo_error_budget_remaining", window, figure.budget_remaining)


def audit_samples(known: Knowledge, _now: float) -> Iterator[Sample]:
    """The ledger: what no seal covers yet."""
    ledger = known.ledger.get()
    yield Sample("audit_known", (), ledger is not None)
    if ledger is not None:
        yield Sample("audit_unsealed_events", (), ledger.unsealed)
        yield from _known("audit_oldest_unsealed_timestamp_seconds", (), ledger.oldest_unsealed_at)
        yield from _known("audit_last_seal_timestamp_seconds", (), ledger.last_seal_at)


def request_samples(known: Knowledge, now: float) -> Iterator[Sample]:
    """Data subjects' requests, of every type and status from the start."""
    for kind, state in (known.requests.get() or {}).items():
        for status, count in state.entered.items():
            yield Sample("gdpr_requests_total", (kind, status), count)
        oldest = state.oldest_verified_at
        waiting = 0.0 if oldest is None else max(0.0, now - oldest.timestamp())
        yield Sample("gdpr_oldest_pending_seconds", (kind,), waiting)
        yield from _known("gdpr_verification_duration_ms", (kind,), state.verification_ms)
        yield from _known("gdpr_processing_duration_ms", (kind,), state.processing_ms)


def system_samples(known: Knowledge, _now: float) -> Iterator[Sample]:
    """The ops database, certificates, Dagster, delivered alerts."""
    yield Sample("ops_platform_build_info", (__version__, platform.python_version()), 1)
    yield from _known("ops_database_up", (), known.ops_up.get())
    yield from _known("ops_database_seen_age_seconds", (), known.reports.age())
    for expiry in known.certificates.get() or ():
        labels = (expiry.name, expiry.source)
        yield Sample("certificate_known", labels, expiry.ends_at is not None)
        yield from _known("certificate_expiry_timestamp_seconds", labels, expiry.ends_at)
    yield from _known("dagster_up", (), known.dagster_up.get())
    dagster = known.dagster.get()
    if dagster is not None:
        for daemon in dagster.daemons:
            yield Sample("dagster_daemon_healthy", (daemon.name,), daemon.healthy)
            yield from _known(
                "dagster_daemon_heartbeat_timestamp_seconds", (daemon.name,), daemon.heartbeat_at
            )
        for location, loaded in dagster.locations.items():
            yield Sample("dagster_code_location_up", (location,), loaded)
    deliveries = known.deliveries.get()
    if deliveries is not None:
        for (severity, status), count in deliveries.counts.items():
            yield Sample("alert_notifications_last_day", (severity, status), count)
        yield from _known("alert_watchdog_timestamp_seconds", (), deliveries.watchdog_at)


def loop_samples(loops: Iterable[Loop], states: Mapping[str, LoopState]) -> Iterator[Sample]:
    """The agent's own loops."""
    for loop in loops:
        state, labels = states[loop.name], (loop.name,)
        if state.condition != "starting":
            yield Sample("agent_loop_healthy", labels, state.condition == "healthy")
        yield Sample("agent_loop_stuck", labels, state.condition == "stuck")
        yield Sample("agent_loop_runs_total", labels, state.runs)
        yield Sample("agent_loop_failures_total", labels, state.failures)
        yield Sample("agent_loop_stale_after_seconds", labels, loop.stale_after)
        yield from _known("agent_loop_last_success_timestamp_seconds", labels, state.last_success_at)


def _known(name: str, labels: tuple[str, ...], value: float | bool | datetime | None) -> Iterator[Sample]:
    if value is not None:
        yield Sample(name, labels, value.timestamp() if isinstance(value, datetime) else float(value))
