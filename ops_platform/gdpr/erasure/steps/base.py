"""Define a step of an erasure and the one value that the steps of an attempt share.

A step finds what an earlier attempt has done and adopts it: whoever is killed anywhere is followed by an
attempt that finishes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Generic, TypeVar
from uuid import UUID

from ops_platform.clients.postgres import Connection
from ops_platform.gdpr.certificates import Issued
from ops_platform.gdpr.data_map import DataMap
from ops_platform.gdpr.erasure import data_stores, inventory
from ops_platform.gdpr.erasure.checkpoints import Case, Checkpoints, LineageCheckpoints, Log
from ops_platform.gdpr.erasure.context import DataStores, ErasureContext
from ops_platform.gdpr.erasure.inventory import Inventory
from ops_platform.gdpr.lineage import Effect
from ops_platform.gdpr.row_erasure import Erasing
from ops_platform.gdpr.schema import Catalogue
from ops_platform.gdpr.subject import Identity, SubjectKey, name_reuse
from ops_platform.gdpr.tombstones import Tombstone

EndRequest = Callable[[Connection, Issued], None]
"""What ends the request, in the transaction that ends the erasure."""


@dataclass(repr=False)
class ErasureState(ABC):
    """What the steps of one attempt share. It holds who the subject is and is never printed.

    ``catalogue``, ``subject`` and ``inventory`` are set by the first steps; reading one before that raises
    AttributeError.
    """

    stores: DataStores
    product: Connection
    """An autocommit connection."""
    checkpoints: Checkpoints
    log: Log
    catalogue: Catalogue = field(init=False)
    subject: SubjectKey = field(init=False)
    inventory: Inventory = field(init=False)

    @property
    def data_map(self) -> DataMap:
        return self.stores.data_map

    @abstractmethod
    def erasing(self) -> Erasing:
        """Say whose rows are erased, and which are somebody else's, as is known by now."""

    @abstractmethod
    def look_again(self) -> None:
        """Add to ``inventory`` what the subject is called now: they may have changed that since."""

    def names_taken(self) -> list[str]:
        """Name the identifiers, by their columns, whose values somebody else has now."""
        what = self.erasing()
        found = self._others(what)
        return sorted({name for who in what.names for name in name_reuse.taken(self.data_map, who, found)})

    def inventory_apart(self) -> Inventory:
        """Tell places apart in the inventory that are somebody else's now, as the database is."""
        what = self.erasing()
        return inventory.apart(self.inventory, self._others(what), what.times.cutoff)

    def _others(self, what: Erasing) -> tuple[Identity, ...]:
        """Find who has a name of the subject's now."""
        return tuple(
            other
            for who in what.names
            for other in name_reuse.successors(self.product, self.data_map, who, what.times.cutoff)
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
    tombstone: Tombstone = field(init=False)
    certificate: Issued = field(init=False)

    @property
    def subject_id(self) -> UUID | None:
        """The key as requests and exports name their subject; None where keys are no UUIDs."""
        return UUID(self.subject.key) if self.subject.key_type == "uuid" else None

    def identify(self) -> tuple[Identity, bool]:
        """Find who the key stands for now, and whether there is a row that says so. Raises CheckFailed."""
        return data_stores.identify(
            self.product, self.data_map, self.catalogue, self.subject, self.case.email
        )

    def erasing(self) -> Erasing:
        return Erasing(
            self.case.request_id,
            self.inventory.who,
            self.tombstone.erased_at,
            also=self.inventory.also,
            named_until=self.inventory.until,
            gone=self.checkpoints.gone(),
        )

    def look_again(self) -> None:
        who, there = self.identify()
        # Whose row the product deleted by itself had their address when they confirmed the request.
        erased_at = self.tombstone.erased_at
        until = erased_at if there else self.case.confirmed_at or erased_at
        taken = replace(inventory.take(self.data_map, who), until=until)
        with self.ops.transaction():
            self.inventory = inventory.keep(
                self.ops, self.context.keys, self.case.request_id, taken, sure=there
            )

    def unfinished(self) -> list[str]:
        """Find other erasures of this subject that left an inventory, by their requests."""
        if self.subject_id is None:
            return []
        rows = self.ops.execute(
            "SELECT r.request_id FROM gdpr_requests AS r JOIN gdpr_inventories AS i USING (request_id) "
            "WHERE r.creator_id = %s AND r.request_id <> %s ORDER BY r.id",
            (self.subject_id, self.case.request_id),
        )
        return [row["request_id"] for row in rows]


State = TypeVar("State", bound=ErasureState, contravariant=True)


@dataclass(frozen=True)
class Result:
    """What a step did, as its lineage records it."""

    effects: Sequence[Effect] = ()
    details: Mapping[str, Any] = field(default_factory=dict)


class Step(ABC, Generic[State]):
    """One step. ``name`` is what lineage and the request's progress call it."""

    name: ClassVar[str]
    once: ClassVar[bool] = False
    """Done by one attempt, passed over by later ones: what comes after it, the verification finds."""

    def is_over(self, state: State) -> bool:
        """Whether this attempt has nothing to do here."""
        return self.once and self.name in state.checkpoints.done

    @abstractmethod
    def perform(self, state: State) -> Result:
        """Do it, or adopt what an earlier attempt has done of it. What it raises ends the attempt."""

    def adopt(self, state: State) -> None:
        """Set in ``state`` what later steps need of this one, when it is over."""
