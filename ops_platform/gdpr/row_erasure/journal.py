"""Journal of an erasure's progress, in the database whose rows it erases: counts, substitutes, identity.

A batch and its note are one transaction of the caller's. Only ``identity`` names the subject, sealed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg
from psycopg.types.json import Jsonb

from ops_platform.clients.postgres import Connection
from ops_platform.errors import ConfigurationError


@dataclass(frozen=True)
class Noted:
    """The journal of one step: rows found in all, rows changed, and figures of the collateral check."""

    before: int
    changed: int
    control: Mapping[str, Any]


Step = tuple[str, str, str]
"""Table, role and action: a number would change with the map."""


@dataclass(frozen=True)
class Journal:
    """The journal of one erasure. Every method raises what psycopg raises."""

    connection: Connection
    erasure_id: str

    def open(self, map_version: str) -> None:
        """Begin or continue the journal. Raises ConfigurationError where a table or a right is missing."""
        with self.place_for_progress():
            self.connection.execute(
                "INSERT INTO ops_platform.erasures (erasure_id, map_version) VALUES (%s, %s) "
                "ON CONFLICT (erasure_id) DO UPDATE SET map_version = excluded.map_version",
                (self.erasure_id, map_version),
            )

    @contextmanager
    def place_for_progress(self) -> Iterator[None]:
        """Raise ConfigurationError where a table of the journal, or a right on it, is missing."""
        try:
            yield
        except (
            psycopg.errors.UndefinedTable,
            psycopg.errors.UndefinedColumn,
            psycopg.errors.InvalidSchemaName,
        ):
            raise ConfigurationError(
                "the product database has no place for the progress of an erasure: run 'ops-platform migrate'"
            ) from None
        except psycopg.errors.InsufficientPrivilege:
            raise ConfigurationError(
                f"role {self.connection.info.user} may not keep the progress of an erasure in schema "
                "ops_platform: connect as ops_eraser, or grant it that role"
            ) from None

    def identity(self) -> bytes | None:
        """Read who is erased, as ``keep_identity`` was given it; None: the journal is not begun, or older.

        Raises ConfigurationError where the database has no place for it.
        """
        with self.place_for_progress(), self.connection.transaction():
            row = self.connection.execute(
                "SELECT identity FROM ops_platform.erasures WHERE erasure_id = %s", (self.erasure_id,)
            ).fetchone()
        return None if row is None or row["identity"] is None else bytes(row["identity"])

    def keep_identity(self, identity: bytes, map_version: str) -> None:
        """Begin or continue the journal with who is erased; on the disk before anything is destroyed."""
        with self.place_for_progress(), self.connection.transaction():
            self.connection.execute("SET LOCAL synchronous_commit = on")
            self.connection.execute(
                "INSERT INTO ops_platform.erasures (erasure_id, map_version, identity) VALUES (%s, %s, %s) "
                "ON CONFLICT (erasure_id) DO UPDATE SET identity = excluded.identity",
                (self.erasure_id, map_version, identity),
            )

    def is_begun(self) -> bool:
        """Tell whether there is a journal of this erasure: rows may have been erased."""
        with self.place_for_progress(), self.connection.transaction():
            query = "SELECT FROM ops_platform.erasures WHERE erasure_id = %s"
            return self.connection.execute(query, (self.erasure_id,)).rowcount > 0

    def pseudonym(self) -> UUID | None:
        """Read the erasure's pseudonym; None when the journal is not begun, or forgotten."""
        pseudonym: UUID | None = self._column("pseudonym")
        return pseudonym

    def stand_in(self) -> str | None:
        """Read the key of the stand-in row, as text; None while there is none."""
        key: str | None = self._column("stand_in")
        return key

    def keep_stand_in(self, key: str) -> None:
        """Store the key of the stand-in row."""
        self.connection.execute(
            "UPDATE ops_platform.erasures SET stand_in = %s WHERE erasure_id = %s", (key, self.erasure_id)
        )

    def record_found(self, step: Step, rows: int) -> None:
        """Note that ``rows`` wait now; the step's total is at least these and those changed already."""
        self.connection.execute(
            """
            INSERT INTO ops_platform.erasure_steps AS s
                (erasure_id, step, table_name, role, action, counted_before)
            SELECT %(id)s, coalesce(max(step) + 1, 0), %(table)s, %(role)s, %(action)s, %(rows)s
            FROM ops_platform.erasure_steps WHERE erasure_id = %(id)s
            ON CONFLICT (erasure_id, table_name, role, action) DO UPDATE
                SET counted_before = greatest(s.counted_before, s.changed + excluded.counted_before)
            """,
            {"rows": rows, **self._parameters(step)},
        )

    def record_changed(
        self, step: Step, rows: int, beside: int, by_triggers: Mapping[str, int], reached: int = 0
    ) -> int:
        """Note ``rows`` changed, in the transaction that changed them; returns the step's sum so far.

        ``beside``: rows of others that were compared. ``reached``: of those, by foreign keys, whose owners'
        digests were. ``by_triggers``: rows that declared triggers changed, by table.
        """
        row = self.connection.execute(
            """
            UPDATE ops_platform.erasure_steps AS s
            SET changed = changed + %(rows)s, counted_before = greatest(counted_before, changed + %(rows)s),
                finished_at = now(),
                control = control || jsonb_build_object(
                    'transactions', coalesce((control ->> 'transactions')::bigint, 0) + 1,
                    'rows_beside', coalesce((control ->> 'rows_beside')::bigint, 0) + %(beside)s,
                    'rows_by_foreign_keys',
                    coalesce((control ->> 'rows_by_foreign_keys')::bigint, 0) + %(reached)s)
                || CASE WHEN %(also)s::jsonb = '{}' THEN '{}'::jsonb ELSE jsonb_build_object('by_triggers', (
                    SELECT jsonb_object_agg(key, rows) FROM (
                        SELECT key, sum(value::bigint) AS rows
                        FROM (SELECT * FROM jsonb_each_text(coalesce(control -> 'by_triggers', '{}'))
                              UNION ALL SELECT * FROM jsonb_each_text(%(also)s)) AS each GROUP BY key) AS k))
                   END
            WHERE erasure_id = %(id)s AND table_name = %(table)s AND role = %(role)s AND action = %(action)s
            RETURNING changed
            """,
            {
                "rows": rows,
                "beside": beside,
                "reached": reached,
                "also": Jsonb(dict(by_triggers)),
                **self._parameters(step),
            },
        ).fetchone()
        assert row is not None  # noqa: S101 - record_found() comes first
        return int(row["changed"])

    def record_kept(self, step: Step, hits: Mapping[str, int]) -> None:
        """Note how many kept rows name the subject, by column; the highest number seen stays."""
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
            {"hits": Jsonb(dict(hits)), **self._parameters(step)},
        )

    def steps(self) -> dict[Step, Noted]:
        """Read all steps, in the order in which they were first noted."""
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
        """Delete the erasure's journal, with its pseudonym and its register of shared rows."""
        with self.connection.transaction():
            there = "SELECT FROM pg_tables WHERE schemaname = 'ops_platform' AND tablename = %s"
            if self.connection.execute(there, ("erasure_shared_rows",)).rowcount:
                self.connection.execute(
                    "DELETE FROM ops_platform.erasure_shared_rows WHERE erasure_id = %s", (self.erasure_id,)
                )
            self.connection.execute(
                "DELETE FROM ops_platform.erasures WHERE erasure_id = %s", (self.erasure_id,)
            )

    def _parameters(self, step: Step) -> dict[str, Any]:
        table, role, action = step
        return {"id": self.erasure_id, "table": table, "role": role, "action": action}

    def _column(self, column: str) -> Any:
        try:
            row = self.connection.execute(
                "SELECT pseudonym, stand_in FROM ops_platform.erasures WHERE erasure_id = %s",
                (self.erasure_id,),
            ).fetchone()
        except psycopg.errors.UndefinedTable:
            return None
        return row[column] if row else None
