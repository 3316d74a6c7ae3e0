"""Counts of objectives' events in windows, straight from Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from ops_platform.clients.prometheus import Prometheus
from ops_platform.errors import CheckFailed, ConfigurationError
from ops_platform.slo.counting import exclusions
from ops_platform.slo.counting.exclusions import Exclusion
from ops_platform.slo.objectives import AnyIndicator, Indicator, Objective

if TYPE_CHECKING:
    from ops_platform.slo.counting.window import WindowCount

HOUR = timedelta(hours=1)
TOGETHER = 24
"""The number of windows that are read at once."""
OBJECTIVES_TOGETHER = 50
"""The number of objectives whose samples are held at once."""


def hours(start: datetime, end: datetime) -> list[datetime]:
    """List the bounds of all hours from ``start`` to ``end``, two full hours in UTC.

    Raises ConfigurationError when they are not full hours, or not in this order.
    """
    for bound in (start, end):
        if bound.astimezone(UTC).replace(minute=0, second=0, microsecond=0) != bound:
            raise ConfigurationError(f"{bound.isoformat()} is not a full hour in UTC")
    if start >= end:
        raise ConfigurationError(f"{start.isoformat()} is not before {end.isoformat()}")
    return [start + HOUR * number for number in range((end - start) // HOUR + 1)]


def count(
    prometheus: Prometheus,
    objectives: Sequence[Objective],
    bounds: Sequence[datetime],
    now: datetime,
    excluded: Sequence[Exclusion] = (),
    progress: Callable[[float], None] = lambda fraction: None,
) -> dict[Objective, list[WindowCount]]:
    """Count the windows between ``bounds`` of each objective; metrics that several share are read once.

    Events that cannot be counted make the windows that they touch unknown, of the objectives concerned.
    ``progress`` is told the share that is done, 0 to 1. Raises Unavailable when Prometheus is away or
    answers partially, CheckFailed for a window whose surroundings are not over yet.
    """
    # numpy is loaded with the first count: code that only names or reads counts does without.
    from ops_platform.slo.counting import reader
    from ops_platform.slo.counting.window import SURROUNDINGS

    if bounds[-1] + SURROUNDINGS > now:
        raise CheckFailed(
            f"the window until {bounds[-1]:%Y-%m-%d %H:%M} UTC can be counted from "
            f"{bounds[-1] + SURROUNDINGS:%H:%M} on: whether a scrape is missing shows a little later"
        )
    counts: dict[Objective, list[WindowCount]] = {objective: [] for objective in objectives}
    parts = [bounds[first : first + TOGETHER + 1] for first in range(0, len(bounds) - 1, TOGETHER)]
    steps = [
        (part, kind, source, batch)
        for part in parts
        for (_, kind), (source, group) in _read_together(prometheus, objectives).items()
        for batch in _batches(group)
    ]
    for number, (part, kind, source, batch) in enumerate(steps, start=1):
        selectors = [selector for objective in batch for selector in objective.indicator.selectors]
        counters, gauges = (selectors, []) if kind is Indicator else ([], selectors)
        reading = reader.read(source, counters, part[0] - SURROUNDINGS, part[-1] + SURROUNDINGS, gauges)
        for objective in batch:
            counts[objective] += exclusions.count(objective, reading, part, excluded)
        progress(number / len(steps))
    return counts


def by_source(objectives: Sequence[Objective]) -> list[list[Objective]]:
    """Group objectives by the name of the Prometheus that they are counted from, in their order."""
    groups: dict[str | None, list[Objective]] = {}
    for objective in objectives:
        groups.setdefault(objective.indicator.source, []).append(objective)
    return list(groups.values())


def _batches(objectives: Sequence[Objective]) -> list[list[Objective]]:
    """Split objectives: those that count the same events stand side by side, so that they are read once."""
    alike = sorted(objectives, key=lambda objective: str(objective.indicator.total))
    starts = range(0, len(alike), OBJECTIVES_TOGETHER)
    return [alike[first : first + OBJECTIVES_TOGETHER] for first in starts]


def _read_together(
    prometheus: Prometheus, objectives: Sequence[Objective]
) -> dict[tuple[str, type[AnyIndicator]], tuple[Prometheus, list[Objective]]]:
    """Group objectives by the Prometheus that has their samples, and by their kind: counters or gauges."""
    groups: dict[tuple[str, type[AnyIndicator]], tuple[Prometheus, list[Objective]]] = {}
    for objective in objectives:
        name = objective.indicator.source
        source = prometheus if name is None else prometheus.source(name)
        key = ("" if source is prometheus else source.url, type(objective.indicator))
        groups.setdefault(key, (source, []))[1].append(objective)
    return groups
