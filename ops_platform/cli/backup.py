"""``ops-platform backup`` and ``backups``; both work while Dagster is stopped."""

from __future__ import annotations

import socket
from typing import Any
from uuid import uuid4

import click

from ops_platform.cli import arguments, output
from ops_platform.errors import OpsError
from ops_platform.settings import load_settings

KINDS = {"full": "full", "diff": "differential", "incr": "incremental"}


@click.command()
@click.argument("kind", type=click.Choice(list(KINDS)))
@click.option("--stanza", default=None, help="Which stanza of backups.yaml; needed when there are several.")
@arguments.repository
@click.option(
    "--allow-promotion", is_flag=True, help="Take a full when the chain to build on broke; else refuse."
)
@output.as_json
def backup(
    kind: str, stanza: str | None, repository_name: str | None, allow_promotion: bool, json_output: bool
) -> None:
    """Take, verify and record a backup now, without Dagster.

    A stanza's very first backup becomes a full one, and says so. Later on, a differential or incremental
    whose chain broke is refused.

    \b
    Example:
      ops-platform backup diff --stanza product
      ops-platform backup full --stanza product --repository offsite
    """
    from ops_platform.backup.stanza import choose_here, open_context, parse_kind
    from ops_platform.backup.taking import execution

    settings = load_settings()
    name = choose_here(settings, stanza, repository_name)
    context = open_context(settings, name)
    run_id = str(uuid4())
    request = execution.BackupRequest(
        stanza=name,
        kind=parse_kind(KINDS[kind]),
        run_id=run_id,
        root_run_id=run_id,
        launched_by="cli",
        allow_promotion=allow_promotion,
    )

    def log(line: str) -> None:
        click.echo(line, err=True)

    with output.progress_bar(f"{kind} backup of {name}") as progress:
        report = execution.run_backup(context, request, log, progress)
    if json_output:
        output.print_json(report.as_json())
        return
    made = report.backup_set
    click.echo(
        f"{made.label}: {made.kind} of {name}, {output.size(made.size_bytes)} in "
        f"{output.duration((made.completed_at - made.started_at).total_seconds())}, "
        f"{output.size(made.repo_size_bytes)} in the repository; verified and recorded"
    )


@click.command()
@click.option("--stanza", default=None, help="One stanza only, in each repository.")
@output.as_json
def backups(stanza: str | None, json_output: bool) -> None:
    """List the sets with their chains, the recoverable window, and what would be lost now.

    Reads the repository itself. The RPO also needs the heartbeat positions in the ops database;
    without them it is 'unknown', never zero. Exit 1 when WAL is missing, a set is damaged or vanished, or
    less of the past can be restored than is promised; 2 when one of two repositories cannot be read, which
    is noted.

    \b
    Example:
      ops-platform backups --stanza product
    """
    from ops_platform.backup.monitoring import status
    from ops_platform.backup.stanza import choose_here, load_living_here, open_context

    settings = load_settings()
    config = load_living_here(settings)
    names = list(config.stanzas)
    if stanza is not None:
        chosen = config.stanzas[choose_here(settings, stanza)]
        one_repository = not chosen.in_first_repository
        names = [chosen.name] if one_repository else [other.name for other in config.siblings(chosen)]
    statuses, unread = [], []
    for known in (config.stanzas[name] for name in names):
        try:
            statuses.append(status.stanza_status(open_context(settings, known.name)))
        except OpsError as error:
            if config.second is None:
                raise
            # One repository that is away, or whose settings are, hides nothing of the other.
            statuses.append(status.unread(known, config.repository_of(known).name, error))
            unread.append(error)
    if json_output:
        output.print_json(statuses)
    else:
        for stanza_status in statuses:
            _print_status(stanza_status)
    if any(_is_damaged(stanza_status) for stanza_status in statuses):
        output.end(1)
    if unread:
        output.end(unread[0].exit_code)


def _is_damaged(stanza_status: dict[str, Any]) -> bool:
    return bool(
        stanza_status["wal_gap_segments"]
        or stanza_status["lost_sets"]
        or stanza_status["window_is_short"]
        or any(backup_set.get("error") or backup_set.get("damage") for backup_set in stanza_status["sets"])
    )


def _state(backup_set: dict[str, Any]) -> str:
    if backup_set.get("damage"):
        return "DAMAGED files"
    if backup_set.get("error"):
        return "DAMAGED pages"
    # Of an abandoned set the timeline says so; the others are explained in a note.
    return "ok" if backup_set["restorable"] or backup_set["abandoned"] else "no use: see note"


def _print_status(stanza_status: dict[str, Any]) -> None:
    rows = [
        (
            backup_set["label"],
            backup_set["kind"],
            backup_set["prior"],
            output.moment(backup_set["completed_at"]),
            output.size(backup_set["size_bytes"]),
            output.size(backup_set.get("repo_size_bytes")),
            f"{backup_set['timeline']}{' (abandoned)' if backup_set['abandoned'] else ''}",
            _state(backup_set),
            output.moment(backup_set["verified_at"]) if backup_set.get("verified_at") else "not yet",
        )
        for backup_set in stanza_status["sets"]
    ]
    columns = ("set", "kind", "builds on", "completed", "size", "in repository", "timeline", "state", "read")
    output.print_table(f"stanza {stanza_status['stanza']}", columns, rows)
    gaps = stanza_status["wal_gap_segments"]
    archive = "unknown" if gaps is None else f"{gaps} segments MISSING" if gaps else "contiguous"
    since = output.moment(stanza_status["recoverable_from"])
    until = output.moment(stanza_status["recoverable_to"])
    click.echo(f"  recoverable {since} .. {until}")
    click.echo(f"  WAL archive: {archive}")
    unverified = stanza_status["unverified_bytes"]
    click.echo(f"  bytes not read since they were stored, or not in time: {output.size(unverified)}")
    click.echo(f"  lost if the product died now: {output.duration(stanza_status['rpo_seconds'])}")
    for note in stanza_status.get("notes", ()):
        click.echo(f"  note: {note}")
    click.echo("")


def operator() -> str:
    """Name the user and the machine, for the audit ledger."""
    return f"cli:{arguments.user()}@{socket.gethostname()}"


COMMANDS = (backup, backups)
