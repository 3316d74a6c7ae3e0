"""The subjects under a legal hold, as the product database knows them: their rows stay beyond any term."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from ops_platform.clients import postgres
from ops_platform.clients.postgres import Connection
from ops_platform.errors import ConfigurationError
from ops_platform.gdpr.data_map import ByMention, ByParent, DataMap, holds_of, kinds
from ops_platform.gdpr.retention.due_rows import Held
from ops_platform.gdpr.schema import Catalogue, Name
from ops_platform.gdpr.subject import row_predicates, subject_key
from ops_platform.gdpr.tombstones import legal_holds


@dataclass(frozen=True)
class HeldSubjects:
    """Who is held.

    ``rowless``: for each who has no row any more, and of whom the key alone is known, the map of the kind.
    ``unreadable``: holds of which this map and database cannot say who is meant.
    """

    holds: frozenset[int] = frozenset()
    identities: tuple[Held, ...] = ()
    rowless: tuple[DataMap, ...] = ()
    unreadable: tuple[int, ...] = ()

    def unknown_in(self, table: Name) -> str | None:
        """Say why nobody can tell which rows of ``table`` a hold keeps; None: it can be told."""
        if self.unreadable:
            numbers = ", ".join(map(str, self.unreadable))
            return (
                f"legal hold {numbers} is of a subject that this map does not know: nobody can tell which "
                "rows it keeps: use the map that it was placed with, or release it"
            )
        if any(_by_other_names(of_kind, table, set()) for of_kind in self.rowless):
            return (
                "a subject under a legal hold has no row any more, and rows here belong by more than a key: "
                "nobody can tell which of them the hold keeps: release the hold, or leave the term out"
            )
        return None


@dataclass
class Holds:
    """The holds of one ops database on subjects of ``stanza``; ``ops`` is in autocommit mode.

    ``ops`` None: no ops database is asked, and nobody is held.
    """

    ops: Connection | None
    product: Connection
    data_map: DataMap
    catalogue: Catalogue
    stanza: str
    _known: HeldSubjects = field(default_factory=HeldSubjects)

    @contextmanager
    def fenced(self) -> Iterator[HeldSubjects]:
        """Keep holds from being placed during the block, which is told who is held now."""
        if self.ops is None:
            yield self._known
            return
        key = postgres.lock_key(legal_holds.fence(self.stanza))
        self.ops.execute("SELECT pg_advisory_lock(%s)", (key,))
        try:
            yield self.now()
        finally:
            postgres.unlock_quietly(self.ops, legal_holds.fence(self.stanza))

    def now(self) -> HeldSubjects:
        """Read who is held; the identifiers are read again only when the holds have changed."""
        if self.ops is None:
            return self._known
        held = legal_holds.keys(self.ops, self.stanza)
        if frozenset(held) != self._known.holds:
            self._known = self._read(held)
        return self._known

    def _read(self, held: dict[int, tuple[str, str]]) -> HeldSubjects:
        identities, rowless, unreadable = list[Held](), list[DataMap](), list[int]()
        for number, (kind, key) in held.items():
            of_kind = kinds.find(self.data_map, kind)
            if of_kind is None:
                unreadable.append(number)
                continue
            try:
                parsed = subject_key.parse(self.product, of_kind, self.catalogue, self.stanza, key)
                values = subject_key.values(self.product, of_kind.subject, parsed)
            except ConfigurationError:
                unreadable.append(number)
                continue
            identity = row_predicates.identity(self.product, of_kind, self.catalogue, key)
            if identity is None:
                identity = row_predicates.with_side_tables(self.product, of_kind, self.catalogue, values)
                rowless.append(of_kind)
            identities.append(Held(of_kind, identity))
        return HeldSubjects(frozenset(held), tuple(identities), tuple(rowless), tuple(unreadable))


def _by_other_names(data_map: DataMap, name: Name, seen: Collection[Name]) -> bool:
    """Tell whether rows of a table belong to a subject by anything beside the key, also through others."""
    table, key = data_map.tables.get(name), set(data_map.subject.key)
    if table is None or name in seen:
        return False
    for belonging in table.belongings:
        way = belonging.way
        if isinstance(way, ByMention):
            continue
        if isinstance(way, ByParent):
            if _by_other_names(data_map, way.table, {*seen, name}):
                return True
        elif not key <= set(holds_of(way)):
            return True
    return False
