"""``ops-platform slo report``: the stored figures of the objectives, and whether they are up to date."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import click

from ops_platform.cli import arguments, output
from ops_platform.settings import load_settings

HUNDRED = 100
"""Percent; an objective with this target has no error budget."""


@click.command()
@arguments.objectives
@output.as_json
def report(objectives: Path | None, json_output: bool) -> None:
    """Show the newest stored figures of each objective; needs the ops database.

    Exit 1 when a budget is spent, or a figure is unknown, missing, or older than 2 h 30 min.
    """
    from ops_platform.clients import postgres
    from ops_platform.slo.objectives import openslo
    from ops_platform.slo.reporting import figures

    settings = load_settings()
    loaded = openslo.load_directory(objectives or settings.config_dir / "objectives")
    with postgres.session(settings.require("database_url")) as ops:
        rows = figures.latest_with_freshness(ops, loaded, datetime.now(UTC))
    if json_output:
        output.print_json(rows)
    else:
        output.print_table(
            "figures",
            ("objective", "window", "until", "state", "good", "all", "good %", "left %"),
            [
                (
                    f"{row['service_name']}-{row['metric_name']}",
                    row["slo_window"],
                    output.moment(row.get("measured_at")),
                    *_figure(row),
                )
                for row in rows
            ],
        )
    if any(_is_bad(row) for row in rows):
        output.end(1)


def _figure(row: dict[str, Any]) -> tuple[object, ...]:
    if row["freshness"] == "missing":
        return ("no figure", None, None, None, None)
    return (
        row["state"] if row["freshness"] == "current" else f"{row['state']}, old",
        row["success_count"],
        row["sample_count"],
        _percent(row["actual_percentage"]),
        "none to spend" if row["target_percentage"] == HUNDRED else _percent(row["error_budget_remaining"]),
    )


def _is_bad(row: dict[str, Any]) -> bool:
    if row["freshness"] != "current":
        return True
    return bool(row["state"] == "source_missing" or row["breach_severity"] == "critical")


def _percent(value: Decimal | None) -> str:
    """Round a percentage down: slightly less than 100 % must not read as 100 %."""
    from fractions import Fraction

    from ops_platform.slo.reporting import error_budget

    return error_budget.percent(None if value is None else Fraction(value) / 100)
