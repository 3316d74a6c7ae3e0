"""Figures as the agent exports them: read from its metrics, looked up by name and labels."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from ops_platform.clients.json_http import JsonService
from ops_platform.errors import Unavailable

Labels = Mapping[str, str]


@dataclass(frozen=True)
class Figures:
    """Samples by metric name. A metric that is absent is not known."""

    samples: Mapping[str, list[tuple[Labels, float]]] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> Figures:
        """Read the text format of Prometheus. Raises Unavailable for what is none."""
        from prometheus_client.parser import text_string_to_metric_families  # by who asks: it takes a while

        samples: dict[str, list[tuple[Labels, float]]] = defaultdict(list)
        try:
            for family in text_string_to_metric_families(text):
                for sample in family.samples:
                    samples[sample.name].append((sample.labels, sample.value))
        except (ValueError, KeyError, IndexError):
            raise Unavailable("the agent's metrics cannot be read: is OPS_METRICS_URL the agent's?") from None
        return cls(dict(samples))

    def each(self, name: str, **labels: str) -> Iterator[tuple[Labels, float]]:
        """Yield the samples of a metric whose labels are as given."""
        for its_labels, value in self.samples.get(name, ()):
            if all(its_labels.get(key) == expected for key, expected in labels.items()):
                yield its_labels, value

    def one(self, name: str, **labels: str) -> float | None:
        """Return the value of the one sample; None when there is none, or several."""
        values = [value for _, value in self.each(name, **labels)]
        return values[0] if len(values) == 1 else None


def fetch(url: str, timeout_seconds: float) -> Figures:
    """Ask the agent at ``url``. Raises Unavailable."""
    service = JsonService("the agent", url.removesuffix("/metrics"), timeout_seconds=timeout_seconds)
    try:
        return Figures.parse(service.text("/metrics"))
    finally:
        service.close()
