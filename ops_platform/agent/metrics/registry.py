"""All metrics together: every definition by name, one moment to read them, one collector to show them.

A metric of its own is in the module of its duty; a new duty is entered here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from ops_platform.agent.metrics import audit, backup, dr, gdpr, slo, system
from ops_platform.agent.metrics.definition import Metric, Sample
from ops_platform.clients.postgres import Connection

METRICS: dict[str, Metric] = {
    metric.name: metric
    for module in (backup, dr, slo, audit, gdpr, system)
    for metric in module.METRICS
}  # fmt: skip
"""The definition of every metric that the agent exports; ``docs/metrics.md`` explains them to people."""


class Source(Protocol):
    """Show some metrics."""

    def samples(self, now: float) -> Iterable[Sample]:
        """Yield a sample of what is known at ``now`` (Unix seconds), none of what is not; never wait."""


class OpsDatabaseReader(Protocol):
    """Read facts for some metrics from the ops database and keep them."""

    def read(self, connection: Connection) -> None:
        """Read and keep the facts. Raises psycopg.Error."""


def one_moment(connection: Connection) -> None:
    """Let the caller's transaction, which begins here, read the database as it is now to its end.

    Each statement would see a moment of its own otherwise: a run that fails between two of them is
    shown as failed and not counted.
    """
    connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")


def read_together(connection: Connection, readers: Iterable[OpsDatabaseReader]) -> None:
    """Let all ``readers`` read the same moment of the ops database, in one transaction that begins here."""
    one_moment(connection)
    for reader in readers:
        reader.read(connection)


class SampleCollector(Collector):
    """Gather the samples of all sources into families, at each scrape anew.

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
