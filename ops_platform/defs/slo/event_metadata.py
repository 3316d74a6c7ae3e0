"""Metadata of the events of many objectives: a table for each service, of those that are not met.

Dagster keeps an event of every hour; everything else is in the ops database (``slo_window_counts``,
``slo_metrics``). Of few objectives ``assets`` plots every number.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import dagster as dg

from ops_platform import markdown
from ops_platform.slo.objectives import Objective
from ops_platform.slo.reporting import Figure, Tally
from ops_platform.slo.reporting import error_budget as budget

if TYPE_CHECKING:
    from ops_platform.slo.counting.window import WindowCount

PLOTTED = 10
"""The most objectives of which every number is plotted."""
ROWS = 20
"""The most rows of a service's table."""
REASON = 200
"""The most characters of a reason; all of it is in ``slo_window_counts``."""
_HOUR_COLUMNS = ("objective", "verdict", "bad", "all", "good %", "why not known")
_FIGURE_COLUMNS = ("objective", "window", "verdict", "good %", "target %", "budget left %", "hours known")

Row = tuple[str, tuple[str, ...]]
"""The verdict, and the cells."""


def of_hour(windows: "Mapping[Objective, WindowCount]") -> dict[str, dg.MetadataValue]:
    """Lay out an hour's counts."""
    rows: dict[str, list[Row]] = defaultdict(list)
    for objective, window in windows.items():
        tally = Tally.of([window])
        verdict = budget.verdict(tally, objective)
        bounds = window.bounds
        bad = window.bad if bounds is None else f"{bounds.bad_least} to {bounds.bad_most}"
        cells = (
            objective.name,
            verdict,
            "" if bad is None else str(bad),
            "" if window.total is None else str(window.total),
            budget.percent_between(budget.achievement_bounds(tally)),
            (window.reason or "")[:REASON],
        )
        rows[objective.service].append((verdict, cells))
    return {
        **_tables(_HOUR_COLUMNS, rows),
        "scrapes seen": dg.MetadataValue.int(sum(window.scrapes_seen for window in windows.values())),
        "scrapes expected": dg.MetadataValue.int(sum(window.scrapes_expected for window in windows.values())),
    }


def of_figures(figures_of: Mapping[Objective, Sequence[Figure]]) -> dict[str, dg.MetadataValue]:
    """Lay out the figures over each objective's own period."""
    rows: dict[str, list[Row]] = defaultdict(list)
    for objective, figures in figures_of.items():
        for figure in figures:
            if figure.window == str(objective.period):
                verdict = figure.verdict or "undecided"
                rows[objective.service].append((verdict, _figure_cells(objective, figure, verdict)))
    return _tables(_FIGURE_COLUMNS, rows)


def _figure_cells(objective: Objective, figure: Figure, verdict: str) -> tuple[str, ...]:
    tally = figure.tally
    left = budget.remaining_bounds(tally, objective.target)
    return (
        objective.name,
        figure.window,
        verdict,
        budget.percent_between(budget.achievement_bounds(tally)),
        budget.percent(objective.target),
        "no budget" if objective.target == 1 else budget.percent_between(left, 1),
        f"{tally.windows - tally.missing} of {tally.windows}",
    )


def _tables(columns: Sequence[str], rows: Mapping[str, Sequence[Row]]) -> dict[str, dg.MetadataValue]:
    """Lay out a service's rows that are not met, ROWS at most, and say how many more there are."""
    tables: dict[str, dg.MetadataValue] = {}
    for service, of_service in rows.items():
        unmet = [cells for verdict, cells in of_service if verdict != "met"]
        said = [f"{len(unmet) - ROWS} more are not met."] if len(unmet) > ROWS else []
        if len(unmet) < len(of_service):
            said.append(f"{len(of_service) - len(unmet)} are met.")
        table = [markdown.table(columns, unmet[:ROWS])] if unmet else []
        text = "\n\n".join([*table, *([" ".join(said)] if said else [])])
        tables[f"service {service}"] = dg.MetadataValue.md(text)
    return tables
