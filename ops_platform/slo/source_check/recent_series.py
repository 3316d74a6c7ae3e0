"""What the check asks a Prometheus: which label values had samples, and how often they came."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np

from ops_platform.clients.prometheus import Prometheus
from ops_platform.errors import Unavailable
from ops_platform.slo.objectives import Matcher, Selector

SPAN = timedelta(hours=1)
"""The time before a moment in which series count as stored."""


def values(source: Prometheus, label: str, selector: Selector, at: datetime) -> list[str]:
    """List the values of a label among the selector's series with samples in SPAN before ``at``.

    A series without the label has an empty one. Raises Unavailable.
    """
    span = round(SPAN.total_seconds())
    answer = source.query(f"group by ({label}) (last_over_time({selector.query}[{span}s]))", at=at)
    return sorted(series.labels.get(label, "") for series in answer.series)


def of_job(metric: str, job: str) -> Selector:
    """Select a metric of one job."""
    return Selector(metric, (Matcher("job", "=", job),))


def interval(source: Prometheus, job: str, instance: str, at: datetime) -> float | None:
    """Compute the median time (s) between the scrapes of an instance; None when there are less than three.

    Raises Unavailable.
    """
    only = of_job("up", job)
    only = replace(only, matchers=(*only.matchers, Matcher("instance", "=", instance)))
    answer = source.query(f"{only.query}[{round(SPAN.total_seconds())}s]", at=at)
    steps = [
        float(np.median(np.diff([time for time, _ in series.samples])))
        for series in answer.series
        if len(series.samples) > 2
    ]
    return min(steps, default=None)


def ever(source: Prometheus, label: str, query: str, at: datetime) -> list[str]:
    """List the values of a label among all series that are remembered. Raises Unavailable."""
    return [value for value in source.label_values(label, query, until=at)[0] if value]


def scraped_paths(source: Prometheus) -> dict[str, str]:
    """Read by job the path that it is scraped at; empty where no targets are told (Thanos, Mimir)."""
    try:
        return {target.job: target.path for target in source.targets()}
    except Unavailable:
        return {}


def recorded_names(source: Prometheus) -> frozenset[str]:
    """List the names that recording rules write; empty where no rules are told."""
    try:
        return frozenset(rule.name for rule in source.rules() if rule.kind == "recording")
    except Unavailable:
        return frozenset()
