"""All metrics together: definitions by name, one snapshot to read them in, one collector to export them.

Each metric is in the module of its duty; a new duty is entered here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from ops_platform.agent.metrics import (
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
from ops_platform.agent.metrics.definition import Metric, Sample
from ops_platform.clients.postgres import Connection

METRICS: dict[str, Metric] = {
    metric.name: metric
    for module in (
        backup, archiving, index, window, proof, dr, slo, audit, gdpr, retention, synthetic, system,
        upkeep.job_failures, upkeep.duties,
    )
    for metric in module.METRICS
}  # fmt: skip
"""The definition of every metric that the agent exports; ``docs/metrics.md`` explains them to people."""


class Source(Protocol):
    """Anything that exports some metrics."""

    def samples(self, now: float) -> Iterable[Sample]:
        """Yield a sample of what is known at ``now`` (Unix seconds), none of what is not; never wait."""


class OpsDatabaseReader(Protocol):
    """Anything that reads facts for some metrics from the ops database and keeps them."""

    def read(self, connection: Connection) -> None:
        """Read and keep the facts. Raises psycopg.Error."""


def begin_snapshot(connection: Connection) -> None:
    """Begin the caller's transaction as one that reads the same snapshot of the database to its end.

    Each statement would see a snapshot of its own otherwise: a run that fails between two of them is
    shown as failed and not counted.
    """
    connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")


def read_in_one_snapshot(connection: Connection, readers: Iterable[OpsDatabaseReader]) -> None:
    """Let all ``readers`` read one snapshot of the ops database, in a transaction that begins here."""
    begin_snapshot(connection)
    for reader in readers:
        reader.read(connection)


class SampleCollector(Collector):
    """Collector of the samples of all sources, at each scrape anew.

    ``clock`` gives the Unix time of the scrape.
    """

    def __init__(self, sources: Iterable[Source], clock: Callable[[], float]) -> None:
        self._sources = list(sources)
        self._clock = clock

    def describe(self) -> Iterable[Family]:
        """Name every metric. Registration must not scrape: nothing is known yet."""
        return [_family(METRICS[name]) for name in METRICS]

    def collect(self) -> Iterator[Family]:
        """Yield a family of each metric that has samples now."""
        families: dict[str, GaugeMetricFamily | CounterMetricFamily] = {}
        now = self._clock()
        for source in self._sources:
            for sample in source.samples(now):
                family = families.setdefault(sample.name, _family(METRICS[sample.name]))
                family.add_metric(sample.labels, sample.value)
        yield from families.values()


def _family(metric: Metric) -> GaugeMetricFamily | CounterMetricFamily:
    kind = CounterMetricFamily if metric.type == "counter" else GaugeMetricFamily
    return kind(metric.name, metric.help, labels=metric.labels)
