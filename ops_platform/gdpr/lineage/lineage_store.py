"""The store of lineage, the table ``gdpr_lineage``: what each request touched. Nothing personal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from psycopg.types.json import Jsonb

from ops_platform.clients.postgres import Connection
from ops_platform.gdpr.lineage.effect import Effect


@dataclass(frozen=True)
class Line:
    """One effect as recorded; times are aware."""

    step: str
    effect: Effect
    run_id: str | None
    map_version: str | None
    recorded_at: datetime


@dataclass(frozen=True)
class CompletedStep:
    """The record that a step was done; ``details`` as given to ``record``. Times are aware."""

    step: str
    details: Mapping[str, Any]
    map_version: str | None
    recorded_at: datetime
    run_id: str | None


def record(
    connection: Connection,
    request_id: str,
    step: str,
    effects: Iterable[Effect],
    *,
    run_id: str | None,
    map_version: str,
    details: Mapping[str, Any] | None = None,
) -> None:
    """Write one row that the step is done and one for each effect, in the caller's transaction."""
    connection.execute(
        "INSERT INTO gdpr_lineage (request_id, step, details, run_id, map_version) "
        "VALUES (%s, %s, %s, %s, %s)",
        (request_id, step, Jsonb(dict(details or {})), run_id, map_version),
    )
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO gdpr_lineage (request_id, step, store, object, count_before, count_after, affected, "
            "details, run_id, map_version) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            [
                (
                    request_id,
                    step,
                    effect.store,
                    effect.place,
                    effect.before,
                    effect.after,
                    effect.changed,
                    Jsonb({"role": effect.role, "action": effect.action}),
                    run_id,
                    map_version,
                )
                for effect in effects
            ],
        )


def lines(connection: Connection, request_id: str) -> list[Line]:
    """Read every effect recorded for a request, oldest first."""
    rows = connection.execute(
        "SELECT * FROM gdpr_lineage WHERE request_id = %s AND store IS NOT NULL ORDER BY id", (request_id,)
    )
    return [
        Line(
            row["step"],
            Effect(
                row["store"],
                row["object"],
                row["details"]["role"],
                row["details"]["action"],
                row["count_before"],
                row["affected"],
                row["count_after"],
            ),
            row["run_id"],
            row["map_version"],
            row["recorded_at"],
        )
        for row in rows
    ]


def completed_steps(connection: Connection, request_id: str) -> list[str]:
    """Read the names of the steps that are done, in order; a repeated step appears each time."""
    rows = connection.execute(
        "SELECT step FROM gdpr_lineage WHERE request_id = %s AND store IS NULL AND step NOT LIKE 'status:%%' "
        "ORDER BY id",
        (request_id,),
    )
    return [row["step"] for row in rows]


def completions(connection: Connection, request_id: str, step: str) -> list[CompletedStep]:
    """Read each completion of one step, oldest first."""
    return [done for done in steps(connection, request_id) if done.step == step]


def steps(connection: Connection, request_id: str) -> list[CompletedStep]:
    """Read each completion of every step, and each change of status, oldest first."""
    rows = connection.execute(
        "SELECT step, details, map_version, recorded_at, run_id FROM gdpr_lineage WHERE request_id = %s "
        "AND store IS NULL ORDER BY id",
        (request_id,),
    )
    return [CompletedStep(**row) for row in rows]


def totals(lines: Iterable[Line]) -> list[Effect]:
    """Sum up the effects on each place, over all attempts and rounds.

    ``before`` is the most that any attempt found, ``after`` what the last one left. What was found and is
    there no more counts as changed, also where an attempt was killed before it could record it. For rows,
    each line's count already includes the lines before it.
    """
    totals_by_place: dict[tuple[str, str, str, str], Effect] = {}
    for line in lines:
        effect = line.effect
        key = (effect.store, effect.place, effect.role, effect.action)
        known = totals_by_place.get(key)
        before, changed = effect.before, effect.changed
        if known is not None:
            before = max(known.before, effect.before)
            cumulative = effect.store == "postgresql"
            changed = max(known.changed, effect.changed) if cumulative else known.changed + effect.changed
            changed = max(changed, before - effect.after)
        totals_by_place[key] = replace(effect, before=before, changed=changed)
    return list(totals_by_place.values())
