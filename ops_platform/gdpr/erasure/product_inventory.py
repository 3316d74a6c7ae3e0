"""The inventory in the product database, beside the journal of the rows: it lasts until the verification.

Without an ops database it is the only one. With one it is the second: each database may be restored to a
moment when it knew less, and no attempt may call the rest erased because of that.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from ops_platform.clients.postgres import Connection
from ops_platform.errors import CheckFailed
from ops_platform.gdpr.connections import OpenDatabase
from ops_platform.gdpr.data_map import Anonymise, Belonging, DataMap, Delete, Redact, Remove
from ops_platform.gdpr.erasure import inventory as inventories
from ops_platform.gdpr.erasure.inventory import Inventory
from ops_platform.gdpr.row_erasure import Journal
from ops_platform.gdpr.tombstones import SealingKeys


def find(product: Connection, keys: SealingKeys | None, erasure_id: str) -> Inventory | None:
    """Read the inventory; None when there is none. Raises CheckFailed and ConfigurationError."""
    written = Journal(product, erasure_id).identity()
    return None if written is None else inventories.read(written, keys, erasure_id)


def keep(
    product: Connection,
    keys: SealingKeys | None,
    erasure_id: str,
    inventory: Inventory,
    *,
    sure: bool = True,
) -> Inventory:
    """Store the inventory, merged with an earlier one; return what is stored.

    It is on the disk when this returns. ``keys``: None where no encryption key is configured; then the role
    that erases can read it. ``sure``: the identifiers come from the subject's own row.
    """
    stored = find(product, keys, erasure_id)
    merged = inventories.merge(stored, inventory, sure=sure)
    if merged != stored:
        written = inventories.write(merged, keys, erasure_id)
        Journal(product, erasure_id).keep_identity(written, merged.map_version)
    return merged


def find_anywhere(
    databases: Iterable[OpenDatabase], keys: SealingKeys | None, erasure_id: str
) -> Inventory | None:
    """Read the inventories of all databases, as one; None when there is none."""
    known = None
    for database in databases:
        with database.named():
            stored = find(database.connection, keys, erasure_id)
        known = known if stored is None else inventories.merge(known, stored, sure=True)
    return known


def keep_everywhere(
    databases: Iterable[OpenDatabase], keys: SealingKeys | None, erasure_id: str, inventory: Inventory
) -> Inventory:
    """Store the inventory in all databases, each merged with what was there; return all that is known."""
    for database in databases:
        with database.named():
            inventory = keep(database.connection, keys, erasure_id, inventory)
    return inventory


def refuse_lost(
    databases: Sequence[OpenDatabase], erasure_id: str, *, has_row: bool, name: str = "an erasure"
) -> None:
    """Raise CheckFailed where an erasure without an inventory has begun, and no row says who is meant.

    In any of ``databases``, the home database first. ``has_row``: whether the subject has a row; rules may
    have emptied it of identifiers, and side tables.
    ``name``: what the message calls the erasure.
    """
    data_map = databases[0].data_map
    if has_row and not data_map.subject.known_by and not _emptied(data_map):
        return
    if any(Journal(database.connection, erasure_id).is_begun() for database in databases):
        raise CheckFailed(
            f"{name} has begun, and who was meant is known no more but for the key: what "
            "names them otherwise cannot be looked for, so it is not called erased: see 'An erasure no "
            "longer knows whom it is about' in the runbook"
        )


def _emptied(data_map: DataMap) -> bool:
    """Tell whether rules change identifiers in the subject's row, rather than delete it always."""
    subject = data_map.subject
    table = data_map.tables.get(subject.table)
    return any(
        not set(subject.columns).isdisjoint(_changed(belonging))
        for belonging in (table.belongings if table else ())
    )


def _changed(belonging: Belonging) -> Collection[str]:
    """List the columns that a role changes in rows that stay."""
    erasure = belonging.erasure
    if isinstance(erasure, Anonymise):
        return erasure.columns
    if isinstance(erasure, Remove | Redact):
        return belonging.way.columns
    return erasure.otherwise or () if isinstance(erasure, Delete) else ()
