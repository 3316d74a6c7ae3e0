"""From Prometheus to counts: objectives, in windows, in one go."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from ops_platform.clients.prometheus import Prometheus
from ops_platform.errors import CheckFailed, ConfigurationError
from ops_platform.slo.counting import exclusions
from ops_platform.slo.counting.exclusions import Exclusion
from ops_platform.slo.objectives import Objective

if TYPE_CHECKING:
    from ops_platform.slo.counting.window import WindowCount

HOUR = timedelta(hours=1)
TOGETHER = 24
"""Windows that are read at once."""


def hours(start: datetime, end: datetime) -> list[datetime]:
    """The bounds of all hours between two full ones in UTC. Raises ConfigurationError when they are not."""
    for one in (start, end):
        if one.astimezone(UTC).replace(minute=0, second=0, microsecond=0) != one:
            raise ConfigurationError(f"{one.isoformat()} is no full hour in UTC")
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
    """The windows between ``bounds`` of each objective; metrics that several share are read once.

    What cannot be counted is unknown in the windows that it touches, of the objectives that it concerns.
    Raises Unavailable when Prometheus is away or answers partially, CheckFailed for a window whose
    surroundings are not over yet.
    """
    # numpy with the first count: whoever only names or reads what was counted does without.
    from ops_platform.slo.counting import reader as source
    from ops_platform.slo.counting.window import SURROUNDINGS

    if bounds[-1] + SURROUNDINGS > now:
        raise CheckFailed(
            f"the window until {bounds[-1]:%Y-%m-%d %H:%M} UTC can be counted from "
            f"{bounds[-1] + SURROUNDINGS:%H:%M} on: whether a scrape is missing shows a little later"
        )
    selectors = [one for objective in objectives for one in objective.indicator.selectors]
    found: dict[Objective, list[WindowCount]] = {one: [] for one in objectives}
    whole = max(1, len(bounds) - 1)
    for first in range(0, len(bounds) - 1, TOGETHER):
        part = bounds[first : first + TOGETHER + 1]
        reading = source.read(prometheus, selectors, part[0] - SURROUNDINGS, part[-1] + SURROUNDINGS)
        for one in objectives:
            found[one] += exclusions.count(one, reading, part, excluded)
        progress(min(1.0, (first + TOGETHER) / whole))
    return found
