"""A step of an erasure, and the state that the steps of an attempt share.

A step finds what an earlier attempt has done and adopts it: an attempt can be killed anywhere, and the next
one finishes.
"""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, ClassVar, Generic, TypeVar
from uuid import UUID

from ops_platform.clients.postgres import Connection
from ops_platform.gdpr.certificates import Issued
from ops_platform.gdpr.connections import OpenDatabase
from ops_platform.gdpr.data_map import DataMap
from ops_platform.gdpr.erasure import data_stores, inventory, product_inventory
from ops_platform.gdpr.erasure.checkpoints import Case, Checkpoints, LineageCheckpoints, Log
from ops_platform.gdpr.erasure.context import DataStores, ErasureContext
from ops_platform.gdpr.erasure.inventory import Inventory
from ops_platform.gdpr.lineage import Effect
from ops_platform.gdpr.row_erasure import (
    Foresight,
    Journal,
    Residue,
    RowErasure,
    Searched,
    exempt_places,
    others,
    preview,
    searching,
)
from ops_platform.gdpr.schema import Catalogue
from ops_platform.gdpr.subject import Identity, SubjectKey, name_reuse, other_kinds
from ops_platform.gdpr.tombstones import Tombstone, sealed_identities

EndRequest = Callable[[Connection, Issued], None]
"""Ends the request, in the transaction that ends the erasure."""
_REUSED = (
    "somebody else has it now: not looked for in what is theirs, in newer rows and in materialised views"
)
_OF_OTHER_KINDS = "a person of another kind has it: not looked for in what is theirs"


@dataclass(repr=False)
class JointResults:
    """What searches for several subjects at once have found of one, by the name of the database.

    They stand for a search of this subject alone only where that would be for the same erasure.
    """

    foresights: dict[str, tuple[RowErasure, Foresight]] = field(default_factory=dict)
    searches: dict[str, tuple[RowErasure, Searched]] = field(default_factory=dict)

    def foresight(self, database: str, erasure: RowErasure) -> Foresight | None:
        """Return what the erasure would leave; None: nobody looked for just that."""
        wanted, foresight = self.foresights.get(database, (None, None))
        return foresight if wanted == erasure else None

    def clean_search(self, database: str, erasure: RowErasure) -> Searched | None:
        """Return a search that found nothing but what is accepted; what else is found is looked at alone."""
        wanted, searched = self.searches.get(database, (None, None))
        return searched if wanted == erasure and searched is not None and not searched.left else None


@dataclass(repr=False)
class ErasureState(ABC):
    """The state that the steps of one attempt share. It holds who the subject is, and is never printed.

    ``catalogue``, ``databases``, ``subject`` and ``inventory`` are set by the first steps; reading one before
    that raises AttributeError. ``databases``: all of the subject's, that of ``product`` first.
    ``connections``: to the others, by name.
    """

    stores: DataStores
    product: Connection
    """An autocommit connection."""
    checkpoints: Checkpoints
    log: Log
    connections: Mapping[str, Connection] = field(init=False, default_factory=dict)
    databases: tuple[OpenDatabase, ...] = field(init=False)
    catalogue: Catalogue = field(init=False)
    subject: SubjectKey = field(init=False)
    inventory: Inventory = field(init=False)
    accepted: Mapping[str, tuple[Residue, ...]] = field(init=False, default_factory=dict)
    """Where the verification found the subject by the map's leave, by the name of the database."""
    joint: JointResults = field(init=False, default_factory=JointResults)

    def check(self) -> None:
        """Set the databases and the catalogue of the first, once in an attempt: see ``data_stores.check``."""
        if not self._checked:
            self.databases = data_stores.check(self.product, self.stores, self.connections)
            self.catalogue, self._checked = self.databases[0].catalogue, True

    _checked: bool = field(init=False, default=False)

    def row_erasure_in(self, database: OpenDatabase) -> RowErasure:
        """Describe the erasure of the rows of one database."""
        return replace(self.row_erasure(), home=database.home)

    def about_others(self) -> dict[str, Any]:
        """Say how others' rows were told apart, and what became of rows that were theirs, too."""
        row_erasure = self.row_erasure()
        told, shared = list[Mapping[str, Any]](), list[dict[str, Any]]()
        for database in self.databases:
            place = database.data_map.place
            journal = Journal(database.connection, row_erasure.erasure_id)
            told.append(others.told_apart(database.data_map, database.catalogue))
            shared += [{**rows, "table": place(rows["table"])} for rows in others.Register(journal).summary()]
        maps = [database.data_map for database in self.databases]
        with searching(self.product):
            # A map of several databases has one kind of subject.
            left = exempt_places.of_other_kinds(
                self.product, self.data_map, self.catalogue, row_erasure.identities
            )
        told_apart = {
            **others.join_told(maps, told),
            **({"left_to_other_kinds": left} if left else {}),
        }
        return {"others_told_apart": told_apart, "shared_with_others": shared}

    @property
    def data_map(self) -> DataMap:
        """The map of ``stores``."""
        return self.stores.data_map

    @abstractmethod
    def row_erasure(self) -> RowErasure:
        """Describe the erasure of the rows, as far as it is known by now."""

    @abstractmethod
    def refresh_inventory(self) -> None:
        """Add the subject's present identifiers to ``inventory``: they may have changed since."""

    def reused_names(self) -> list[str]:
        """Return the columns of the identifiers whose values somebody else has now."""
        row_erasure = self.row_erasure()
        others = self._successors(row_erasure)
        return sorted(
            {
                name
                for identity in row_erasure.identities
                for name in name_reuse.reused_names(self.data_map, identity, others)
            }
        )

    def not_searched(self) -> dict[str, str]:
        """Say for which identifiers the residue scan does not look, or not everywhere, and why."""
        identities = self.row_erasure().identities
        reasons = preview.not_searched(self.data_map, *identities)
        of_other_kinds = {
            name
            for identity in identities
            for theirs in other_kinds.find(self.product, self.data_map, self.catalogue, identity)
            for name in (*identity.values, *identity.known_by)
            if theirs.value in identity.of(name) and name not in self.data_map.subject.parts
        }
        for names, reason in ((self.reused_names(), _REUSED), (sorted(of_other_kinds), _OF_OTHER_KINDS)):
            for name in names:
                reasons[name] = ", or ".join(filter(None, (reasons.get(name), reason)))
        return dict(sorted(reasons.items()))

    def current_inventory(self) -> Inventory:
        """Return the inventory, with the places marked that somebody else has now, as the database is."""
        row_erasure = self.row_erasure()
        cutoff = row_erasure.times.cutoff
        return inventory.mark_reused(self.inventory, self._successors(row_erasure), cutoff)

    def _successors(self, row_erasure: RowErasure) -> tuple[Identity, ...]:
        """Find the people who have a name of the subject's now."""
        return tuple(
            other
            for identity in row_erasure.identities
            for other in name_reuse.successors(
                self.product, self.data_map, self.catalogue, identity, row_erasure.times.cutoff
            )
        )


@dataclass(repr=False)
class RecordedErasure(ErasureState):
    """An erasure that the ops database records, with tombstone and certificate."""

    checkpoints: LineageCheckpoints
    context: ErasureContext
    ops: Connection
    """An autocommit connection."""
    case: Case
    end_request: EndRequest
    foreseen: tuple[Inventory, bool] | None = field(init=False, default=None)
    """Whom the preflight found, and whether by the subject's row, which may go before it is written down."""
    tombstone: Tombstone = field(init=False)
    certificate: Issued = field(init=False)

    @functools.cached_property
    def began(self) -> datetime:
        """When this attempt first looked for the subject's rows."""
        return self.context.clock()

    @property
    def subject_id(self) -> UUID | None:
        """The key, by which requests and exports name their subject; None where they cannot."""
        return self.subject.creator

    def identify(self) -> tuple[Identity, bool]:
        """Find the identifiers of the key now, and whether the subject has a row. Raises CheckFailed."""
        return data_stores.identify(
            self.product, self.data_map, self.catalogue, self.subject, self.case.email
        )

    def row_erasure(self) -> RowErasure:
        """Describe the erasure of the rows; its cutoff is the time of the tombstone."""
        return self.erasure_of_rows(self.inventory, self.tombstone.erased_at)

    def erasure_of_rows(self, known: Inventory, cutoff: datetime) -> RowErasure:
        """Describe the erasure of the rows of ``known``."""
        return RowErasure(
            self.case.request_id,
            known.identity,
            cutoff,
            later_identities=known.later_identities,
            named_until=known.until,
            first_erasure=self.checkpoints.first_erasure(),
        )

    def present(self, identity: Identity, cutoff: datetime, *, has_row: bool) -> Inventory:
        """Take the inventory of ``identity``; without a row it holds what is known from the request."""
        # Where the product has deleted the row by itself, the address was theirs when they confirmed.
        until = cutoff if has_row else self.case.confirmed_at or cutoff
        return replace(inventory.take(self.data_map, identity), until=until)

    def known(self) -> Inventory | None:
        """Read what earlier attempts wrote down, in either database; None when there was none."""
        known = None
        for request_id in (self.case.request_id, *self.unfinished()):
            for earlier in self.stored(request_id):
                known = inventory.merge(known, earlier, sure=True)
        return known

    def stored(self, request_id: str) -> list[Inventory]:
        """Read what the databases have of a request's erasure, beside the tombstone too."""
        keys = self.context.keys
        stored = (
            inventory.find(self.ops, keys, request_id),
            product_inventory.find_anywhere(self.databases, keys, request_id),
            # Where both were restored to before the erasure, the ledger alone knew whom it is about.
            self._sealed_identity(request_id),
        )
        return [found for found in stored if found is not None]

    def refresh_inventory(self) -> None:
        """Add the subject's present identifiers to the stored inventory, in both databases."""
        identity, has_row = self.identify()
        present = self.present(identity, self.tombstone.erased_at, has_row=has_row)
        keys, request_id = self.context.keys, self.case.request_id
        with self.ops.transaction():
            if self.foreseen is not None and self.foreseen[0].identity != identity:
                inventory.keep(self.ops, keys, request_id, self.foreseen[0], sure=self.foreseen[1])
            self.inventory = inventory.keep(self.ops, keys, request_id, present, sure=has_row)
        product_inventory.keep_everywhere(self.databases, keys, request_id, self.inventory)

    def remember_identity(self, until: datetime) -> None:
        """Keep who the subject is, sealed, for replays after a restore; locked ``until``."""
        keys, request_id = self.context.keys, self.case.request_id
        stored, known = sealed_identities.find(self.ops, request_id), self._sealed_identity(request_id)
        # Never less than before: the newest is the one that replays read.
        all_known = inventory.merge(known, self.inventory, sure=True)
        if stored is None or all_known != known:
            stored = inventory.write(all_known, keys, request_id)
        sealed_identities.keep(self.ops, self.context.ledger, keys, self.tombstone, stored, until)

    def _sealed_identity(self, request_id: str) -> Inventory | None:
        """Read the identity that is kept with the tombstone of a request; None when there is none."""
        sealed = sealed_identities.find(self.ops, request_id)
        return None if sealed is None else inventory.read(sealed, self.context.keys, request_id)

    def unfinished(self) -> list[str]:
        """Find the other erasures of this subject that were not completed, by their requests."""
        if self.subject_id is None:
            return []
        rows = self.ops.execute(
            "SELECT request_id FROM gdpr_requests WHERE creator_id = %s AND request_id <> %s "
            "AND request_type = 'erasure' AND NOT (status = 'completed' OR verified_at IS NULL) ORDER BY id",
            (self.subject_id, self.case.request_id),
        )
        return [row["request_id"] for row in rows]


State = TypeVar("State", bound=ErasureState, contravariant=True)


@dataclass(frozen=True)
class Result:
    """The effects and details of a step, as its lineage records them."""

    effects: Sequence[Effect] = ()
    details: Mapping[str, Any] = field(default_factory=dict)


class Step(ABC, Generic[State]):
    """One step. ``name`` is its name in lineage and in the request's progress."""

    name: ClassVar[str]
    once: ClassVar[bool] = False
    """Later attempts pass over the step once it is done: the verification finds what appears after it."""

    def is_over(self, state: State) -> bool:
        """Tell whether this attempt has nothing to do in this step."""
        return self.once and self.name in state.checkpoints.done

    def searches_for(self, state: State) -> RowErasure | None:
        """Describe the erasure whose outcome the step will search for; None: it searches for none.

        Writes nothing. Raises what the step would.
        """
        return None

    @abstractmethod
    def perform(self, state: State) -> Result:
        """Carry out the step, or adopt what an earlier attempt did of it. An exception ends the attempt."""

    def adopt(self, state: State) -> None:
        """Set in ``state`` what later steps need from this one, when it is passed over."""
