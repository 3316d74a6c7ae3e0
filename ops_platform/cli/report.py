"""``ops-platform slo report`` and ``export``: what is stored of the objectives, and whether it is current."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from ops_platform.cli import arguments, output
from ops_platform.errors import ConfigurationError
from ops_platform.settings import load_settings

if TYPE_CHECKING:
    from ops_platform.slo.objectives import Objective

HUNDRED = 100
"""Percent; an objective with this target has no error budget."""


@click.command()
@arguments.objectives
@output.as_json
def report(objectives: Path | None, json_output: bool) -> None:
    """Show the verdict on each objective and its newest stored figures; needs the ops database.

    The verdict says what is certain: met, at risk (at most a quarter of the budget is left), breached, or
    undecided, because that depends on hours that are not known. Below stand the worst hours of each
    objective that is not met, over its own period, and its maintenance. After a document has changed its
    objective is undecided, "of a former version", until the next hourly run. Exit 1 when an objective is
    breached or undecided in a window, or a figure is missing, of a former version, or older than 2 h 30 min.

    \b
    Example:
      ops-platform slo report
    """
    from ops_platform.clients import postgres
    from ops_platform.slo.objectives import openslo
    from ops_platform.slo.reporting import figure_causes, figures

    settings = load_settings()
    loaded = openslo.load_directory(objectives or settings.config_dir / "objectives")
    with postgres.session(settings.require("database_url")) as ops:
        rows = figures.latest_with_freshness(ops, loaded, datetime.now(UTC))
        for objective in loaded:
            own = _own(rows, objective)
            if own is not None and own["freshness"] not in ("missing", "former"):
                own["worst_hours"] = figure_causes.worst_hours(ops, objective, own["measured_at"])
                own["maintenance"] = figure_causes.maintenance(ops, objective, own["measured_at"])
    if json_output:
        output.print_json(rows)
    else:
        output.print_table(
            "figures",
            (
                "objective",
                "window",
                "until",
                "verdict",
                "state",
                "good",
                "all",
                "good %",
                "target %",
                "left %",
                "hours known",
            ),
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
        _print_causes(rows)
    if any(_is_bad(row) for row in rows):
        output.end(1)


def _own(rows: list[dict[str, Any]], objective: Objective) -> dict[str, Any] | None:
    """Find the row of the objective's own period."""
    key = (objective.service, objective.name, str(objective.period))
    return next(
        (row for row in rows if (row["service_name"], row["metric_name"], row["slo_window"]) == key), None
    )


def _print_causes(rows: list[dict[str, Any]]) -> None:
    """Print the worst hours of what is not met, and the maintenance of each objective."""
    for row in rows:
        name = f"{row['service_name']}-{row['metric_name']}, {row['slo_window']}"
        for hour in row.get("worst_hours", ()) if row.get("verdict") != "met" else ():
            at = f"{name}: hour of {output.moment(hour['window_start'])}"
            if hour["reason"] is None:
                click.echo(f"{at}: {hour['bad']} of {hour['total']} events bad")
            else:
                bad = _between(hour["bad_least"], hour["bad_most"])
                click.echo(f"{at} is not known, {bad} events bad: {hour['reason']}")
        for excluded in row.get("maintenance", ()):
            since, until = output.moment(excluded["starts_at"]), output.moment(excluded["ends_at"])
            click.echo(f"{name}: left out {since} to {until}: {excluded['reason']}")


def _between(least: int | None, most: int | None) -> str:
    return "any number of" if least is None or most is None else f"{least} to {most}"


def _figure(row: dict[str, Any]) -> tuple[object, ...]:
    if row["freshness"] == "missing":
        return (None, "no figure", None, None, None, None, None, None)
    if row["freshness"] == "former":
        return (row["verdict"], "of a former version", None, None, None, None, None, None)
    bounded = row["state"] == "bounded"
    known, expected = row["windows_known"], row["windows_expected"]
    return (
        row["verdict"],
        row["state"] if row["freshness"] == "current" else f"{row['state']}, old",
        row["success_count"],
        row["sample_count"],
        _percents(row, "actual_percentage", bounded),
        _percent(row["target_percentage"]),
        "none to spend"
        if row["target_percentage"] == HUNDRED
        else _percents(row, "error_budget_remaining", bounded),
        None if known is None else f"{known} of {expected}",
    )


def _is_bad(row: dict[str, Any]) -> bool:
    if row["freshness"] != "current":
        return True
    if row["verdict"] is None:
        # Made before there were verdicts.
        return bool(row["state"] == "source_missing" or row["breach_severity"] == "critical")
    return row["verdict"] in ("breached", "undecided")


def _percents(row: dict[str, Any], column: str, bounded: bool) -> str:
    """Write a figure in percent, or its least and most when only those are known."""
    if row["state"] == "no_data" and column == "actual_percentage":
        return "no events"
    if not bounded:
        return _percent(row[column])
    return f"{_percent(row[f'{column}_least'])} to {_percent(row[f'{column}_most'])}"


def _percent(value: Decimal | None) -> str:
    """Round a percentage down: slightly less than 100 % must not read as 100 %."""
    from fractions import Fraction

    from ops_platform.slo.reporting import error_budget

    return error_budget.percent(None if value is None else Fraction(value) / 100)


@click.command()
@click.option(
    "--what",
    type=click.Choice(["hours", "days", "figures", "ledger", "exclusions", "objectives"]),
    default="hours",
    show_default=True,
    help="The view: of schema analysis in the ops database.",
)
@click.option(
    "--format", "form", type=click.Choice(["csv", "json", "parquet"]), default="csv", show_default=True
)
@click.option("--from", "since", default=None, help="A time in UTC: 2026-01-31T14:00.")
@click.option("--to", "until", default=None, help="A time in UTC, not included.")
@click.option("--service", default=None, help="Of this service only.")
@click.option("--slo", default=None, help="Of objectives of this name only.")
@click.option(
    "--out",
    "path",
    type=click.Path(path_type=Path, dir_okay=False),
    default=None,
    help="Replace this file; else standard output.",
)
def export(
    what: str,
    form: str,
    since: str | None,
    until: str | None,
    service: str | None,
    slo: str | None,
    path: Path | None,
) -> None:
    """Write counts, figures or the ledger to a file, for analysts; memory does not grow with the rows.

    Needs the ops database: OPS_ANALYST_DATABASE_URL, else OPS_DATABASE_URL. Parquet needs pyarrow
    (pip install 'ops-platform[parquet]').

    \b
    Examples:
      ops-platform slo export --from 2026-01-01T00:00 --to 2026-02-01T00:00 --out january.csv
      ops-platform slo export --what ledger --format json
    """
    from ops_platform import analysis
    from ops_platform.analysis import writers

    selection = analysis.Selection(
        service,
        slo,
        None if since is None else arguments.moment(since),
        None if until is None else arguments.moment(until),
    )
    if path is None:
        if form == "parquet":
            raise ConfigurationError("Parquet is no text: name a file with --out")
        with analysis.read(cast(Any, what), selection) as records:
            writers.write(records, cast(Any, form), sys.stdout.buffer)
        return
    part = path.with_name(f"{path.name}.part")
    try:
        try:
            with analysis.read(cast(Any, what), selection) as records, part.open("wb") as file:
                rows = writers.write(records, cast(Any, form), file)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be written ({error.strerror})") from None
    click.echo(f"{path}: {rows} rows")
