"""``ops-platform stanza``: the stanza itself, after its cluster was replaced by another one."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING
from uuid import uuid4

import click

from ops_platform.cli import backup, output
from ops_platform.errors import OpsError
from ops_platform.settings import load_settings

if TYPE_CHECKING:
    from ops_platform.backup.stanza import BackupContext
    from ops_platform.backup.taking.stanza_upgrade import UpgradePlan


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
    checks that the server archives, and takes a full backup; the same in the second repository, and one that
    is away keeps the other from nothing (exit 1 or 2). Safe to repeat: what was done is not done again.

    \b
    Example:
      ops-platform stanza upgrade --stanza product
    """
    from ops_platform.backup.stanza import choose_here, open_context
    from ops_platform.backup.taking import BackupRequest, execution, stanza_upgrade

    settings = load_settings()
    context = open_context(settings, choose_here(settings, name))

    def log(line: str) -> None:
        click.echo(line, err=True)

    plans, errors = stanza_upgrade.plan_each((context, *context.in_other_repositories()), log)
    for line in (line for _, plan in plans for line in plan.lines()):
        click.echo(line)
    due = [(ctx, plan) for ctx, plan in plans if plan.is_needed or plan.lacks_full]
    if not dry_run and due:
        if not yes:
            if not sys.stdin.isatty():
                raise click.UsageError("nobody can be asked here: say --yes")
            known = all(plan.is_newer or not plan.is_needed for _, plan in due)
            click.confirm("Upgrade?", default=known, abort=True, err=True)

        def follow(ctx: BackupContext, plan: UpgradePlan) -> None:
            if plan.is_needed:
                stanza_upgrade.carry_out(
                    ctx, plan, operation_id=str(uuid4()), actor=backup.operator(), log=log
                )
                version = plan.server.version
                click.echo(f"{plan.stanza}: stands for PostgreSQL {version} from now on, and its WAL arrives")

        def take_full(ctx: BackupContext, plan: UpgradePlan) -> None:
            name = plan.stanza
            if no_backup:
                click.echo(f"nothing can be restored yet: run 'ops-platform backup full --stanza {name}'")
                return
            run_id = str(uuid4())
            request = BackupRequest(name, "full", run_id, run_id, "cli")
            with output.progress_bar(f"full backup of {name}") as progress:
                report = execution.run_backup(ctx, request, log, progress)
            click.echo(f"{report.backup_set.label}: full of {name}; verified and recorded")

        # All before the first full, which may take hours: until then WAL waits in pg_wal for the others.
        for step in (follow, take_full):
            due = [one for one in due if _succeeds(step, *one, errors, log)]
    if errors:
        log("run this command again when that is mended: it does what is left to do")
        output.end(errors[0].exit_code)


def _succeeds(
    step: Callable[[BackupContext, UpgradePlan], None],
    ctx: BackupContext,
    plan: UpgradePlan,
    errors: list[OpsError],
    log: Callable[[str], None],
) -> bool:
    """Take a step in one repository; an error of it keeps the other one from nothing, where there is one."""
    try:
        step(ctx, plan)
    except OpsError as error:
        if ctx.whole is None:
            raise
        errors.append(error)
        log(f"WARNING: {plan.stanza}: {error}")
        return False
    return True


COMMANDS = (stanza,)
