"""The negative control: damage a restored copy on purpose, and see that the check for it fails.

Another damage each month. Runs last on a scratch cluster, after all other checks; if the check accepts
the damage, the exercise fails. What to damage is found in the catalogue, so that it works on any
product.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from psycopg import sql

from ops_platform.clients.postgres import Connection, one_row
from ops_platform.dr.inspection import Verification, run_check, unknown, verdict
from ops_platform.dr.restore import RestoredServer

NAME = "checks_bite"
ROLE = "ops_platform_canary"

_USER_SCHEMA = "n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_'"


@dataclass(frozen=True)
class Damage:
    """One way to damage a database, and the check that must notice it.

    ``inflict`` returns False when there is nothing in this database that it could damage.
    """

    noun: str
    caught_by: str
    inflict: Callable[[Connection], bool]


def _drop_table(connection: Connection) -> bool:
    table = _first_relation(
        connection, "SELECT n.nspname, c.relname", "c.relkind = 'r' AND NOT c.relispartition"
    )
    if table is None:
        return False
    connection.execute(sql.SQL("DROP TABLE {} CASCADE").format(sql.Identifier(*table)))
    return True


def _create_superuser(connection: Connection) -> bool:
    connection.execute(sql.SQL("CREATE ROLE {} SUPERUSER").format(sql.Identifier(ROLE)))
    return True


def _invalidate_index(connection: Connection) -> bool:
    index = _first_relation(connection, "SELECT n.nspname, c.relname", "c.relkind = 'i'")
    if index is None:
        return False
    name = sql.Identifier(*index).as_string(connection)
    connection.execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = %s::regclass", (name,))
    return True


def _unvalidate_constraint(connection: Connection) -> bool:
    return bool(
        connection.execute(
            """
            UPDATE pg_constraint SET convalidated = false WHERE oid = (
                SELECT oid FROM pg_constraint WHERE contype = 'f' AND convalidated AND conparentid = 0
                ORDER BY conname, oid LIMIT 1)
            """
        ).rowcount
    )


def _reset_sequence(connection: Connection) -> bool:
    """Restart the sequence of the first identity or serial column that has rows."""
    rows = connection.execute(
        """
        SELECT n.nspname, t.relname, a.attname, s.oid::regclass::text AS sequence
        FROM pg_depend d JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S'
        JOIN pg_class t ON t.oid = d.refobjid JOIN pg_namespace n ON n.oid = t.relnamespace
        JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = d.refobjsubid
        JOIN pg_sequence q ON q.seqrelid = s.oid AND q.seqincrement > 0
        WHERE d.classid = 'pg_class'::regclass AND d.deptype IN ('a', 'i') AND t.relkind IN ('r', 'p')
        ORDER BY 1, 2, 3
        """
    ).fetchall()
    for row in rows:
        query = sql.SQL("SELECT min({}) AS reached FROM {}").format(
            sql.Identifier(row["attname"]), sql.Identifier(row["nspname"], row["relname"])
        )
        if one_row(connection, query)["reached"] is not None:
            connection.execute(
                "SELECT setval(seqrelid, seqmin, false) FROM pg_sequence WHERE seqrelid = %s::regclass",
                (row["sequence"],),
            )
            return True
    return False


DAMAGES = (
    Damage("a lost table", "catalogue", _drop_table),
    Damage("a strange superuser", "roles", _create_superuser),
    Damage("an invalid index", "indexes_valid", _invalidate_index),
    Damage("an unvalidated constraint", "constraints_validated", _unvalidate_constraint),
    Damage("a sequence behind its column", "sequences", _reset_sequence),
)


def damage_and_check(
    server: RestoredServer,
    database: str,
    checks: Mapping[str, Callable[[], Verification]],
    at: datetime,
) -> Verification:
    """Damage the copy in the way of the month of ``at``, and run the check that must notice it."""
    first = (at.year * 12 + at.month) % len(DAMAGES)
    for damage in (*DAMAGES[first:], *DAMAGES[:first]):
        with server.connect(database) as connection:
            # The product's event triggers may forbid what is done here.
            connection.execute("SET session_replication_role = replica")
            if not damage.inflict(connection):
                continue
        result = run_check(damage.caught_by, checks[damage.caught_by])
        made = f"{damage.noun}, made on purpose, was"
        if result.result == "unknown":
            # Not accepted, but not noticed either: with this answer nobody would be warned.
            text = f"{made} not noticed by {damage.caught_by}, which could not tell: {result.summary}"
            return verdict(NAME, False, text)
        caught = result.result == "fail"
        how = "caught by" if caught else "ACCEPTED by"
        return verdict(NAME, caught, f"{made} {how} {damage.caught_by}")
    return unknown(NAME, "there is nothing in the database that could be damaged")


def _first_relation(connection: Connection, select: str, condition: str) -> tuple[str, str] | None:
    row = connection.execute(
        f"{select} FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
        f"WHERE {_USER_SCHEMA} AND {condition} ORDER BY 1, 2 LIMIT 1"
    ).fetchone()
    return None if row is None else (row["nspname"], row["relname"])
