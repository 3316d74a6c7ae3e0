"""``ops-platform stanza``: the stanza itself, after its cluster was replaced by another one."""

from __future__ import annotations

import sys
from uuid import uuid4

import click

from ops_platform.cli import backup, output
from ops_platform.settings import load_settings


@click.group()
def stanza() -> None:
    """Look after a stanza itself; its backups are under 'backup' and 'backups'."""


@stanza.command()
@click.option(
    "--stanza", "name", default=None, help="Which stanza of backups.yaml; needed when there are several."
)
@click.option("--dry-run", is_flag=True, help="Only explain what would be done.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation; without a terminal it must be given.")
@click.option("--no-backup", is_flag=True, help="Take no full backup afterwards.")
def upgrade(name: str | None, dry_run: bool, yes: bool, no_backup: bool) -> None:
    """Let a stanza stand for the cluster that its server runs now: after pg_upgrade, or an initdb.

    Says which cluster it stands for and which one the server runs, lets pgBackRest upgrade the stanza,
    checks that the server archives, and takes a full backup. Safe to repeat.

    \b
    Example:
      ops-platform stanza upgrade --stanza product
    """
    from ops_platform.backup.stanza import choose_stanza, load_backups, open_context
    from ops_platform.backup.taking import BackupRequest, execution, stanza_upgrade

    settings = load_settings()
    context = open_context(settings, choose_stanza(load_backups(settings), name))
    plans = [(ctx, stanza_upgrade.plan(ctx)) for ctx in (context, *context.in_other_repositories())]
    for line in (line for _, plan in plans for line in plan.lines()):
        click.echo(line)
    needed = [(ctx, plan) for ctx, plan in plans if plan.is_needed]
    if dry_run or not needed:
        return
    if not yes:
        if not sys.stdin.isatty():
            raise click.UsageError("nobody can be asked here: say --yes")
        click.confirm("Upgrade?", default=all(plan.is_newer for _, plan in needed), abort=True, err=True)

    def log(line: str) -> None:
        click.echo(line, err=True)

    for ctx, plan in needed:
        name = ctx.stanza.name
        stanza_upgrade.carry_out(ctx, plan, operation_id=str(uuid4()), actor=backup.operator(), log=log)
        click.echo(f"{name}: stands for PostgreSQL {plan.server.version} from now on, and its WAL arrives")
    for ctx, _ in needed:
        name = ctx.stanza.name
        if no_backup:
            click.echo(f"nothing can be restored yet: run 'ops-platform backup full --stanza {name}'")
            continue
        run_id = str(uuid4())
        request = BackupRequest(name, "full", run_id, run_id, "cli")
        with output.progress_bar(f"full backup of {name}") as progress:
            report = execution.run_backup(ctx, request, log, progress)
        click.echo(f"{report.backup_set.label}: full of {name}; verified and recorded")


COMMANDS = (stanza,)
