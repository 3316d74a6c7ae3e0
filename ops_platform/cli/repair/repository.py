"""``ops-platform repository``: what a person does about a repository that lost something."""

from __future__ import annotations

import click

from ops_platform.cli import output
from ops_platform.errors import OpsError
from ops_platform.settings import load_settings


@click.group()
def repository() -> None:
    """Mend a repository's index, or acknowledge what a repository lost."""


_stanza = click.option(
    "--stanza", default=None, help="Which stanza of backups.yaml; needed when there are several."
)


@repository.command("repair")
@click.option("--stanza", default=None, help="One stanza only; else all of backups.yaml.")
@click.option("--dry-run", is_flag=True, help="Only say what would be put back.")
def repair(stanza: str | None, dry_run: bool) -> None:
    """Put back lost or broken index files: backup.info, archive.info, their copies; and manifests.

    From the twin that is left, else from the newest readable version kept in the ledger's bucket. Never
    writes over a good file. Needs neither Dagster nor the ops database nor the server. A stanza whose
    repository is away is told of, and the next one is looked at.

    \b
    Example:
      ops-platform repository repair --stanza product --dry-run
    """
    from ops_platform.backup.repository import repair as mending
    from ops_platform.backup.stanza import choose_here, load_living_here, open_context

    settings = load_settings()
    config = load_living_here(settings)
    errors: list[OpsError] = []
    for name in [choose_here(settings, stanza)] if stanza else list(config.stanzas):
        try:
            context = open_context(settings, name)
            if not mending.repair(context, dry_run=dry_run, log=click.echo):
                click.echo(f"{name}: every index file is good, and every listed set has its manifest")
        except OpsError as error:
            if stanza:
                raise
            # One repository that is away keeps the other from nothing.
            click.echo(f"{name}: {error}", err=True)
            errors.append(error)
    if errors:
        output.end(errors[0].exit_code)


@repository.command("acknowledge")
@_stanza
@click.option("--reason", required=True, help="What happened, for the audit ledger; without names.")
def acknowledge(stanza: str | None, reason: str) -> None:
    """Record that sets are lost for good: the alert ends, and the promise begins anew.

    Names the sets that vanished without a cleanup, and promises the window that is there now and from now
    on grows to the retention. Take a full backup first: a promise needs something to begin with.

    \b
    Example:
      ops-platform repository acknowledge --stanza product --reason "ticket 17: folder deleted by hand"
    """
    from ops_platform.backup.monitoring import accounts
    from ops_platform.backup.stanza import choose_here, open_context
    from ops_platform.cli.backup import operator

    settings = load_settings()
    context = open_context(settings, choose_here(settings, stanza))
    done = accounts.acknowledge(context, reason, operator())
    for label in done.lost or ():
        click.echo(f"lost: {label}")
    if done.window.first is not None:
        click.echo(
            f"{context.stanza.name}: recorded in the audit ledger; the window is promised from "
            f"{done.window.first.completed_at:%Y-%m-%d %H:%M:%S} UTC on"
        )


COMMANDS = (repository,)
