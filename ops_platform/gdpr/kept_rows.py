"""What an erasure leaves on purpose: rows that the law keeps, and after a restore those of somebody anew.

The residue scan asks no map; which of its hits are meant to be is told here.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from psycopg import sql

from ops_platform.clients.postgres import Connection
from ops_platform.gdpr import residue as scanning
from ops_platform.gdpr import subject_rows
from ops_platform.gdpr.catalogue import Catalogue
from ops_platform.gdpr.data_map import ByParent, DataMap, Keep, Table
from ops_platform.gdpr.erasure_journal import Journal
from ops_platform.gdpr.names import Name
from ops_platform.gdpr.residue import Residue
from ops_platform.gdpr.sparing import sparing, successors
from ops_platform.gdpr.subject_rows import Identity


def residue(
    connection: Connection,
    data_map: DataMap,
    catalogue: Catalogue,
    who: Identity,
    cutoff: datetime,
    erasure_id: str,
    *,
    replay: bool,
) -> list[Residue]:
    """Hits in rows that nobody meant to keep. Raises what psycopg raises."""
    beyond: dict[Name, sql.Composable] = {}
    for table, test in _beyond(connection, data_map, catalogue, who, cutoff, replay=replay):
        known = beyond.get(table)
        beyond[table] = test if known is None else sql.SQL("({} OR {})").format(known, test)
    found = scanning.scan(connection, catalogue, who.values.values(), beyond)
    kept = _kept_by_others(data_map, Journal(connection, erasure_id))
    return [
        Residue(one.table, one.column, one.rows - kept.get((one.table, one.column), 0))
        for one in found
        if one.rows > kept.get((one.table, one.column), 0)
    ]


def _beyond(
    connection: Connection,
    data_map: DataMap,
    catalogue: Catalogue,
    who: Identity,
    cutoff: datetime,
    *,
    replay: bool,
) -> Iterator[tuple[Name, sql.Composable]]:
    for table, one in data_map.belongings():
        if isinstance(one.erasure, Keep) and not isinstance(one.way, ByParent):
            yield table.name, subject_rows.condition(data_map, catalogue, table.name, one, who, "t")
    subject = data_map.subject
    spared = sparing(connection, data_map, who, cutoff, replay=replay)
    anew = spared is not None and spared.anew
    for name, table in data_map.tables.items():
        if table.created is not None:
            newer = sql.SQL("t.{} > {}").format(sql.Identifier(table.created), sql.Literal(cutoff))
            if replay:
                yield name, sql.SQL("({})").format(newer)
            elif spared is not None and _by_name(data_map, table):
                yield name, newer
            elif name == subject.table:
                # Whoever registers again has another key, and may have the same address.
                yield (
                    name,
                    sql.SQL("({} AND t.{} <> {})").format(
                        newer, sql.Identifier(subject.key), sql.Literal(who.values[subject.key])
                    ),
                )
        elif anew:
            # Of whom these rows are nobody can tell.
            yield name, sql.SQL("true")
    # Whose these rows are their keys say, whatever they call the person.
    for key in [] if replay or spared is None else successors(connection, data_map, who, cutoff):
        for table, one in data_map.belongings():
            other = Identity({subject.key: key})
            yield table.name, subject_rows.condition(data_map, catalogue, table.name, one, other, "t")
    if spared is not None:
        # Fresh, they say what the tables say, of people who registered since too.
        for name, relation in catalogue.relations.items():
            if relation.kind == "matview":
                yield name, sql.SQL("true")


def _by_name(data_map: DataMap, table: Table) -> bool:
    """Whether its rows may belong to somebody by another identifier than the key, and by no key."""
    ways = [one.way for one in table.belongings]
    return any(not isinstance(way, ByParent) and way.holds != data_map.subject.key for way in ways)


def _kept_by_others(data_map: DataMap, journal: Journal) -> dict[tuple[Name, str], int]:
    """Hits in rows that are kept and were found by way of rows that are gone, by table and column.

    They were counted while those were there. Not the rows: one that holds no name makes up for none.
    """
    hits: dict[tuple[str, str], dict[str, int]] = {
        (table, role): noted.control.get("kept_hits", {})
        for (table, role, _), noted in journal.steps().items()
    }
    kept: dict[tuple[Name, str], int] = {}
    for table, one in data_map.belongings():
        if isinstance(one.erasure, Keep) and isinstance(one.way, ByParent):
            for column, rows in hits.get((str(table.name), one.role), {}).items():
                at = (table.name, column)
                kept[at] = max(kept.get(at, 0), rows)
    return kept
