"""``ops-platform dr``: exercises, their history, and references of the source."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import click

from ops_platform.cli import arguments, output
from ops_platform.errors import CheckFailed, Unavailable
from ops_platform.settings import load_settings


def _scenarios() -> tuple[str, ...]:
    from ops_platform.dr.plan import SCENARIOS

    return SCENARIOS


def _exercises() -> tuple[str, ...]:
    from ops_platform.dr.plan import EXERCISES

    return EXERCISES


@click.group()
def dr() -> None:
    """Prove that restores work: exercises, their history, references of the source."""


@dr.command()
@click.option("--stanza", default=None, help="Which stanza of backups.yaml; needed when there are several.")
@arguments.repository
@click.option(
    "--scenario",
    type=arguments.LazyChoice(_exercises),
    default=None,
    help="One only; else the four that are monthly.",
)
@output.as_json
def exercise(
    stanza: str | None, repository_name: str | None, scenario: str | None, json_output: bool
) -> None:
    """Restore for real in a scratch directory, verify, measure RPO and RTO, and record it.

    Production is only read. Exit 1 unless every scenario succeeded.

    \b
    Example:
      ops-platform dr exercise --stanza product --scenario pitr
    """
    from ops_platform.backup.stanza import choose_here, open_context
    from ops_platform.dr.exercise import ExerciseRequest, runner

    settings = load_settings()
    context = open_context(settings, choose_here(settings, stanza, repository_name))
    run_id, name = str(uuid4()), context.stanza.name
    results: list[dict[str, Any]] = []

    def log(line: str) -> None:
        click.echo(line, err=True)

    all_ran = True
    for chosen in _scenarios() if scenario is None else (scenario,):
        request = ExerciseRequest(
            "manual",
            name,
            chosen,
            run_id,
            run_id,
            context.stanza.rto_target_seconds * 1000,
            context.stanza.rpo_target_seconds * 1000,
        )
        try:
            with output.progress_bar(f"{chosen} of {name}") as progress:
                outcome = runner.run(context, request, log, progress)
        except (CheckFailed, Unavailable) as error:
            # Go on, as the monthly job does: the other scenarios may still give a result.
            log(f"{chosen}: {error}")
            all_ran = False
            continue
        results.append({"exercise_id": request.exercise_id, "scenario": chosen, "outcome": outcome})
    if json_output:
        output.print_json([_as_json(result) for result in results])
    else:
        _print(name, results)
    if not all_ran or any(result["outcome"].result != "success" for result in results):
        output.end(1)


@dr.command()
@click.option("--stanza", default=None, help="One stanza only.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1))
@output.as_json
def history(stanza: str | None, limit: int, json_output: bool) -> None:
    """List the newest exercises and emergency restores.

    \b
    Example:
      ops-platform dr history --stanza product
    """
    from ops_platform.clients import postgres
    from ops_platform.dr.exercise import exercise_store

    with postgres.session(load_settings().require("database_url")) as ops:
        rows = exercise_store.history(ops, stanza, limit)
    if json_output:
        output.print_json(rows)
        return
    columns = ("started", "stanza", "scenario", "type", "result", "RPO", "RTO", "why")
    output.print_table(
        "exercises",
        columns,
        [
            (
                output.moment(row["started_at"]),
                row["stanza"],
                row["scenario"],
                row["exercise_type"],
                row["result"] or "running",
                _seconds(row["actual_rpo_ms"]),
                _seconds(row["actual_rto_ms"]),
                row["reason"] or "",
            )
            for row in rows
        ],
    )


@dr.command()
@click.option("--stanza", default=None, help="Which stanza of backups.yaml; needed when there are several.")
def reference(stanza: str | None) -> None:
    """Take a signed reference of a source now, with which restored copies will be compared.

    \b
    Example:
      ops-platform dr reference --stanza product
    """
    from ops_platform.backup.stanza import choose_here, open_context
    from ops_platform.dr.verification import suite

    settings = load_settings()
    context = open_context(settings, choose_here(settings, stanza))
    model = suite.refresh(context)
    click.echo(
        f"{context.stanza.name}: {len(model.objects)} objects, {len(model.live)} tables, "
        f"{sum(table.rows for table in model.closed.values())} closed rows"
    )


def _print(stanza: str, results: list[dict[str, Any]]) -> None:
    for result in results:
        outcome = result["outcome"]
        rows = [
            (answer.name, "could not run" if answer.result == "unknown" else answer.result, answer.summary)
            for answer in outcome.verifications
        ]
        output.print_table(
            f"{stanza}, {result['scenario']}: {outcome.result}; RPO {_seconds(outcome.rpo_ms)}, "
            f"RTO {_seconds(outcome.rto_ms)}",
            ("verification", "result", "finding"),
            rows,
        )


def _as_json(result: dict[str, Any]) -> dict[str, Any]:
    from dataclasses import asdict

    outcome = asdict(result["outcome"])
    return {"exercise_id": result["exercise_id"], "scenario": result["scenario"], **outcome}


def _seconds(milliseconds: int | None) -> str:
    return output.duration(None if milliseconds is None else milliseconds / 1000)


COMMANDS = (dr,)
