"""Proof, within one transaction, that nobody else's rows changed, by two independent witnesses.

The server's own counters say for every table of the database how many rows this transaction inserted,
updated and deleted; cascades, triggers and rules show there. And rows of others on the pages of the changed
rows are compared: in a REPEATABLE READ transaction only our own changes can make them differ.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, LiteralString

from psycopg import sql

from ops_platform.clients.postgres import Connection
from ops_platform.errors import CheckFailed, ConfigurationError
from ops_platform.gdpr.schema import Name

PAGES = 4
"""Pages of a batch, spread evenly, around which rows of others are looked for."""
ROWS = 20
"""Rows of others that are compared for each batch, at most."""
_LINES = 40
"""Line numbers of a page that are tried."""

Counts = tuple[int, int, int]
"""Rows inserted, updated, deleted."""
NONE: Counts = (0, 0, 0)


class Spread(CheckFailed):
    """Other rows changed than those meant. The transaction must be rolled back."""


@dataclass(frozen=True)
class Watched:
    """A relation and its counts. ``root``: the oid of the partitioned table it is part of, else its own."""

    name: Name
    root: int
    counts: Counts


Counters = Mapping[int, Watched]
"""The watched relations by oid."""


def preflight(connection: Connection) -> None:
    """Raise ConfigurationError where the server does not count rows."""
    row = connection.execute("SELECT current_setting('track_counts')::boolean AS counting").fetchone()
    if not row or not row["counting"]:
        raise ConfigurationError(
            "track_counts is off in the product database, so nothing would show whose rows change: turn it on"
        )


# All tables but the system's and the journal's own, which is written in between.
_COUNTERS: LiteralString = """
SELECT c.oid::bigint AS relation, n.nspname AS schema, c.relname AS name,
       CASE WHEN c.relispartition THEN pg_partition_root(c.oid) ELSE c.oid END::bigint AS root,
       pg_stat_get_xact_tuples_inserted(c.oid) AS inserted,
       pg_stat_get_xact_tuples_updated(c.oid) AS updated,
       pg_stat_get_xact_tuples_deleted(c.oid) AS deleted
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'm') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
  AND (n.nspname, c.relname) NOT IN (('ops_platform', 'erasures'), ('ops_platform', 'erasure_steps'),
                                       ('ops_platform', 'erasure_shared_rows'))
"""
# TRUNCATE counts no rows, but takes an exclusive lock.
_EXCLUSIVE_LOCKS: LiteralString = """
SELECT n.nspname AS schema, c.relname AS name
FROM pg_locks AS l JOIN pg_class AS c ON c.oid = l.relation
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE l.pid = pg_backend_pid() AND l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock'
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND n.nspname <> 'pg_catalog' AND c.relpersistence <> 't' AND c.relkind IN ('r', 'p', 'm')
ORDER BY 1, 2
"""


def counters(connection: Connection, first: LiteralString = "") -> Counters:
    """Read the transaction's counters. ``first``: a statement to run before, in the same round trip."""
    return look(connection, first)[0]


def look(
    connection: Connection, first: LiteralString, *queries: sql.Composable
) -> tuple[Counters, list[list[dict[str, Any]]]]:
    """Read the counters and the rows of ``queries``, in one round trip. ``first``: as for ``counters``."""
    rows, *results = _execute_all(connection, first, _COUNTERS, *queries)
    return _watched(rows), results


def look_again(
    connection: Connection, first: LiteralString, *queries: sql.Composable
) -> tuple[Counters, list[Name], list[list[dict[str, Any]]]]:
    """Read, too, the relations that this transaction has locked against all others; see ``look``."""
    rows, locked, *results = _execute_all(connection, first, _COUNTERS, _EXCLUSIVE_LOCKS, *queries)
    return _watched(rows), [Name(row["schema"], row["name"]) for row in locked], results


def counters_and_locks(connection: Connection, first: LiteralString = "") -> tuple[Counters, list[Name]]:
    """Read the counters and the locks; see ``look_again``."""
    after, locked, _ = look_again(connection, first)
    return after, locked


def _execute_all(
    connection: Connection, *statements: LiteralString | sql.Composable
) -> list[list[dict[str, Any]]]:
    """Execute the statements in one round trip; returns the rows of each that returns rows."""
    written = [sql.SQL(one) if isinstance(one, str) else one for one in statements if one]
    cursor = connection.execute(sql.SQL(";").join(written))
    results = []
    while True:
        if cursor.description is not None:
            results.append(cursor.fetchall())
        if not cursor.nextset():
            return results


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
    """Subtract the counters: what the transaction did in between, without relations that did not change."""
    changes = {}
    for relation, watched in after.items():
        old = before[relation].counts if relation in before else NONE
        new = watched.counts
        if new != old:
            changes[relation] = (new[0] - old[0], new[1] - old[1], new[2] - old[2])
    return changes


def compare(
    done: Mapping[int, Counts],
    meant: Mapping[int, Counts],
    known: Counters,
    *,
    moving: bool = False,
    tolerated: Collection[Name] | None = None,
) -> dict[str, int]:
    """Compare what was ``done`` with what was ``meant``, both by oid. Raises Spread where they differ.

    ``tolerated``: None where nothing else may change. Otherwise changes of relations that were not meant at
    all are tolerated and returned, as rows by table, except in the relations of this collection.
    ``moving``: an update may put a row of a partitioned table into another partition, which counts as a
    deletion and an insertion.
    """
    differing = {
        relation: counts
        for relation, counts in done.items()
        if counts != meant.get(relation, NONE)
    }  # fmt: skip
    differing |= {
        relation: NONE for relation, counts in meant.items() if relation not in done and counts != NONE
    }
    if moving:
        for root in {known[relation].root for relation in differing}:
            parts = [relation for relation in {*done, *meant} if known[relation].root == root]
            inserted, updated, deleted = (
                sum(done.get(relation, NONE)[n] for relation in parts) for n in range(3)
            )
            meant_updates = sum(meant.get(relation, NONE)[1] for relation in parts)
            if inserted == deleted and updated + inserted == meant_updates:
                differing = {
                    relation: counts for relation, counts in differing.items() if relation not in parts
                }
    by_others = {}
    for relation, counts in differing.items():
        name = known[relation].name
        if tolerated is None or relation in meant or name in tolerated:
            raise Spread(_message(name, counts, meant.get(relation, NONE)))
        by_others[str(name)] = sum(counts)
    return by_others


def neighbours(
    connection: Connection, leaf: Name, places: Sequence[str], own_rows: sql.Composable
) -> tuple[list[str], str]:
    """Find rows of others on the pages of ``places`` and next to them; returns their ctids and their digest.

    ``places``: ctids. ``own_rows``: the condition for the subject's own rows, called t.
    """
    [rows] = _execute_all(connection, neighbours_query(leaf, places, own_rows))
    return found_neighbours(rows)


def found_neighbours(rows: Sequence[Mapping[str, Any]]) -> tuple[list[str], str]:
    """Return the ctids and the digest that ``neighbours_query`` has found."""
    [row] = rows
    return row["places"].split(";") if row["places"] else [], str(row["digest"])


def neighbours_query(leaf: Name, places: Sequence[str], own_rows: sql.Composable) -> sql.Composable:
    """Write the query of ``neighbours``."""
    pages = sorted({int(place[1:].split(",")[0]) for place in places})
    sample = pages[:: max(1, len(pages) // PAGES)][:PAGES]
    around = sorted({near for page in sample for near in (page - 1, page, page + 1) if near >= 0})
    return sql.SQL(
        """
        SELECT coalesce(string_agg(place::text, ';' ORDER BY place), '') AS places, {digest} AS digest
        FROM (SELECT t.ctid AS place, {row} AS row FROM ONLY {leaf} AS t
              WHERE t.ctid = ANY (ARRAY(SELECT format('(%s,%s)', page, line)::tid
                                        FROM unnest(CAST({pages} AS bigint[])) AS page,
                                             generate_series(1, {lines}) AS line))
                AND {own_rows} IS NOT TRUE
              LIMIT {rows}) AS r
        """
    ).format(
        digest=_DIGEST,
        row=row_digest(None),
        leaf=leaf.identifier,
        pages=sql.Literal(around),
        lines=sql.Literal(_LINES),
        own_rows=own_rows,
        rows=sql.Literal(ROWS),
    )


_DIGEST = sql.SQL(
    "count(*) || ':' || encode(sha256(coalesce(string_agg(r.row, '' ORDER BY r.place), '')), 'hex')"
)


def digest(connection: Connection, leaf: Name, places: Sequence[str]) -> str:
    """Compute the digest of the rows at ``places``, over their content and their number."""
    [[row]] = _execute_all(connection, digest_query(leaf, places))
    return str(row["digest"])


def digest_query(leaf: Name, places: Sequence[str]) -> sql.Composable:
    """Write the query of ``digest``."""
    return sql.SQL(
        """
        SELECT {digest} AS digest
        FROM (SELECT t.ctid AS place, {row} AS row FROM ONLY {leaf} AS t WHERE t.ctid = ANY ({places})) AS r
        """
    ).format(digest=_DIGEST, leaf=leaf.identifier, row=row_digest(None), places=tids(places))


def tids(places: Sequence[str]) -> sql.Composable:
    """Write ctids as an SQL array."""
    return sql.SQL("CAST({} AS tid[])").format(
        sql.Literal('{"' + '","'.join(places) + '"}' if places else "{}")
    )


def row_digest(columns: Collection[str] | None, texts: Sequence[sql.Composable] = ()) -> sql.Composable:
    """Write the SHA-256 of these columns of the row called t, and of ``texts``; None: of the whole row."""
    whole: sql.Composable = sql.SQL("CAST(t.* AS text)")
    if columns is not None:
        named = sql.SQL(", ").join([*(sql.Identifier("t", column) for column in sorted(columns)), *texts])
        whole = sql.SQL("CAST(ROW({}) AS text)").format(named)
    return sql.SQL("sha256(convert_to({}, getdatabaseencoding()))").format(whole)


def _message(name: Name, done: Counts, meant: Counts) -> str:
    def words(counts: Counts) -> str:
        return ", ".join(
            f"{n} {word}" for n, word in zip(counts, ("inserted", "updated", "deleted"), strict=True)
        )

    return (
        f"{name}: {words(done)} rows where {words(meant)} were meant: a foreign key, trigger or rule "
        "changes more than the map says; nothing of it was kept: declare the rows, or the trigger in triggers"
    )
