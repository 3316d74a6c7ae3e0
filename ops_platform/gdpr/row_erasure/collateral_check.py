"""Proof, within one transaction, that nobody else's rows changed. Two witnesses that look elsewhere.

The server's own counters: of every table of the database, how many rows this transaction inserted, updated
and deleted; cascades, triggers and rules show there. And rows of others on the same pages as the changed
ones: in a REPEATABLE READ transaction only our own changes can make them differ.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, LiteralString

from psycopg import sql

from ops_platform.clients.postgres import Connection, one_row
from ops_platform.errors import CheckFailed, ConfigurationError
from ops_platform.gdpr.schema import Name

PAGES = 4
"""Pages beside which rows of others are looked for, spread over those of a batch."""
ROWS = 20
"""Rows of others that are compared in one transaction."""
_LINES = 40
"""Rows of a page that are tried."""

Counts = tuple[int, int, int]
"""Rows inserted, updated, deleted."""
NONE: Counts = (0, 0, 0)


class Spread(CheckFailed):
    """More changed than was meant to. The transaction must be rolled back."""


@dataclass(frozen=True)
class Watched:
    """A relation, whose rows are counted as those of ``root``, the partitioned table it is part of."""

    name: Name
    root: int
    counts: Counts


Counters = Mapping[int, Watched]


def preflight(connection: Connection) -> None:
    """Raises ConfigurationError where nothing would be counted."""
    row = connection.execute("SELECT current_setting('track_counts')::boolean AS counting").fetchone()
    if not row or not row["counting"]:
        raise ConfigurationError(
            "track_counts is off in the product database, so nothing would show whose rows change: turn it on"
        )


# All tables but the system's, and the journal's own, which is written in between.
_COUNTERS: LiteralString = """
SELECT c.oid::bigint AS relation, n.nspname AS schema, c.relname AS name,
       CASE WHEN c.relispartition THEN pg_partition_root(c.oid) ELSE c.oid END::bigint AS root,
       pg_stat_get_xact_tuples_inserted(c.oid) AS inserted,
       pg_stat_get_xact_tuples_updated(c.oid) AS updated,
       pg_stat_get_xact_tuples_deleted(c.oid) AS deleted
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'm') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
  AND (n.nspname, c.relname) NOT IN (('ops_platform', 'erasures'), ('ops_platform', 'erasure_steps'))
"""
# TRUNCATE counts no rows, but locks against all others.
_EMPTIED: LiteralString = """
SELECT n.nspname AS schema, c.relname AS name
FROM pg_locks AS l JOIN pg_class AS c ON c.oid = l.relation
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE l.pid = pg_backend_pid() AND l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock'
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND n.nspname <> 'pg_catalog' AND c.relpersistence <> 't' AND c.relkind IN ('r', 'p', 'm')
ORDER BY 1, 2
"""


def counters(connection: Connection, first: LiteralString = "") -> Counters:
    """By oid. ``first``: a statement that answers nothing and goes before, in the same round trip."""
    [rows] = _answers(connection, first, _COUNTERS)
    return _watched(rows)


def afterwards(connection: Connection, first: LiteralString = "") -> tuple[Counters, list[Name]]:
    """The counters, and relations that this transaction has locked against all others. As ``counters``."""
    rows, locked = _answers(connection, first, _COUNTERS, _EMPTIED)
    return _watched(rows), [Name(row["schema"], row["name"]) for row in locked]


def _answers(connection: Connection, *statements: LiteralString) -> list[list[dict[str, Any]]]:
    """The rows of all statements that have any, in one round trip."""
    cursor = connection.execute(";".join(one for one in statements if one))
    found = []
    while True:
        if cursor.description is not None:
            found.append(cursor.fetchall())
        if not cursor.nextset():
            return found


def _watched(rows: Sequence[Mapping[str, Any]]) -> Counters:
    return {
        row["relation"]: Watched(
            Name(row["schema"], row["name"]),
            row["root"],
            (row["inserted"], row["updated"], row["deleted"]),
        )
        for row in rows
    }


def difference(before: Counters, after: Counters) -> dict[int, Counts]:
    """What a transaction did between the two; relations that nothing happened to are not in it."""
    found = {}
    for relation, watched in after.items():
        old = before[relation].counts if relation in before else NONE
        new = watched.counts
        if new != old:
            found[relation] = (new[0] - old[0], new[1] - old[1], new[2] - old[2])
    return found


def compare(
    done: Mapping[int, Counts],
    meant: Mapping[int, Counts],
    known: Counters,
    *,
    moving: bool = False,
    tolerated: Collection[Name] | None = None,
) -> dict[str, int]:
    """``tolerated``: None, or the relations of which more may not change even so; the rest is returned.

    ``moving``: an update may put a row of a partitioned table into another partition, which counts as a
    deletion and an insertion. Raises Spread.
    """
    left = {
        relation: counts
        for relation, counts in done.items()
        if counts != meant.get(relation, NONE)
    }  # fmt: skip
    left |= {relation: NONE for relation, counts in meant.items() if relation not in done and counts != NONE}
    if moving:
        for root in {known[relation].root for relation in left}:
            part = [relation for relation in {*done, *meant} if known[relation].root == root]
            inserted, updated, deleted = (sum(done.get(one, NONE)[n] for one in part) for n in range(3))
            wanted = sum(meant.get(one, NONE)[1] for one in part)
            if inserted == deleted and updated + inserted == wanted:
                left = {relation: counts for relation, counts in left.items() if relation not in part}
    also = {}
    for relation, counts in left.items():
        name = known[relation].name
        if tolerated is None or relation in meant or name in tolerated:
            raise Spread(_said(name, counts, meant.get(relation, NONE)))
        also[str(name)] = sum(counts)
    return also


def beside(
    connection: Connection, leaf: Name, places: Sequence[str], anybody: sql.Composable
) -> tuple[list[str], str]:
    """Where rows of others lie on the pages of ``places`` and next to them, and their digest.

    ``places``: ctids. ``anybody``: true of the subject's own rows, called t.
    """
    pages = sorted({int(place[1:].split(",")[0]) for place in places})
    chosen = pages[:: max(1, len(pages) // PAGES)][:PAGES]
    around = sorted({page for one in chosen for page in (one - 1, one, one + 1) if page >= 0})
    query = sql.SQL(
        """
        SELECT coalesce(string_agg(place::text, ';' ORDER BY place), '') AS places, {digest} AS digest
        FROM (SELECT t.ctid AS place, {row} AS row FROM ONLY {leaf} AS t
              WHERE t.ctid = ANY (ARRAY(SELECT format('(%s,%s)', page, line)::tid
                                        FROM unnest(CAST({pages} AS bigint[])) AS page,
                                             generate_series(1, {lines}) AS line))
                AND {anybody} IS NOT TRUE
              LIMIT {rows}) AS r
        """
    ).format(
        digest=_DIGEST,
        row=row_digest(None),
        leaf=leaf.identifier,
        pages=sql.Literal(around),
        lines=sql.Literal(_LINES),
        anybody=anybody,
        rows=sql.Literal(ROWS),
    )
    row = one_row(connection, query)
    return row["places"].split(";") if row["places"] else [], str(row["digest"])


_DIGEST = sql.SQL(
    "count(*) || ':' || encode(sha256(coalesce(string_agg(r.row, '' ORDER BY r.place), '')), 'hex')"
)


def digest(connection: Connection, leaf: Name, places: Sequence[str]) -> str:
    """Of the rows that lie at ``places``, their content and their number."""
    query = sql.SQL(
        """
        SELECT {digest} AS digest
        FROM (SELECT t.ctid AS place, {row} AS row FROM ONLY {leaf} AS t WHERE t.ctid = ANY ({places})) AS r
        """
    ).format(digest=_DIGEST, leaf=leaf.identifier, row=row_digest(None), places=tids(places))
    row = one_row(connection, query)
    return str(row["digest"])


def tids(places: Sequence[str]) -> sql.Composable:
    """An array of ctids."""
    return sql.SQL("CAST({} AS tid[])").format(
        sql.Literal("{" + ",".join(f'"{one}"' for one in places) + "}")
    )


def row_digest(columns: Collection[str] | None) -> sql.Composable:
    """SHA-256 of these columns of the row called t, or of all of it."""
    whole: sql.Composable = sql.SQL("CAST(t.* AS text)")
    if columns is not None:
        named = sql.SQL(", ").join(sql.Identifier("t", one) for one in sorted(columns))
        whole = sql.SQL("CAST(ROW({}) AS text)").format(named)
    return sql.SQL("sha256(convert_to({}, getdatabaseencoding()))").format(whole)


def _said(name: Name, done: Counts, meant: Counts) -> str:
    def words(counts: Counts) -> str:
        return ", ".join(
            f"{n} {word}" for n, word in zip(counts, ("inserted", "updated", "deleted"), strict=True)
        )

    return (
        f"{name}: {words(done)} rows where {words(meant)} were meant: a foreign key, trigger or rule "
        "changes more than the map says; nothing of it was kept: declare the rows, or the trigger in triggers"
    )
