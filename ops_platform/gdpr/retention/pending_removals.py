"""What is to be removed outside of subjects whose rows went: sealed, in the product database's journal.

It is committed with the deletion of the rows that say it, and removed after that: whoever is killed in
between leaves it to the next run. Each subject has a journal of their own, of random id.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from uuid import uuid4

from ops_platform.clients.postgres import Connection, one_row
from ops_platform.gdpr.data_map import DataMap, kinds
from ops_platform.gdpr.erasure import inventory
from ops_platform.gdpr.erasure.inventory import CachePlace, Inventory, ObjectPlace
from ops_platform.gdpr.row_erasure import Journal
from ops_platform.gdpr.subject import Identity, placeholders
from ops_platform.gdpr.tombstones import SealingKeys

ROLE = "retention"
"""What stands for the role in the journal."""
_NAMED = "expired-"
"""Not as runs are: each run forgets the journals of those before it."""
_STORE_PRECISION = timedelta(seconds=1)
"""Object stores give times of writing in whole seconds, rounded down."""
Removed = Mapping[tuple[str, str, str], int]
"""What was removed, by step of the run's journal."""


@dataclass(frozen=True)
class PendingRemovals:
    """Those in one product database. ``keys``: None where no encryption key is configured."""

    product: Connection
    keys: SealingKeys | None

    def keep(self, data_map: DataMap, identities: Iterable[Identity]) -> None:
        """Write down what these subjects have outside, in the caller's transaction, which takes their rows.

        Its commit waits for the disk.
        """
        until = one_row(self.product, "SELECT now() AS now")["now"]
        for identity in identities:
            taken = replace(inventory.take(data_map, identity), until=until)
            if taken.objects or taken.cache:
                of_one = f"{_NAMED}{uuid4()}"
                Journal(self.product, of_one).keep_identity(
                    inventory.write(taken, self.keys, of_one), data_map.version
                )

    def waiting(self) -> list[str]:
        """List the journals of what is not removed yet, the oldest first."""
        rows = self.product.execute(
            "SELECT erasure_id FROM ops_platform.erasures WHERE starts_with(erasure_id, %s) "
            "ORDER BY started_at, erasure_id",
            (_NAMED,),
        )
        return [row["erasure_id"] for row in rows]

    def read(self, of_one: str, data_map: DataMap) -> Inventory:
        """Read what is to be removed; with the names that somebody else may have by now marked.

        Raises CheckFailed where it was changed, ConfigurationError where its key is missing.
        """
        written = Journal(self.product, of_one).identity()
        return marked(inventory.read(written or b"", self.keys, of_one), data_map)

    def note(self, of_one: str, found: Removed) -> None:
        """Note what is there, before it is removed: after a kill nobody could count it."""
        with self.product.transaction():
            for step, number in found.items():
                Journal(self.product, of_one).record_found(step, number)

    def finish(self, of_one: str, removed: Removed, of_run: Journal) -> None:
        """Count what was there, and is removed, in the journal of the run, and forget whose it was."""
        own = Journal(self.product, of_one)
        with self.product.transaction():
            noted = {step: step_noted.before for step, step_noted in own.steps().items()}
            for step in dict.fromkeys((*noted, *removed)):
                number = max(noted.get(step, 0), removed.get(step, 0))
                of_run.record_found(step, number)
                of_run.record_changed(step, number, 0, {})
            own.forget()


def marked(taken: Inventory, data_map: DataMap) -> Inventory:
    """Mark the places that are not named by the key: the name was free as soon as the row was gone."""
    of_kind = kinds.find(data_map, taken.kind)
    key = set() if of_kind is None else set(of_kind.subject.key)

    def by_key(place: ObjectPlace | CachePlace) -> bool:
        return bool(key) and key <= set(placeholders(place.template))

    if taken.until is None:
        return taken
    until = taken.until - _STORE_PRECISION
    return replace(
        taken,
        objects=tuple(place if by_key(place) else replace(place, until=until) for place in taken.objects),
        cache=tuple(replace(place, shared=not by_key(place)) for place in taken.cache),
    )
