"""Exemptions from the residue scan: rows that the law keeps, and rows of people with the same names.

The scan itself ignores the data map; the hits that an erasure leaves on purpose are taken out here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeVar

from psycopg import sql

from ops_platform.clients.postgres import Connection
from ops_platform.gdpr.data_map import (
    Anonymise,
    Belonging,
    ByMention,
    ByParent,
    DataMap,
    Keep,
    Remove,
    Table,
    holds_of,
)
from ops_platform.gdpr.row_erasure import residue_scan
from ops_platform.gdpr.row_erasure.journal import Journal
from ops_platform.gdpr.row_erasure.pseudonyms import Substitutes
from ops_platform.gdpr.row_erasure.residue_scan import Image, Residue, Search
from ops_platform.gdpr.row_erasure.scan_tests import Shared
from ops_platform.gdpr.row_erasure.statements import Writer
from ops_platform.gdpr.schema import Catalogue, Name, Relation
from ops_platform.gdpr.spellings import is_email
from ops_platform.gdpr.subject import (
    Identity,
    Times,
    folded,
    is_subject,
    joint_name,
    other_kinds,
    others_addresses,
    reused_names,
    reused_values,
    row_predicates,
    spared_rows,
    successors,
)

K = TypeVar("K")
OTHERS = 100
"""Addresses of others at most, in which a name of the subject's is no hit."""


@dataclass(frozen=True)
class Wanted:
    """One identity that is searched for.

    ``erasure_id``: None when the erasure has not begun. ``image``: writes what is searched in place of the
    rows of a relation, without the kept rows and those of the condition that it is given, called t.
    """

    identity: Identity
    times: Times
    erasure_id: str | None
    image: RowImage | None = None


class RowImage(Protocol):
    """The rows of relations as something else than they are."""

    def read(self, relation: Relation) -> sql.Composable:
        """Write what is read of a relation."""

    def rows(
        self,
        relation: Relation,
        excluded: sql.Composable | None = None,
        *,
        table: sql.Composable | None = None,
    ) -> sql.Composable:
        """Write the subquery to search in place of ``table``, which has what ``read`` has written."""


def residue_each(
    connection: Connection, data_map: DataMap, catalogue: Catalogue, wanted: Sequence[Wanted]
) -> list[list[Residue]]:
    """Find hits in rows that nobody meant to keep, of all in one pass. Raises what psycopg raises."""
    searches = [_search(connection, data_map, catalogue, one) for one in wanted]
    found = residue_scan.scan_each(connection, catalogue, searches)
    return [
        _without_kept(connection, data_map, catalogue, one, hits)
        for one, hits in zip(wanted, found, strict=True)
    ]


def _search(connection: Connection, data_map: DataMap, catalogue: Catalogue, wanted: Wanted) -> Search:
    identity, times = wanted.identity, wanted.times
    excluded: dict[Name, sql.Composable] = {}
    if wanted.image is None:
        for table, test in _kept(data_map, catalogue, identity):
            _add_alternative(excluded, table, test)
    for table, test in _newer(connection, data_map, catalogue, identity, times):
        _add_alternative(excluded, table, test)
    shared = Shared()
    if not times.replay:
        others = successors(*_of_subjects(connection, data_map, catalogue, times), identity, times.cutoff)
        shared = _Others(data_map, catalogue, identity, times, others).shared()
    shared = replace(
        shared,
        others=_addresses_of_others(*_of_subjects(connection, data_map, catalogue, times), identity),
        kinds=other_kinds.find(connection, data_map, catalogue, identity),
    )
    own_values = tuple(value for value in identity.names(data_map.subject) if value not in shared.values)
    image = wanted.image
    if image is None:
        return Search(own_values, excluded, shared)

    def rows(relation: Relation, table: sql.Composable) -> sql.Composable:
        return image.rows(relation, excluded.get(relation.name), table=table)

    return Search(own_values, shared=shared, image=Image(image.read, rows))


def _without_kept(
    connection: Connection,
    data_map: DataMap,
    catalogue: Catalogue,
    wanted: Wanted,
    hits: Sequence[Residue],
) -> list[Residue]:
    """Leave out hits in rows that the law keeps, as they were counted before their parents went."""
    kept: Mapping[tuple[Name, str], int] = {}
    if wanted.erasure_id is not None:
        journal = Journal(connection, wanted.erasure_id)
        kept = _kept_through_parents(data_map, journal)
        if wanted.image is not None and kept:
            # Those whose parents are still there were left out by their condition.
            writer = Writer(
                data_map,
                catalogue,
                wanted.identity,
                Substitutes(journal, data_map, catalogue, wanted.identity),
            )
            kept = _without_present(connection, data_map, catalogue, writer, kept)
    return [
        Residue(hit.table, hit.column, hit.rows - kept.get((hit.table, hit.column), 0))
        for hit in hits
        if hit.rows > kept.get((hit.table, hit.column), 0)
    ]


def _of_subjects(
    connection: Connection, data_map: DataMap, catalogue: Catalogue, times: Times
) -> tuple[Connection, DataMap, Catalogue]:
    """Return where the subjects' table is: here, unless ``times`` has another database."""
    home = times.home
    return (
        (connection, data_map, catalogue)
        if home is None
        else (home.connection, home.data_map, home.catalogue)
    )


def _addresses_of_others(
    connection: Connection, data_map: DataMap, catalogue: Catalogue, identity: Identity
) -> tuple[str, ...]:
    """Find addresses of other accounts in which the subject's own address or another name stands."""
    table, column = data_map.subject.address
    accounts = catalogue.relations.get(table)
    if accounts is None or column not in accounts.columns:
        return ()
    mailboxes = others_addresses.of_mailbox(data_map, catalogue, identity)
    queries = [mailboxes] if mailboxes is not None else []
    queries += others_addresses.with_names(data_map, catalogue, identity)
    found = [str(row["address"]) for query in queries for row in connection.execute(query)]
    # Each makes the expression longer. Those beyond stay hits.
    return tuple(dict.fromkeys(filter(is_email, found)))[:OTHERS]


def _without_present(
    connection: Connection,
    data_map: DataMap,
    catalogue: Catalogue,
    writer: Writer,
    kept: Mapping[tuple[Name, str], int],
) -> Mapping[tuple[Name, str], int]:
    """Subtract from ``kept`` the hits in kept rows that can be told by their parents as yet."""
    present = {
        (hit.table, hit.column): hit.rows
        for table in {table for table, _ in kept}
        for hit in residue_scan.within(
            connection,
            catalogue.relations[table],
            writer.identity.names(data_map.subject),
            writer.kept_through_others(table),
        )
    }
    return {place: rows - present.get(place, 0) for place, rows in kept.items()}


def _add_alternative(conditions: dict[K, sql.Composable], key: K, test: sql.Composable) -> None:
    conditions[key] = test if key not in conditions else sql.SQL("({} OR {})").format(conditions[key], test)


def _kept(
    data_map: DataMap, catalogue: Catalogue, identity: Identity
) -> Iterator[tuple[Name, sql.Composable]]:
    for table, belonging in data_map.belongings():
        if isinstance(belonging.erasure, Keep) and not isinstance(belonging.way, ByParent):
            condition = row_predicates.condition(data_map, catalogue, table.name, belonging, identity, "t")
            yield table.name, condition


def _newer(
    connection: Connection, data_map: DataMap, catalogue: Catalogue, identity: Identity, times: Times
) -> Iterator[tuple[Name, sql.Composable]]:
    """Exempt newer rows: all of them after a restore, else accounts, in which the same word may occur."""
    subject = data_map.subject
    spared = spared_rows(connection, data_map, catalogue, identity, times) if times.replay else None
    for name, table in data_map.tables.items():
        if table.created is not None:
            newer = sql.SQL("(t.{} > {})").format(sql.Identifier(table.created), sql.Literal(times.cutoff))
            if times.replay:
                yield name, newer
            elif name == subject.table:
                own = is_subject(subject, identity, "t")
                yield name, sql.SQL("({} AND NOT {})").format(newer, own)
        elif spared is not None and spared.key_reused:
            # Nobody can tell whose these rows are.
            yield name, sql.SQL("true")
    if times.replay:
        yield from _views(catalogue)


def _views(catalogue: Catalogue) -> Iterator[tuple[Name, sql.Composable]]:
    """Exempt refreshed materialised views: they repeat what the tables say, also of others."""
    for name, relation in catalogue.relations.items():
        if relation.kind == "matview":
            yield name, sql.SQL("true")


@dataclass(frozen=True)
class _Others:
    """People who have names of the subject's now, and the rows and columns that are theirs by them.

    See ``subject.name_reuse``.
    """

    data_map: DataMap
    catalogue: Catalogue
    identity: Identity
    times: Times
    others: Sequence[Identity]
    _rows: dict[Name, sql.Composable] = field(default_factory=dict, init=False)
    _columns: dict[tuple[Name, str], sql.Composable] = field(default_factory=dict, init=False)

    def shared(self) -> Shared:
        """Collect the shared names, and the conditions for what is the others'."""
        names = reused_names(self.data_map, self.identity, self.others)
        if not names:
            return Shared()
        subject, first_erasure = self.data_map.subject, self.times.first_erasure
        for other in self.others:
            _add_alternative(self._rows, subject.table, is_subject(subject, other, "t"))
            for table, belonging in self.data_map.belongings():
                self._add_belonging(table, belonging, other)
        for table in self.data_map.tables.values():
            if first_erasure is not None and table.created is not None:
                # A newer row was written when only the other person had that name.
                newer = sql.SQL("(t.{} > {})").format(
                    sql.Identifier(table.created), sql.Literal(first_erasure.at)
                )
                _add_alternative(self._rows, table.name, newer)
        for name, test in _views(self.catalogue):
            _add_alternative(self._rows, name, test)
        values = reused_values(self.data_map, self.identity, self.others)
        return Shared(values, self._rows, self._columns)

    def _add_belonging(self, table: Table, belonging: Belonging, other: Identity) -> None:
        """Add what the map says is the other's: by their key, and by a name where it surely is theirs."""
        if isinstance(belonging.way, ByMention):
            return  # nothing tells who is meant by a word in a text
        names = reused_names(self.data_map, self.identity, [other])
        values = reused_values(self.data_map, self.identity, [other])
        unshared = other.without({folded(value) for value in values})
        self._add(table, belonging, self._held(table, belonging, unshared))
        way = belonging.way
        if isinstance(way, ByParent) or names & {*holds_of(way), joint_name(holds_of(way))}:
            # Also in the subject's spelling, which may differ in capitals.
            for identity in (other, other.spelled_like(values)):
                self._add_by_name(table, belonging, self._held(table, belonging, identity), names)

    def _held(self, table: Table, belonging: Belonging, identity: Identity) -> sql.Composable:
        return row_predicates.condition(self.data_map, self.catalogue, table.name, belonging, identity, "t")

    def _add_by_name(
        self, table: Table, belonging: Belonging, held: sql.Composable, names: frozenset[str]
    ) -> None:
        first_erasure = self.times.first_erasure
        if first_erasure is None or first_erasure.reused_names is None:
            if table.created is not None:
                newer = sql.SQL("({} AND t.{} > {})").format(
                    held, sql.Identifier(table.created), sql.Literal(self.times.cutoff)
                )
                self._add(table, belonging, newer)
        elif table.created is not None or not names & first_erasure.reused_names:
            self._add(table, belonging, held)

    def _add(self, table: Table, belonging: Belonging, test: sql.Composable) -> None:
        """Exempt the row or, where their erasure would only change columns of it, these columns."""
        if isinstance(belonging.erasure, Anonymise | Remove):
            changed = belonging.erasure.columns if isinstance(belonging.erasure, Anonymise) else {}
            for column in {*belonging.columns, *changed}:
                _add_alternative(self._columns, (table.name, column), test)
        else:
            _add_alternative(self._rows, table.name, test)


def _kept_through_parents(data_map: DataMap, journal: Journal) -> Mapping[tuple[Name, str], int]:
    """Read the hits in kept rows that were found through rows deleted since, by table and column.

    They were counted before the deletion. Hits are counted, not rows: a row without a name must not make up
    for a hit elsewhere.
    """
    hits: dict[tuple[str, str], dict[str, int]] = {
        (table, role): noted.control.get("kept_hits", {})
        for (table, role, _), noted in journal.steps().items()
    }
    kept: dict[tuple[Name, str], int] = {}
    for table, belonging in data_map.belongings():
        if isinstance(belonging.erasure, Keep) and isinstance(belonging.way, ByParent):
            for column, rows in hits.get((str(table.name), belonging.role), {}).items():
                key = (table.name, column)
                kept[key] = max(kept.get(key, 0), rows)
    return kept
