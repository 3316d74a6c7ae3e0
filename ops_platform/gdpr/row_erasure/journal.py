"""The progress of an erasure, in the database whose rows it erases: numbers, and what it puts in their place.

A batch and its note are one transaction of the caller's. Nothing here names the subject.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg
from psycopg.types.json import Jsonb

from ops_platform.clients.postgres import Connection
from ops_platform.errors import ConfigurationError


@dataclass(frozen=True)
class Noted:
    """What is known of one step: rows found in all, rows changed, and what was compared beside them."""

    before: int
    changed: int
    control: Mapping[str, Any]


Step = tuple[str, str, str]
"""Table, role and action: numbers would change with the map."""


@dataclass(frozen=True)
class Journal:
    """One erasure's. Every method raises what psycopg raises."""

    connection: Connection
    erasure_id: str

    def open(self, map_version: str) -> None:
        """Begin, or go on. Raises ConfigurationError where the database has no place for it."""
        try:
            self.connection.execute(
                "INSERT INTO ops_platform.erasures (erasure_id, map_version) VALUES (%s, %s) "
                "ON CONFLICT (erasure_id) DO UPDATE SET map_version = excluded.map_version",
                (self.erasure_id, map_version),
            )
        except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
            raise ConfigurationError(
                "the product database has no place for the progress of an erasure: run 'ops-platform migrate'"
            ) from None
        except psycopg.errors.InsufficientPrivilege:
            raise ConfigurationError(
                f"role {self.connection.info.user} may not keep the progress of an erasure in schema "
                "ops_platform: connect as ops_eraser, or grant it that role"
            ) from None

    def pseudonym(self) -> UUID | None:
        """None: it is not there, or forgotten."""
        found: UUID | None = self._of_erasure("pseudonym")
        return found

    def stand_in(self) -> str | None:
        """The key of the row that stands in, as text; None while there is none."""
        found: str | None = self._of_erasure("stand_in")
        return found

    def keep_stand_in(self, key: str) -> None:
        self.connection.execute(
            "UPDATE ops_platform.erasures SET stand_in = %s WHERE erasure_id = %s", (key, self.erasure_id)
        )

    def found(self, step: Step, rows: int) -> None:
        """``rows`` are there to be changed: with those that have changed already, at least so many were."""
        self.connection.execute(
            """
            INSERT INTO ops_platform.erasure_steps AS s
                (erasure_id, step, table_name, role, action, counted_before)
            SELECT %(id)s, coalesce(max(step) + 1, 0), %(table)s, %(role)s, %(action)s, %(rows)s
            FROM ops_platform.erasure_steps WHERE erasure_id = %(id)s
            ON CONFLICT (erasure_id, table_name, role, action) DO UPDATE
                SET counted_before = greatest(s.counted_before, s.changed + excluded.counted_before)
            """,
            {"rows": rows, **self._named(step)},
        )

    def changed(self, step: Step, rows: int, beside: int, also: Mapping[str, int]) -> int:
        """In the transaction that changed them: ``rows``, with ``beside`` rows of others compared.

        ``also``: changes that declared triggers made, by table. The sum of rows changed so far.
        """
        row = self.connection.execute(
            """
            UPDATE ops_platform.erasure_steps AS s
            SET changed = changed + %(rows)s, counted_before = greatest(counted_before, changed + %(rows)s),
                finished_at = now(),
                control = control || jsonb_build_object(
                    'transactions', coalesce((control ->> 'transactions')::bigint, 0) + 1,
                    'rows_beside', coalesce((control ->> 'rows_beside')::bigint, 0) + %(beside)s)
                || CASE WHEN %(also)s::jsonb = '{}' THEN '{}'::jsonb ELSE jsonb_build_object('by_triggers', (
                    SELECT jsonb_object_agg(key, rows) FROM (
                        SELECT key, sum(value::bigint) AS rows
                        FROM (SELECT * FROM jsonb_each_text(coalesce(control -> 'by_triggers', '{}'))
                              UNION ALL SELECT * FROM jsonb_each_text(%(also)s)) AS each GROUP BY key) AS k))
                   END
            WHERE erasure_id = %(id)s AND table_name = %(table)s AND role = %(role)s AND action = %(action)s
            RETURNING changed
            """,
            {"rows": rows, "beside": beside, "also": Jsonb(dict(also)), **self._named(step)},
        ).fetchone()
        assert row is not None  # noqa: S101 - found() comes first
        return int(row["changed"])

    def kept(self, step: Step, hits: Mapping[str, int]) -> None:
        """``hits``: of rows that stay, how many name the subject, by column; the most that were seen."""
        self.connection.execute(
            """
            UPDATE ops_platform.erasure_steps
            SET control = control || jsonb_build_object('kept_hits', (
                SELECT coalesce(jsonb_object_agg(key, rows), '{}') FROM (
                    SELECT key, max(value::bigint) AS rows
                    FROM (SELECT * FROM jsonb_each_text(coalesce(control -> 'kept_hits', '{}'))
                          UNION ALL SELECT * FROM jsonb_each_text(%(hits)s)) AS each GROUP BY key) AS k))
            WHERE erasure_id = %(id)s AND table_name = %(table)s AND role = %(role)s AND action = %(action)s
            """,
            {"hits": Jsonb(dict(hits)), **self._named(step)},
        )

    def steps(self) -> dict[Step, Noted]:
        rows = self.connection.execute(
            "SELECT * FROM ops_platform.erasure_steps WHERE erasure_id = %s ORDER BY step", (self.erasure_id,)
        )
        return {
            (row["table_name"], row["role"], row["action"]): Noted(
                row["counted_before"], row["changed"], row["control"]
            )
            for row in rows
        }

    def forget(self) -> None:
        self.connection.execute("DELETE FROM ops_platform.erasures WHERE erasure_id = %s", (self.erasure_id,))

    def _named(self, step: Step) -> dict[str, Any]:
        table, role, action = step
        return {"id": self.erasure_id, "table": table, "role": role, "action": action}

    def _of_erasure(self, column: str) -> Any:
        try:
            row = self.connection.execute(
                "SELECT pseudonym, stand_in FROM ops_platform.erasures WHERE erasure_id = %s",
                (self.erasure_id,),
            ).fetchone()
        except psycopg.errors.UndefinedTable:
            return None
        return row[column] if row else None
