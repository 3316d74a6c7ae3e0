"""``ops-platform dr``: exercises now, and what came of the earlier ones."""

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


@click.group()
def dr() -> None:
    """Prove that a restore works: exercises, their history, references of the source."""


@dr.command()
@click.option("--stanza", default=None, help="Which stanza of backups.yaml; needed when there are several.")
@click.option(
    "--scenario", type=arguments.LazyChoice(_scenarios), default=None, help="One only; else all four."
)
@output.as_json
def exercise(stanza: str | None, scenario: str | None, json_output: bool) -> None:
    """Restore for real in a scratch directory, verify, measure RPO and RTO, and record it.

    Production is only read. Exit 1 unless every scenario succeeded.

    \b
    Example:
      ops-platform dr exercise --stanza product --scenario pitr
    """
    from ops_platform.backup.stanza import choose_stanza, load_backups, open_context
    from ops_platform.dr.exercise import ExerciseRequest, runner

    settings = load_settings()
    context = open_context(settings, choose_stanza(load_backups(settings), stanza))
    run_id, name = str(uuid4()), context.stanza.name
    done: list[dict[str, Any]] = []

    def log(line: str) -> None:
        click.echo(line, err=True)

    begun = True
    for one in _scenarios() if scenario is None else (scenario,):
        request = ExerciseRequest(
            "manual",
            name,
            one,
            run_id,
            run_id,
            context.stanza.rto_target_seconds * 1000,
            context.stanza.rpo_target_seconds * 1000,
        )
        try:
            with output.progress_bar(f"{one} of {name}") as progress:
                outcome = runner.run(context, request, log, progress)
        except (CheckFailed, Unavailable) as error:
            # As the monthly job does: the others may say something all the same.
            log(f"{one}: {error}")
            begun = False
            continue
        done.append({"exercise_id": request.exercise_id, "scenario": one, "outcome": outcome})
    if json_output:
        output.print_json([_as_json(one) for one in done])
    else:
        _print(name, done)
    if not begun or any(one["outcome"].result != "success" for one in done):
        output.end(1)


@dr.command()
@click.option("--stanza", default=None, help="One stanza only.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1))
@output.as_json
def history(stanza: str | None, limit: int, json_output: bool) -> None:
    """List the newest exercises and emergency restores."""
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
    """Take a signed reference of a source now: what restored copies will be compared with."""
    from ops_platform.backup.stanza import choose_stanza, load_backups, open_context
    from ops_platform.dr.verification import suite

    settings = load_settings()
    context = open_context(settings, choose_stanza(load_backups(settings), stanza))
    taken = suite.refresh(context)
    click.echo(
        f"{context.stanza.name}: {len(taken.objects)} objects, {len(taken.live)} tables, "
        f"{sum(one.rows for one in taken.closed.values())} closed rows"
    )


def _print(stanza: str, done: list[dict[str, Any]]) -> None:
    for one in done:
        outcome = one["outcome"]
        rows = [
            (answer.name, "could not run" if answer.result == "unknown" else answer.result, answer.summary)
            for answer in outcome.verifications
        ]
        output.print_table(
            f"{stanza}, {one['scenario']}: {outcome.result}; RPO {_seconds(outcome.rpo_ms)}, "
            f"RTO {_seconds(outcome.rto_ms)}",
            ("verification", "result", "finding"),
            rows,
        )


def _as_json(one: dict[str, Any]) -> dict[str, Any]:
    from dataclasses import asdict

    return {"exercise_id": one["exercise_id"], "scenario": one["scenario"], **asdict(one["outcome"])}


def _seconds(milliseconds: int | None) -> str:
    return output.duration(None if milliseconds is None else milliseconds / 1000)


COMMANDS = (dr,)
