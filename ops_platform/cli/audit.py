"""``ops-platform audit``: verify and show the ledger."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import click

from ops_platform.cli import output
from ops_platform.settings import load_settings


@click.group()
def audit() -> None:
    """Verify and show the append-only ledger: what was done, by whom, with what outcome."""


@audit.command()
@click.option(
    "--from",
    "copy",
    type=click.Path(path_type=Path, exists=True),
    default=None,
    help="Not the server: a directory of 'audit export', or a file of 'pg_dump --data-only'.",
)
@click.option(
    "--copies",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    default=None,
    help="With --from: a directory with what is in the ledger bucket.",
)
@click.option(
    "--taken-at",
    type=click.DateTime(formats=["%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%d %H:%M:%S%z"]),
    default=None,
    help="With --from and a dump: when it was made, as 2026-12-01T04:00:00Z.",
)
@output.as_json
def verify(copy: Path | None, copies: Path | None, taken_at: datetime | None, json_output: bool) -> None:
    """Check the catalogue, recompute rows against seals, and seals against their object-locked copies.

    Exit 1 when anything differs, and also when a copy could not be read: an unverified ledger does
    not count as intact. The public key (OPS_AUDIT_PUBLIC_KEY_FILE) is all it needs besides.

    \b
    Examples:
      ops-platform audit verify
      ops-platform audit verify --from ledger      a copy, on another machine
    """
    from ops_platform.audit import report

    if copy is None and (copies is not None or taken_at is not None):
        raise click.UsageError("--copies and --taken-at are for --from")
    settings = load_settings()
    if copy is None:
        result = report.verify_ledger(settings)
    else:
        result = report.verify_copy(settings, copy, copies=copies, taken_at=taken_at)
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
    "--to",
    "directory",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="A new directory.",
)
@click.option("--copies", is_flag=True, help="With the copies of the seals from the ledger bucket.")
@output.as_json
def export(directory: Path, copies: bool, json_output: bool) -> None:
    """Write the ledger into a directory, to verify it on another machine with 'audit verify --from'.

    \b
    Example:
      ops-platform audit export --to ledger --copies
    """
    from dataclasses import asdict

    from ops_platform.audit import report

    manifest = report.export_ledger(load_settings(), directory, copies=copies)
    if json_output:
        output.print_json({key: value for key, value in asdict(manifest).items() if key != "catalogue"})
    else:
        rows = manifest.rows
        click.echo(
            f"{rows['audit_events']} events and {rows['audit_seals']} seals as of {manifest.taken_at} are in "
            f"{directory}"
        )


@audit.command()
@click.option(
    "--object", "object_name", default=None, help="Only events about this object, for example product."
)
@click.option("--action", default=None, help="Only this action, for example backup.run.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 100_000))
@output.as_json
def show(object_name: str | None, action: str | None, limit: int, json_output: bool) -> None:
    """List the newest events, newest last.

    \b
    Example:
      ops-platform audit show --limit 20
    """
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

    \b
    Example:
      ops-platform audit open-epoch
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
