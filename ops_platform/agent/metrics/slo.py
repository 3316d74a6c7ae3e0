"""Metrics of the objectives: the newest figures of every window. Counting and judging are in ``slo``.

Read apart from the other metrics: it needs the objectives' documents, and a wrong one must not
hide the rest.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from ops_platform.agent.expiring_value import ExpiringValue
from ops_platform.agent.metrics.definition import Sample, gauge, known_sample
from ops_platform.clients.postgres import Connection
from ops_platform.slo.objectives import Objective
from ops_platform.slo.reporting import STATES, VERDICTS, figures

_OBJECTIVE = ("service", "slo")
_WINDOW = (*_OBJECTIVE, "window")
_BOUNDED = (*_WINDOW, "bound")
"""``bound`` is least or most; a figure that is known does not have this label."""

METRICS = (
    gauge("slo_achievement_percentage", "Good events out of all, in percent.", _BOUNDED),
    gauge("slo_error_budget_remaining", "What is left of the error budget, in percent.", _BOUNDED),
    gauge("slo_target_percentage", "The share of good events that is promised.", _OBJECTIVE),
    gauge("slo_period_info", "Always 1; its window is what the objective is judged over.", _WINDOW),
    gauge("slo_good_events", "Good events, without excluded ones.", _WINDOW),
    gauge("slo_total_events", "All events, without excluded ones.", _WINDOW),
    gauge("slo_state", "1 for the state of the figure that holds.", (*_WINDOW, "state")),
    gauge("slo_verdict", "1 for what is certain of the objective in the window.", (*_WINDOW, "verdict")),
    gauge("slo_unknown_hours", "Hours of the window whose events are not known.", _WINDOW),
    gauge("slo_measured_timestamp_seconds", "End of the newest hour with figures.", _OBJECTIVE),
    gauge("slo_exclusion_active", "1 while planned maintenance is excluded.", _OBJECTIVE),
)

_EXCLUDED_NOW = """
    SELECT DISTINCT service, slo FROM slo_exclusions
    WHERE now() >= starts_at AND now() < ends_at AND withdrawn_at IS NULL
"""


@dataclass(frozen=True)
class FigureState:
    """An objective's newest figures of one window, in percent; None: no events, or not known."""

    window: str
    state: str
    good: int | None
    total: int | None
    achievement: float | None
    budget_remaining: float | None
    verdict: str | None = None
    unknown_hours: int | None = None
    achievement_bounds: tuple[float, float] | None = None
    """Least and most; None when it is known, or nothing bounds it."""
    budget_bounds: tuple[float, float] | None = None


@dataclass(frozen=True)
class ObjectiveState:
    """State of an objective; ``measured_at`` is None before the first figure."""

    service: str
    slo: str
    target_percentage: float
    excluded_now: bool
    period: str
    """Window that the objective is judged over."""
    measured_at: datetime | None = None
    figures: tuple[FigureState, ...] = ()


class SloMetrics:
    """States of the objectives, kept for ``good_for`` seconds after each read."""

    def __init__(self, good_for: float) -> None:
        self.objectives: ExpiringValue[Sequence[ObjectiveState]] = ExpiringValue(good_for)

    def read(self, connection: Connection, promised: Sequence[Objective]) -> None:
        """Read the ops database about what is promised now. Raises psycopg.Error."""
        self.objectives.put(objectives(connection, promised))

    def samples(self, _now: float) -> Iterator[Sample]:
        """Yield the newest figures of every objective; those that are not known are no samples."""
        for objective in self.objectives.get() or ():
            labels = (objective.service, objective.slo)
            yield Sample("slo_target_percentage", labels, objective.target_percentage)
            yield Sample("slo_exclusion_active", labels, objective.excluded_now)
            yield Sample("slo_period_info", (*labels, objective.period), 1)
            yield from known_sample("slo_measured_timestamp_seconds", labels, objective.measured_at)
            for figure in objective.figures:
                window = (*labels, figure.window)
                for state in STATES:
                    yield Sample("slo_state", (*window, state), figure.state == state)
                yield from known_sample("slo_good_events", window, figure.good)
                yield from known_sample("slo_total_events", window, figure.total)
                for verdict in VERDICTS:
                    if figure.verdict is not None:
                        yield Sample("slo_verdict", (*window, verdict), figure.verdict == verdict)
                yield from known_sample("slo_unknown_hours", window, figure.unknown_hours)
                for name, value, bounds in (
                    ("slo_achievement_percentage", figure.achievement, figure.achievement_bounds),
                    ("slo_error_budget_remaining", figure.budget_remaining, figure.budget_bounds),
                ):
                    yield from known_sample(name, window, value)
                    for bound, limit in zip(("least", "most"), bounds or (), strict=False):
                        yield Sample(name, (*window, bound), limit)


def objectives(connection: Connection, promised: Sequence[Objective]) -> list[ObjectiveState]:
    """Read the newest stored figures of what is promised now."""
    rows: defaultdict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for row in figures.latest(connection, promised):
        rows[row["service_name"], row["metric_name"]].append(row)
    excluded = {(row["service"], row["slo"]) for row in connection.execute(_EXCLUDED_NOW)}
    return [
        ObjectiveState(
            objective.service,
            objective.name,
            float(objective.target * 100),
            not excluded.isdisjoint({(objective.service, objective.name), (objective.service, None)}),
            str(objective.period),
            max((row["measured_at"] for row in rows[objective.service, objective.name]), default=None),
            tuple(
                FigureState(
                    row["slo_window"],
                    row["state"],
                    row["success_count"],
                    row["sample_count"],
                    _float(row["actual_percentage"]),
                    _float(row["error_budget_remaining"]),
                    row["verdict"],
                    None if row["windows_known"] is None else row["windows_expected"] - row["windows_known"],
                    _bounds(row, "actual_percentage"),
                    _bounds(row, "error_budget_remaining"),
                )
                for row in rows[objective.service, objective.name]
            ),
        )
        for objective in promised
    ]


def _bounds(row: dict[str, Any], column: str) -> tuple[float, float] | None:
    """Read least and most of a figure that is not known itself."""
    least, most = row[f"{column}_least"], row[f"{column}_most"]
    return None if row["state"] != "bounded" or least is None or most is None else (float(least), float(most))


def _float(value: Decimal | None) -> float | None:
    return None if value is None else float(value)
