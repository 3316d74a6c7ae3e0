"""What an erasure leaves on purpose: rows that the law keeps, and those of people who are called the same.

The residue scan asks no map; which of its hits are meant to be is told here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from psycopg import sql

from ops_platform.clients.postgres import Connection
from ops_platform.gdpr.data_map import Anonymise, Belonging, ByParent, DataMap, Keep, Remove, Table
from ops_platform.gdpr.row_erasure import residue_scan as scanning
from ops_platform.gdpr.row_erasure.journal import Journal
from ops_platform.gdpr.row_erasure.residue_scan import Residue, Shared
from ops_platform.gdpr.schema import Catalogue, Name
from ops_platform.gdpr.subject import Identity, Times, row_predicates, sparing, successors, taken

K = TypeVar("K")


def residue(
    connection: Connection,
    data_map: DataMap,
    catalogue: Catalogue,
    who: Identity,
    times: Times,
    erasure_id: str,
) -> list[Residue]:
    """Hits in rows that nobody meant to keep. Raises what psycopg raises."""
    beyond: dict[Name, sql.Composable] = {}
    for table, test in _kept(data_map, catalogue, who):
        _either(beyond, table, test)
    for table, test in _newer(connection, data_map, catalogue, who, times):
        _either(beyond, table, test)
    shared = Shared()
    if not times.replay:
        others = successors(connection, data_map, who, times.cutoff)
        shared = _Others(data_map, catalogue, who, times, others).shared()
    own = [value for value in who.values.values() if value not in shared.values]
    found = scanning.scan(connection, catalogue, own, beyond, shared)
    kept = _kept_by_others(data_map, Journal(connection, erasure_id))
    return [
        Residue(one.table, one.column, one.rows - kept.get((one.table, one.column), 0))
        for one in found
        if one.rows > kept.get((one.table, one.column), 0)
    ]


def _either(known: dict[K, sql.Composable], key: K, test: sql.Composable) -> None:
    known[key] = test if key not in known else sql.SQL("({} OR {})").format(known[key], test)


def _kept(data_map: DataMap, catalogue: Catalogue, who: Identity) -> Iterator[tuple[Name, sql.Composable]]:
    for table, one in data_map.belongings():
        if isinstance(one.erasure, Keep) and not isinstance(one.way, ByParent):
            yield table.name, row_predicates.condition(data_map, catalogue, table.name, one, who, "t")


def _newer(
    connection: Connection, data_map: DataMap, catalogue: Catalogue, who: Identity, times: Times
) -> Iterator[tuple[Name, sql.Composable]]:
    """After a restore what came since; else accounts that did, whose other columns may hold the same word."""
    subject = data_map.subject
    spared = sparing(connection, data_map, who, times) if times.replay else None
    for name, table in data_map.tables.items():
        if table.created is not None:
            newer = sql.SQL("(t.{} > {})").format(sql.Identifier(table.created), sql.Literal(times.cutoff))
            if times.replay:
                yield name, newer
            elif name == subject.table:
                yield (
                    name,
                    sql.SQL("({} AND t.{} <> {})").format(
                        newer, sql.Identifier(subject.key), sql.Literal(who.values[subject.key])
                    ),
                )
        elif spared is not None and spared.anew:
            # Of whom these rows are nobody can tell.
            yield name, sql.SQL("true")
    if times.replay:
        yield from _views(catalogue)


def _views(catalogue: Catalogue) -> Iterator[tuple[Name, sql.Composable]]:
    """Fresh, they say what the tables say, of others too."""
    for name, relation in catalogue.relations.items():
        if relation.kind == "matview":
            yield name, sql.SQL("true")


@dataclass(frozen=True)
class _Others:
    """Who has names of the subject's now, and by which rows and columns that is theirs. See ``sparing``."""

    data_map: DataMap
    catalogue: Catalogue
    who: Identity
    times: Times
    others: Sequence[Identity]
    _rows: dict[Name, sql.Composable] = field(default_factory=dict, init=False)
    _columns: dict[tuple[Name, str], sql.Composable] = field(default_factory=dict, init=False)

    def shared(self) -> Shared:
        names = taken(self.data_map, self.who, self.others)
        if not names:
            return Shared()
        subject, gone = self.data_map.subject, self.times.gone
        for other in self.others:
            key = sql.SQL("(t.{} = {})").format(
                sql.Identifier(subject.key), sql.Literal(other.values[subject.key])
            )
            _either(self._rows, subject.table, key)
            for table, one in self.data_map.belongings():
                self._belongs(table, one, other)
        for table in self.data_map.tables.values():
            if gone is not None and table.created is not None:
                # Whoever wrote it knew nobody else of that name.
                newer = sql.SQL("(t.{} > {})").format(sql.Identifier(table.created), sql.Literal(gone.at))
                _either(self._rows, table.name, newer)
        for name, test in _views(self.catalogue):
            _either(self._rows, name, test)
        return Shared(tuple(self.who.values[name] for name in sorted(names)), self._rows, self._columns)

    def _belongs(self, table: Table, one: Belonging, other: Identity) -> None:
        """What the map says is the other's: by their key, and by a name where that is sure to be theirs."""
        names = taken(self.data_map, self.who, [other])
        sure = {name: value for name, value in other.values.items() if name not in names}
        self._theirs(table, one, self._held(table, one, sure))
        if isinstance(one.way, ByParent) or one.way.holds in names:
            # Also as the subject wrote it, who may have had it in capitals.
            for values in (other.values, {**other.values, **{name: self.who.values[name] for name in names}}):
                self._named(table, one, self._held(table, one, values), names)

    def _held(self, table: Table, one: Belonging, values: Mapping[str, Any]) -> sql.Composable:
        return row_predicates.condition(self.data_map, self.catalogue, table.name, one, Identity(values), "t")

    def _named(self, table: Table, one: Belonging, held: sql.Composable, names: frozenset[str]) -> None:
        gone = self.times.gone
        if gone is None or gone.taken is None:
            if table.created is not None:
                newer = sql.SQL("({} AND t.{} > {})").format(
                    held, sql.Identifier(table.created), sql.Literal(self.times.cutoff)
                )
                self._theirs(table, one, newer)
        elif table.created is not None or not names & gone.taken:
            self._theirs(table, one, held)

    def _theirs(self, table: Table, one: Belonging, test: sql.Composable) -> None:
        """Where a row stays when they are erased, no more of it than would go then."""
        if isinstance(one.erasure, Anonymise | Remove):
            changed = one.erasure.columns if isinstance(one.erasure, Anonymise) else {}
            for column in {one.way.column, *changed}:
                _either(self._columns, (table.name, column), test)
        else:
            _either(self._rows, table.name, test)


def _kept_by_others(data_map: DataMap, journal: Journal) -> Mapping[tuple[Name, str], int]:
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
