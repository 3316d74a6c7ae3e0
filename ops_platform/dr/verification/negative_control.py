"""Do the checks still bite? A restored copy is damaged on purpose, another way each month, and asked again.

Runs last on a scratch cluster, when everything else was asked; a check that accepts the damage fails
the exercise. What is damaged is found in the catalogue, so that it works on any product.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from psycopg import sql

from ops_platform.clients.postgres import Connection, one_row
from ops_platform.dr.inspection import Verification, ask, unknown, verdict
from ops_platform.dr.restore import RestoredServer

NAME = "checks_bite"
ROLE = "ops_platform_canary"

_USER_SCHEMA = "n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_'"


@dataclass(frozen=True)
class Damage:
    """``inflict`` answers False when there is nothing in this database that it could damage."""

    noun: str
    caught_by: str
    inflict: Callable[[Connection], bool]


def lost_table(connection: Connection) -> bool:
    found = _first(connection, "SELECT n.nspname, c.relname", "c.relkind = 'r' AND NOT c.relispartition")
    if found is None:
        return False
    connection.execute(sql.SQL("DROP TABLE {} CASCADE").format(sql.Identifier(*found)))
    return True


def strange_role(connection: Connection) -> bool:
    connection.execute(sql.SQL("CREATE ROLE {} SUPERUSER").format(sql.Identifier(ROLE)))
    return True


def invalid_index(connection: Connection) -> bool:
    found = _first(connection, "SELECT n.nspname, c.relname", "c.relkind = 'i'")
    if found is None:
        return False
    name = sql.Identifier(*found).as_string(connection)
    connection.execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = %s::regclass", (name,))
    return True


def unvalidated_constraint(connection: Connection) -> bool:
    return bool(
        connection.execute(
            """
            UPDATE pg_constraint SET convalidated = false WHERE oid = (
                SELECT oid FROM pg_constraint WHERE contype = 'f' AND convalidated AND conparentid = 0
                ORDER BY conname, oid LIMIT 1)
            """
        ).rowcount
    )


def stale_sequence(connection: Connection) -> bool:
    """The first identity or serial column with rows, whose sequence begins anew."""
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
        found = one_row(connection, query)
        if found["reached"] is not None:
            connection.execute(
                "SELECT setval(seqrelid, seqmin, false) FROM pg_sequence WHERE seqrelid = %s::regclass",
                (row["sequence"],),
            )
            return True
    return False


DAMAGES = (
    Damage("a lost table", "catalogue", lost_table),
    Damage("a strange superuser", "roles", strange_role),
    Damage("an invalid index", "indexes_valid", invalid_index),
    Damage("an unvalidated constraint", "constraints_validated", unvalidated_constraint),
    Damage("a sequence behind its column", "sequences", stale_sequence),
)


def bite(
    server: RestoredServer,
    database: str,
    questions: Mapping[str, Callable[[], Verification]],
    at: datetime,
) -> Verification:
    """Damage the copy in the way of the month and ask the question that must catch it."""
    first = (at.year * 12 + at.month) % len(DAMAGES)
    for damage in (*DAMAGES[first:], *DAMAGES[:first]):
        with server.connect(database) as connection:
            if not damage.inflict(connection):
                continue
        answer = ask(damage.caught_by, questions[damage.caught_by])
        caught = answer.result == "fail"
        how = "caught by" if caught else "ACCEPTED by"
        return verdict(NAME, caught, f"{damage.noun}, made on purpose, was {how} {damage.caught_by}")
    return unknown(NAME, "there is nothing in the database that could be damaged")


def _first(connection: Connection, select: str, condition: str) -> tuple[str, str] | None:
    row = connection.execute(
        f"{select} FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
        f"WHERE {_USER_SCHEMA} AND {condition} ORDER BY 1, 2 LIMIT 1"
    ).fetchone()
    return None if row is None else (row["nspname"], row["relname"])
