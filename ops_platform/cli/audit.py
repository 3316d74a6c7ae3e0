"""``ops-platform audit``: verify and show the ledger."""

from __future__ import annotations

import click

from ops_platform.cli import output
from ops_platform.settings import load_settings


@click.group()
def audit() -> None:
    """Verify and show the append-only ledger: what was done, by whom, with what outcome."""


@audit.command()
@output.as_json
def verify(json_output: bool) -> None:
    """Recompute rows against seals, and seals against their object-locked copies.

    Exit 1 when anything differs, and also when a copy could not be read: an unverified ledger does
    not count as intact.
    """
    from ops_platform.audit import report

    result = report.verify_ledger(load_settings())
    if json_output:
        output.print_json(result.as_json())
    else:
        for finding in result.findings:
            click.echo(f"DIFFERS: {finding}")
        click.echo(result.summary)
    if not result.ok:
        output.end(1)


@audit.command()
@click.option(
    "--object", "object_name", default=None, help="Only events about this object, for example product."
)
@click.option("--action", default=None, help="Only this action, for example backup.run.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 100_000))
@output.as_json
def show(object_name: str | None, action: str | None, limit: int, json_output: bool) -> None:
    """List the newest events, newest last."""
    from ops_platform.audit import report

    events = report.recent_events(load_settings(), object_name=object_name, action=action, limit=limit)
    if json_output:
        output.print_json(events)
        return
    columns = ("id", "at", "actor", "action", "phase", "outcome", "object", "sealed in")
    rows = [
        (
            event["id"],
            output.moment(event["occurred_at"]),
            event["actor"],
            event["action"],
            event["phase"],
            event["outcome"],
            event["object"],
            event["seal"],
        )
        for event in events
    ]
    output.print_table("audit events", columns, rows)


@audit.command("open-epoch")
@output.as_json
def open_epoch(json_output: bool) -> None:
    """Open a new epoch after a restore of the ops database: sign what was lost, so that the ledger goes on.

    Stop the agent and all runs first. Needs the signing key and the owner of the tables.
    """
    from dataclasses import asdict

    from ops_platform.audit import report

    seal = report.open_next_epoch(load_settings())
    if json_output:
        output.print_json(asdict(seal))
    else:
        lost = seal.number - (seal.void_from or seal.number)
        click.echo(f"epoch {seal.opens} opened by seal {seal.number}; seals lost with the restore: {lost}")


COMMANDS = (audit,)
