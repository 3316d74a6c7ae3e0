"""``ops-platform restore``: the emergency restore, for an operator at 3 a.m. and for scripts."""

from __future__ import annotations

import os
import shlex
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ops_platform.cli import arguments, output
from ops_platform.errors import OpsError
from ops_platform.settings import Settings, load_settings

if TYPE_CHECKING:
    from ops_platform.dr.emergency import Judgement
    from ops_platform.dr.emergency.other_repository import Wanted
    from ops_platform.dr.plan import RecoveryTarget


_OPS_IS_AWAY = "  the ops database does not answer: this restore will be recorded when it does"
_OPS_IS_BACK = (
    "  this was the ops database: before anything writes to it look at its audit ledger ('ops-platform audit "
    "verify'); the restore is recorded when the rest is started"
)


@click.command()
@click.option("--stanza", default=None, help="Which stanza of backups.yaml; needed when there are several.")
@arguments.repository
@click.option(
    "--to",
    "directory",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="The data directory to fill: new or empty.",
)
@click.option("--latest", is_flag=True, help="Recover everything that the archive has.")
@click.option("--time", "time", default=None, help="Recover to a moment: '2026-01-31 14:05:00+00'.")
@click.option("--lsn", default=None, help="Recover to a position in the WAL: 0/3000148.")
@click.option("--name", default=None, help="Recover to a named restore point.")
@click.option("--xid", default=None, help="Recover to the end of a transaction.")
@click.option(
    "--set", "label", default=None, help="Start from this backup set; else from the newest that fits."
)
@click.option(
    "--timeline",
    default=None,
    metavar="NUMBER|latest",
    help="Follow this timeline; without it the one that lives, if only that one has the target.",
)
@click.option(
    "--tablespace-map",
    "tablespaces",
    multiple=True,
    metavar="OLD=NEW",
    help="Put a tablespace (its name, OID or directory) into a directory; again for another one.",
)
@click.option(
    "--repository-as-of",
    "as_of",
    default=None,
    metavar="TIME",
    help="Read the backups as they were at this moment, whatever was deleted or overwritten since.",
)
@click.option("--dry-run", is_flag=True, help="Only explain what would be done.")
@click.option(
    "--yes", is_flag=True, help="Do not ask for confirmation; without a terminal there is no question."
)
@click.option("--no-start", is_flag=True, help="Leave the restored cluster stopped.")
@output.as_json
def restore(
    stanza: str | None,
    repository_name: str | None,
    directory: Path,
    label: str | None,
    timeline: str | None,
    tablespaces: tuple[str, ...],
    as_of: str | None,
    dry_run: bool,
    yes: bool,
    no_start: bool,
    json_output: bool,
    **target: Any,
) -> None:
    """Restore a cluster in an emergency; needs neither Dagster nor the ops database.

    Explains what it is going to do and how much will be lost, restores into an empty directory,
    recovers, erases again all subjects that were erased, verifies, and says what to do next. Nothing is
    ever overwritten: a tablespace whose own directory is in use goes into a new one beside DIR. Exit 1
    unless every verification passed. The cluster is left stopped when a verification failed, or a
    critical one could not run.

    \b
    Examples:
      ops-platform restore --stanza product --to /var/lib/postgresql/15/main --latest
      ops-platform restore --stanza product --to /tmp/look --time '2026-01-31 14:05:00+00'
      ops-platform restore --stanza product --to /tmp/look --latest --repository-as-of '2026-01-31 14:05+00'
      ops-platform restore --stanza product --repository offsite --to /tmp/look --latest
    """
    from ops_platform.backup.stanza import choose_stanza, load_backups, open_context
    from ops_platform.backup.taking import preflight
    from ops_platform.dr.emergency import judgement, other_repository, pending_records, restore_command
    from ops_platform.dr.exercise import rehearsal
    from ops_platform.dr.plan import RecoveryTarget
    from ops_platform.dr.restore import past_repository

    settings = load_settings()
    recovery_target = _target(**target)
    directories = _tablespaces(tablespaces)
    moment = None if as_of is None else RecoveryTarget.parse("time", as_of).moment
    name = choose_stanza(load_backups(settings), stanza, repository_name)
    context = open_context(settings, name)
    directory = directory.absolute()
    t0 = datetime.now(UTC)
    wanted = other_repository.Wanted(
        directory, recovery_target, _words(target, timeline, tablespaces), timeline, directories
    )
    repository = rehearsal.LIVE if moment is None else past_repository.from_settings(context, moment)
    with restore_command.open_workspace(context, directory) as place:
        try:
            # pgBackRest itself would try for minutes.
            preflight.reach_endpoint(context, preflight.PATIENT_TRIES)
            explanation = restore_command.explain(
                context, place, recovery_target, label, t0, timeline, directories, repository
            )
        except OpsError as error:
            elsewhere = other_repository.advice(context, wanted, t0)
            if elsewhere is None:
                raise
            raise other_repository.CannotBegin(error, elsewhere) from None
        for line in explanation.lines():
            click.echo(line, err=json_output)
        if dry_run:
            return
        if not yes and sys.stdin.isatty():
            click.confirm("Restore?", default=True, abort=True, err=True)

        def log(line: str) -> None:
            click.echo(line, err=True)

        with output.progress_bar(f"restore of {context.stanza.name}") as progress:
            knowledge = judgement.knowledge(context, explanation, log, moment)
            done = restore_command.carry_out(
                context, place, knowledge, t0, log, progress, directories, repository
            )
    verdict = judgement.judge(done)
    if not verdict.restored:
        verdict = _with_advice(verdict, other_repository.advice(context, _beside(wanted), t0))
    recorded = pending_records.record_or_keep(context, done)
    address = None
    if verdict.may_start and not no_start:
        address = _start(settings, context.stanza.cluster, directory)
    lost = judgement.still_lost(explanation, done.newest_beat, t0)
    if json_output:
        output.print_json(
            {
                "stanza": context.stanza.cluster,
                "repository": context.config.repository.name,
                "directory": str(directory),
                "set": explanation.plan.backup_set.label,
                "target": str(explanation.plan.target),
                "timeline": explanation.plan.state.history.timeline,
                "tablespaces": list(explanation.tablespaces),
                "repository_as_of": moment,
                "restored": verdict.restored,
                "verified": verdict.verified,
                "seconds": done.rto_seconds,
                "phases": done.phases,
                "lost_seconds": None if lost is None else lost.total_seconds(),
                "newest_heartbeat": done.newest_beat,
                "verifications": [
                    {"name": check.name, "result": check.result, "summary": check.summary}
                    for check in done.results
                ],
                "running_at": address,
                "recorded": recorded,
            }
        )
    else:
        rows = [(check.name, check.result.upper(), check.summary) for check in done.results]
        output.print_table("verification", ("check", "result", "finding"), rows)
        # The ops database itself may be what was restored, and has been started just now.
        back = not recorded and address is not None and judgement.ops_is_up(context)
        unrecorded = None if recorded else _OPS_IS_BACK if back else _OPS_IS_AWAY
        is_past = moment is not None
        for line in next_steps(context.stanza.cluster, directory, verdict, address, unrecorded, is_past):
            click.echo(line)
    if not verdict.verified:
        output.end(1)


def _target(**options: Any) -> RecoveryTarget:
    """Read the target from the options, of which exactly one must be given. Raises UsageError."""
    from ops_platform.dr.plan import RecoveryTarget

    chosen = {name: value for name, value in options.items() if value}
    if len(chosen) != 1:
        raise click.UsageError("say where to recover to: one of --latest, --time, --lsn, --name, --xid")
    for kind in ("time", "lsn", "name", "xid"):
        if kind in chosen:
            return RecoveryTarget.parse(kind, chosen[kind])
    return RecoveryTarget.latest()


def _words(target: dict[str, Any], timeline: str | None, tablespaces: tuple[str, ...]) -> str:
    """Write the options of target, timeline and tablespaces as they are typed."""
    words = ["--latest"] if target.get("latest") else []
    options = [(name, value) for name, value in target.items() if name != "latest" and value]
    options += [("timeline", timeline)] if timeline else []
    options += [("tablespace-map", pair) for pair in tablespaces]
    return " ".join([*words, *(f"--{name} {shlex.quote(str(value))}" for name, value in options)])


def _beside(wanted: Wanted) -> Wanted:
    """Want the same in a directory beside the one that a restore has begun to fill."""
    return replace(wanted, directory=wanted.directory.with_name(f"{wanted.directory.name}-again"))


def _with_advice(verdict: Judgement, advice: str | None) -> Judgement:
    if advice is None:
        return verdict
    return replace(verdict, advice=(*verdict.advice, f"{advice[:1].upper()}{advice[1:]}"))


def _tablespaces(given: tuple[str, ...]) -> dict[str, Path]:
    """Read OLD=NEW pairs. Raises UsageError."""
    directories = {}
    for pair in given:
        old, equals, new = pair.partition("=")
        if not old or not equals or not new.startswith("/"):
            raise click.UsageError(f"--tablespace-map {pair}: write OLD=/NEW/DIRECTORY")
        directories[old] = Path(os.path.normpath(new))
    return directories


def _start(settings: Settings, stanza: str, directory: Path) -> str | None:
    """Start a cluster of the embedded stack and return its address; None when it is another's to start."""
    try:
        from ops_platform.local import stack
    except ModuleNotFoundError:
        return None
    return stack.start_cluster(settings, stanza, directory, output.console(stderr=True))


def next_steps(
    stanza: str,
    directory: Path,
    verdict: Judgement,
    address: str | None,
    unrecorded: str | None,
    is_past: bool,
) -> list[str]:
    """Write what to do after a restore. ``is_past``: from the repository as it was."""
    if not verdict.restored:
        return ["NOT to be used.", *verdict.advice]
    steps = []
    if verdict.unknown:
        steps.append(
            f"NOT WHOLLY VERIFIED: nothing is known to be wrong, but {', '.join(verdict.unknown)} could not "
            "be asked; the table says why. Decide whether you accept that."
        )
    steps.append("Next:")
    if address is not None:
        steps.append(f"  the cluster runs at {address}; start the rest with 'ops-platform up'")
    else:
        steps.append(f"  start it: pg_ctl -D {directory} start   (or your service manager)")
    steps.append("  look at it, then let the product in")
    if is_past:
        # The repository is not now what it was then.
        steps.append(
            "  before the next backup, a repository that nobody has touched: "
            "docs/runbooks/disaster-recovery.md, 'The backup key was stolen', step 6"
        )
    else:
        steps += [
            f"  take a full backup on the new timeline: ops-platform backup full --stanza {stanza}",
            "  follow docs/runbooks/disaster-recovery.md",
        ]
    if unrecorded is not None:
        steps.append(unrecorded)
    return steps


COMMANDS = (restore,)
