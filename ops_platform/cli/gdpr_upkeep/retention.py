"""``ops-platform gdpr retention``: the terms of the data map, carried out by hand or foreseen."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ops_platform.cli import arguments, output
from ops_platform.settings import Settings, load_settings

if TYPE_CHECKING:
    from ops_platform.gdpr.data_map import DataMap
    from ops_platform.gdpr.retention.outcome import Report


@click.command()
@arguments.data_map
@click.option("--dry-run", is_flag=True, help="Count what would go, and change nothing.")
@output.as_json
def retention(data_map: Path | None, dry_run: bool, json_output: bool) -> None:
    """Delete rows whose term in the data map is over, or make them anonymous, as the daily job does.

    Exit 1 where a term is not carried out: rows that stay refer to such rows, or the database refuses. Needs
    the ops database, which knows the legal holds and keeps the record; a dry run does without, and says so.
    The product database is OPS_PRODUCT_ERASER_DATABASE_URL, else OPS_PRODUCT_DATABASE_URL, else that of
    libpq's own variables; prepare it with 'ops-platform migrate'.

    \b
    Example:
      ops-platform gdpr retention --dry-run
    """
    from ops_platform.gdpr.data_map import parser

    settings = load_settings()
    loaded_map = parser.load(data_map or settings.config_dir / "data_map.yaml")
    report = _foresee(settings, loaded_map) if dry_run else _carry_out(settings, loaded_map)
    if json_output:
        output.print_json({"dry_run": dry_run, **report.as_json()})
    else:
        _print(report, dry_run=dry_run)
    if report.problems:
        output.end(1)


def _carry_out(settings: Settings, data_map: DataMap) -> Report:
    from ops_platform.clients import postgres
    from ops_platform.dr.verification import backup_expiry
    from ops_platform.gdpr.retention import daily_run, outside_places

    output.announce("product database", _url(settings))
    output.announce("ops database", settings.require("database_url"))
    with (
        postgres.session(_url(settings), application="ops-platform retention", autocommit=True) as product,
        postgres.session(settings.require("database_url"), autocommit=True) as ops,
    ):
        return daily_run.run(
            product,
            ops,
            data_map,
            backup_expiry.product_backup_term(settings).stanza,
            actor=f"cli:{arguments.user()}",
            progress=lambda place, changed: click.echo(f"  {place}: {changed} rows", err=True),
            outside=outside_places.configured(settings, data_map),
        )


def _foresee(settings: Settings, data_map: DataMap) -> Report:
    from contextlib import ExitStack

    from ops_platform.clients import postgres
    from ops_platform.dr.verification import backup_expiry
    from ops_platform.gdpr.retention import daily_run, outside_places

    with ExitStack() as opened:
        product = opened.enter_context(
            postgres.session(_url(settings), application="ops-platform retention", autocommit=True)
        )
        ops, stanza = None, ""
        if settings.database_url:
            ops = opened.enter_context(postgres.session(settings.database_url, autocommit=True))
            stanza = backup_expiry.product_backup_term(settings).stanza
        return daily_run.dry_run(
            product, ops, data_map, stanza, outside_places.configured(settings, data_map)
        )


def _url(settings: Settings) -> str:
    from ops_platform.gdpr.erasure import context

    return context.product_url(settings)


def _print(report: Report, *, dry_run: bool) -> None:
    if not report.tables:
        click.echo("no table of the data map has a term of retention")
        return
    output.print_table(
        "what would go" if dry_run else f"run {report.run_id}",
        ("table", "action", "term", "rows", "due now", "held", "undated"),
        [
            (
                table.table,
                table.action,
                table.term,
                f"at most {table.changed}" if table.at_most else table.changed,
                *((table.counts.due, table.counts.held, table.counts.undated) if table.counts else ["?"] * 3),
            )
            for table in report.tables
        ],
    )
    if not report.holds_known:
        click.echo("legal holds are not known without an ops database: rows under one are counted as going")
    for problem in report.problems:
        click.echo(problem)
