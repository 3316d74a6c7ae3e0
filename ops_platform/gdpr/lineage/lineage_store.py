"""What each request touched, written to ``gdpr_lineage`` and read back from it. Nothing personal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
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
class Ended:
    """That a step was done; ``details`` as given to ``record``."""

    details: Mapping[str, Any]
    map_version: str | None
    recorded_at: datetime


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
    """In the caller's transaction: one row that says the step is done, and one for each effect."""
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
                    one.store,
                    one.place,
                    one.before,
                    one.after,
                    one.changed,
                    Jsonb({"role": one.role, "action": one.action}),
                    run_id,
                    map_version,
                )
                for one in effects
            ],
        )


def of(connection: Connection, request_id: str) -> list[Line]:
    """Every effect that was recorded for a request, oldest first."""
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


def steps(connection: Connection, request_id: str) -> list[str]:
    """The steps that are done, in the order in which they were; one that was repeated is there again."""
    rows = connection.execute(
        "SELECT step FROM gdpr_lineage WHERE request_id = %s AND store IS NULL AND step NOT LIKE 'status:%%' "
        "ORDER BY id",
        (request_id,),
    )
    return [row["step"] for row in rows]


def ended(connection: Connection, request_id: str, step: str) -> list[Ended]:
    """Each time that the step was done, oldest first."""
    rows = connection.execute(
        "SELECT details, map_version, recorded_at FROM gdpr_lineage WHERE request_id = %s AND step = %s "
        "AND store IS NULL ORDER BY id",
        (request_id, step),
    )
    return [Ended(row["details"], row["map_version"], row["recorded_at"]) for row in rows]


def totals(lines: Iterable[Line]) -> list[Effect]:
    """All that was done to each place, over all attempts and rounds.

    ``before`` is the most that any of them found, ``after`` what the last one left. What was found, and is
    there no more, was changed, also by an attempt that was killed before it could say so. Of rows each
    line already holds those before it.
    """
    found: dict[tuple[str, str, str, str], Effect] = {}
    for line in lines:
        one = line.effect
        key = (one.store, one.place, one.role, one.action)
        known = found.get(key)
        before, changed = one.before, one.changed
        if known is not None:
            before = max(known.before, one.before)
            rows = one.store == "postgresql"
            changed = max(known.changed, one.changed) if rows else known.changed + one.changed
            changed = max(changed, before - one.after)
        found[key] = Effect(one.store, one.place, one.role, one.action, before, changed, one.after)
    return list(found.values())
