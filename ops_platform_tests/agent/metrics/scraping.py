"""Knowledge of everything, and what a scrape makes of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from ops_platform.agent.metrics import (
    BucketState,
    Deliveries,
    ExerciseState,
    FigureState,
    KindReport,
    LedgerState,
    LoopMetrics,
    ObjectiveState,
    RequestState,
    SampleCollector,
    SetSummary,
    Targets,
    VerificationState,
)
from ops_platform.agent.probes.certificates import Expiry
from ops_platform.agent.probes.dagster_health import Daemon, DagsterHealth, RunQueue, Ticker
from ops_platform.agent.probes.endpoint_list import Probe
from ops_platform.agent.state import AgentState, initial_state
from ops_platform.agent.supervised_loop import Loop, LoopState
from ops_platform.backup.monitoring import Archiver, WalDisk, Window
from ops_platform.backup.proof.read_store import Summary
from ops_platform.backup.taking.recorded_sets import History
from ops_platform.gdpr.retention.retention_store import Look
from ops_platform.housekeeping.calendar import BY_HAND, Definition, Standing
from ops_platform.housekeeping.job_outcomes import Failing, Work
from ops_platform_tests.backup.shapes import entry, repository

NOW = 1_000_000.0
PRODUCT = (("stanza", "product"),)


def empty() -> AgentState:
    return initial_state({"product": Targets(900.0, 1800.0, {"full": 626400.0}, 35 * 86_400.0)}, 15)


def text(known: AgentState, *loops: tuple[Loop, LoopState]) -> str:
    """The exposition at ``NOW``."""
    registry = CollectorRegistry()
    states = {loop.name: state for loop, state in loops}
    of_loops = LoopMetrics([loop for loop, _ in loops], lambda: states)
    registry.register(SampleCollector([*known.sources, of_loops], lambda: NOW))
    return generate_latest(registry).decode()


def scrape(
    known: AgentState, *loops: tuple[Loop, LoopState]
) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Name and sorted labels -> value, through the text format, as Prometheus reads it."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text(known, *loops))
        for sample in family.samples
    }


def full() -> AgentState:
    known = empty()
    stanza = known.backup.stanzas["product"]
    stanza.database_up.put(True)
    stanza.archiving.server_seen(Archiver(failed_count=3, failing=True))
    stanza.archiving.disk.put(WalDisk(100 << 30, 40 << 30))
    stanza.archiving.configured.put(True)
    stanza.repository_up.put(True)
    stanza.locked.put(True)
    stanza.own_place.put(True)
    stanza.incomplete_sets.put(0)
    read_at = datetime.fromtimestamp(NOW - 100, UTC)
    stanza.reading.summary.put(Summary(read_at, 5, 0, 0, read_at))
    stanza.sets.put(SetSummary({"full": NOW - 60}, {"full": 1, "differential": 0}, damaged=0, encrypted=True))
    stanza.wal_gap.put(0)
    stanza.recovery_point.put(NOW - 42)
    (first_set,) = repository(entry(1)).sets
    began = datetime.fromtimestamp(NOW - 7242, UTC)
    stanza.window.window.put(Window(replace(first_set, completed_at=began), began))
    stanza.window.history.put(History(began, began))
    stanza.window.lost.put(2)
    stanza.index.lost.put(False)
    stanza.index.damaged_files.put(0)
    stanza.index.kept.put(True)
    stanza.heartbeat_at.put(NOW - 3)
    stanza.clock_skew.put(0.0)
    known.system.ops_up.put(True)
    at = datetime.fromtimestamp(NOW - 100, UTC)
    known.backup.reports.put(
        {("product", "full"): KindReport({"completed": 2, "failed": 1}, False, 4000, 10**9, at)}
    )
    known.dr.exercises.put({("product", "performance"): ExerciseState(at, 4000, 53_500, at, False, 1075.5)})
    known.slo.objectives.put(
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
                    FigureState(
                        "7d", "bounded", None, None, None, None, "undecided", 1, (99.81, 99.95), (-90.0, 50.0)
                    ),
                ),
            ),
            ObjectiveState("webhooks", "signatures", 100.0, True, "28d"),
        ]
    )
    known.duties.standings.put(
        [
            Standing(
                "contact_list",
                "",
                Definition(every="quarter", what="Numbers are tried.", evidence=BY_HAND, remind_days=14),
                None,
                None,
                None,
                datetime.fromtimestamp(NOW + 86_400, UTC),
            )
        ]
    )
    known.job_failures.failing.put(
        [
            Failing(
                Work("backup_incr", "product"),
                "backup",
                datetime.fromtimestamp(NOW - 100, UTC),
                datetime.fromtimestamp(NOW - 50, UTC),
                2,
                "run-2",
                "S3 is away: start it",
            )
        ]
    )
    known.audit.ledger.put(LedgerState(2, at, at))
    known.audit.bucket.put(BucketState(8, at, 1))
    known.audit.verification.put(VerificationState(at, at, 0))
    known.gdpr.requests.put(
        {
            "erasure": RequestState({"pending": 3, "failed": 0}, at, 60_000.0, 5_000.0),
            "export": RequestState({"pending": 0, "failed": 0}),
        }
    )
    known.retention.looks.put([Look("product", "posts", 2, at), Look("product", "letters", None, None)])
    probe = Probe(name="front", url="https://shop.example")
    known.synthetic.begin([probe], NOW)
    known.synthetic.put(probe, "ok", 0.2)
    known.system.deliveries.put(Deliveries({("critical", "firing"): 4}, at))
    known.system.certificates.put([Expiry("s3", "endpoint", at), Expiry("tls/ca.pem", "file", None, "away")])
    known.system.dagster_up.put(True)
    queue = RunQueue(3, NOW - 300, 1, NOW - 20, 4, NOW - 10)
    known.system.dagster.put(
        DagsterHealth((Daemon("SCHEDULER", True, NOW - 5),), {"ops_platform": True}, queue)
    )
    known.system.ticks.put([Ticker("run_failures", True), Ticker("run_successes", None)])
    return known
