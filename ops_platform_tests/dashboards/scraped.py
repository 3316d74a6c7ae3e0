"""A real Prometheus that scraped the real metrics of two agents, before and after something happened."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import yaml
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from ops_platform.agent.http import AgentServer
from ops_platform.agent.metrics import (
    ExerciseState,
    KindReport,
    RequestState,
    SampleCollector,
    SetSummary,
    StanzaState,
    Targets,
)
from ops_platform.agent.state import AgentState, initial_state
from ops_platform.backup.monitoring import Archiver, WalDisk, Window
from ops_platform.backup.proof import Summary
from ops_platform.backup.taking.recorded_sets import History
from ops_platform.clients.prometheus import Prometheus
from ops_platform.clients.waiting import wait_until
from ops_platform_tests.backup.shapes import entry, repository
from ops_platform_tests.dashboards import objective_figures
from ops_platform_tests.prometheus import running_prometheus

SCRAPE = "500ms"
BEFORE = 9
"""Scrapes of the state before: enough that what increase() adds at the edges is less than a fifth."""

REQUESTS = {
    ("erasure", "pending"): (5, 7),
    ("erasure", "processing"): (4, 5),
    ("erasure", "completed"): (3, 4),
    ("erasure", "failed"): (0, 1),
    ("export", "pending"): (1, 1),
    ("export", "failed"): (0, 2),
    ("other", "failed"): (0, 9),
}
"""How many entered a state: (before, after)."""
OLDEST = {"erasure": 100_000.0, "export": 50.0, "other": 9e6}
VERIFIED = {"erasure": 60_000.0, "export": 30_000.0, "other": 1.0}
PROCESSED = {"erasure": 4_000.0, "export": 90_000.0, "other": 1.0}


def at(moment: float) -> datetime:
    return datetime.fromtimestamp(moment, UTC)


@dataclass
class Agent:
    """What an agent knows; ``start`` is the moment that all its times are told from."""

    start: float
    known: AgentState
    happened: bool = False

    @classmethod
    def of(cls, start: float) -> Agent:
        limits = {"full": 626_400.0, "differential": 93_600.0, "incremental": 7_200.0}
        targets = {
            "product": Targets(900.0, 1800.0, limits, 35 * 86_400.0),
            "ops": Targets(600.0, 1200.0, {"full": 626_400.0}, 35 * 86_400.0),
            "other": Targets(1.0, 1.0, limits, 1.0),
        }
        agent = cls(start, initial_state(targets, 3600))
        agent.tell()
        return agent

    def tell(self) -> None:
        product, ops, other = (self.known.backup.stanzas[name] for name in ("product", "ops", "other"))
        newest = {"full": 200_000, "differential": 50_000, "incremental": 90_000}
        product.sets.put(
            SetSummary(
                {kind: self.start - ago for kind, ago in newest.items()},
                {"full": 2, "differential": 6, "incremental": 20},
                damaged=1,
                encrypted=True,
            )
        )
        ops.sets.put(SetSummary({"full": self.start - 100_000}, {"full": 1}, damaged=0, encrypted=False))
        other.sets.put(
            SetSummary(dict.fromkeys(newest, 1.0), dict.fromkeys(newest, 9), damaged=9, encrypted=True)
        )
        other.archiving.server_seen(Archiver(99 if self.happened else 0, failing=True))
        other.recovery_point.put(1.0)
        other.heartbeat_at.put(1.0)
        product.archiving.server_seen(Archiver(13 if self.happened else 3, failing=True))
        ops.archiving.server_seen(Archiver(0, failing=False, command="pgbackrest archive-push %p"))
        for stanza, up, gap in ((product, True, 2), (ops, False, 0), (other, True, 77)):
            stanza.database_up.put(up)
            stanza.repository_up.put(not up)
            stanza.wal_gap.put(gap)
        product.recovery_point.put(self.start - 120)
        product.heartbeat_at.put(self.start - 5)
        ops.heartbeat_at.put(self.start - 50)
        self._tell_of_repositories(product, ops, other)
        self.known.backup.reports.put(self._reports())
        self.known.dr.exercises.put(self._exercises())
        invented = (*objective_figures.CHOSEN, objective_figures.LEFT_OUT)
        self.known.slo.objectives.put([objective_figures.known(one, self.start) for one in invented])

        self.known.gdpr.requests.put(
            {
                kind: RequestState(
                    {
                        status: counts[self.happened]
                        for (of, status), counts in REQUESTS.items()
                        if of == kind
                    },
                    at(self.start - OLDEST[kind]),
                    VERIFIED[kind],
                    PROCESSED[kind],
                )
                for kind in OLDEST
            }
        )

    def _tell_of_repositories(self, product: StanzaState, ops: StanzaState, other: StanzaState) -> None:
        for stanza, wrong in ((product, True), (ops, False), (other, True)):
            stanza.locked.put(not wrong)
            stanza.incomplete_sets.put(3 * wrong)
            stanza.index.lost.put(wrong)
            stanza.window.lost.put(4 * wrong)
            stanza.archiving.faults["elsewhere"].put(wrong)
            due = self.start + (-90_000 if wrong else 90_000)
            stanza.reading.summary.put(Summary(at(due), 0, 0, 5 * wrong, None))
        product.archiving.disk.put(WalDisk(100 << 30, 25 << 30))
        product.archiving.configured.put(True)
        # Nothing of the product can be restored; the ops cluster's window ends with its newest set.
        (first,) = repository(entry(1)).sets
        began, ended = at(self.start - 70_000), at(self.start - 20_000)
        product.window.window.put(Window(None, ended))
        ops.window.window.put(Window(replace(first, completed_at=began), ended))
        for stanza in (product, ops):
            stanza.window.history.put(History(began, None))

    def _reports(self) -> dict[tuple[str, str], KindReport]:
        more = 1 if self.happened else 0
        return {
            ("product", "full"): KindReport(
                {"completed": 4 + 2 * more, "failed": 1 + more}, True, 65_000, 10**11, at(self.start - 600)
            ),
            ("product", "differential"): KindReport({"completed": 9, "failed": 0}, False, 5_000, 10**10),
            ("ops", "full"): KindReport({"completed": 3 + more, "failed": 0}, False, 7_000, 10**9),
            ("other", "full"): KindReport({"completed": 1, "failed": 8 * more}, True, 1, 1, at(1)),
        }

    def _exercises(self) -> dict[tuple[str, str], ExerciseState]:
        since, done = at(self.start - 4_000_000), at(self.start - 86_400)
        return {
            ("product", "latest"): ExerciseState(since, 400_000, 12_500, done, False),
            ("product", "performance"): ExerciseState(since, 900_000, 30_000, None, True, 1075.5),
            ("product", "stolen_key"): ExerciseState(since, 600_000, 20_000, done, False),
            ("ops", "latest"): ExerciseState(since, 100_000, 6_000, done, False),
            ("other", "latest"): ExerciseState(since, 1, 1, done, True, 1.0),
        }

    def serve(self) -> AgentServer:
        registry = CollectorRegistry()
        known = self.known
        registry.register(SampleCollector([known.backup, known.dr, known.slo, known.gdpr], time.time))
        registry.register(StandIns(self))
        server = AgentServer(
            "127.0.0.1",
            0,
            registry=registry,
            states=dict,
            receive=lambda _body: 0,
            wait_for_first_round=lambda: None,
        )
        server.start()
        return server


class StandIns(Collector):
    """What the recording rules would record."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        families: dict[str, GaugeMetricFamily] = {}
        for one in objective_figures.served():
            name = objective_figures.exposed(one.name)
            family = families.setdefault(
                name, GaugeMetricFamily(name, "A stand-in.", labels=list(one.labels))
            )
            family.add_metric(list(one.labels.values()), one.value)
        yield from families.values()


@dataclass(frozen=True)
class Scraped:
    """``before`` and ``after``: moments when everything that is asked for had been scraped of both agents."""

    prometheus: Prometheus
    start: float
    before: datetime
    after: datetime

    @property
    def between(self) -> str:
        """Their distance as PromQL writes it."""
        return f"{round((self.after - self.before).total_seconds() * 1000)}ms"


@contextmanager
def scraped(directory: Path) -> Iterator[Scraped]:
    agent = Agent.of(time.time())
    servers = [agent.serve(), agent.serve()]
    objectives = len((*objective_figures.CHOSEN, objective_figures.LEFT_OUT))
    rules = directory / "rules.yml"
    rules.write_text(yaml.safe_dump(objective_figures.recording_rules()), encoding="utf-8")
    config = {
        "global": {"scrape_interval": SCRAPE, "scrape_timeout": SCRAPE, "evaluation_interval": SCRAPE},
        "rule_files": [str(rules)],
        "scrape_configs": [
            {
                "job_name": "agent",
                "static_configs": [{"targets": [f"127.0.0.1:{server.port}" for server in servers]}],
            }
        ],
    }
    try:
        with running_prometheus(directory, yaml.safe_dump(config)) as prometheus:
            _seen(prometheus, "group by (sloth_id) (slo:time_period:days)", objectives)
            before = _seen(prometheus, f"count_over_time(up[1m]) >= {BEFORE} and up == 1", len(servers))
            agent.happened = True
            agent.tell()
            told = 'backup_runs_total{stanza="product",kind="full",status="completed"}'
            # In the scrape before too: one may have begun while the agent was being told.
            twice = f"{told} == 6 and {told} offset {SCRAPE} == 6 and on (instance) up == 1"
            after = _seen(prometheus, twice, len(servers))
            yield Scraped(prometheus, agent.start, before, after)
    finally:
        for server in servers:
            server.close()


def _seen(prometheus: Prometheus, expr: str, series: int) -> datetime:
    """When there were so many first; everything of one scrape has the time of its beginning."""
    found: list[datetime] = []

    def look() -> bool:
        now = datetime.now(UTC)
        if len(prometheus.query(expr, at=now).series) == series:
            found.append(now)
        return bool(found)

    wait_until(look, 60, expr, interval=0.1)
    return found[0]
