"""The parts of an erasure that change or count a subject's data, the same with a request and without one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from ops_platform.clients.postgres import Connection
from ops_platform.errors import CheckFailed, ConfigurationError
from ops_platform.gdpr import map_check, row_erasure, schema
from ops_platform.gdpr.data_map import DataMap
from ops_platform.gdpr.erasure import inventory
from ops_platform.gdpr.erasure import objects as object_erasure
from ops_platform.gdpr.erasure.context import DataStores
from ops_platform.gdpr.erasure.inventory import Inventory
from ops_platform.gdpr.lineage import Effect
from ops_platform.gdpr.row_erasure import Erasing, Journal, plan, preview
from ops_platform.gdpr.schema import Catalogue
from ops_platform.gdpr.subject import (
    Identity,
    SubjectKey,
    name_reuse,
    row_predicates,
    shared_prefix_guard,
    subject_key,
)

Log = Callable[[str], None]


def check(product: Connection, stores: DataStores) -> Catalogue:
    """What there is, when the map fits it and everything that will be needed answers; nothing is changed.

    Raises CheckFailed, ConfigurationError or Unavailable, before anything is destroyed.
    """
    row = product.execute("SELECT to_regclass('ops_platform.erasure_steps') AS there").fetchone()
    if row is None or row["there"] is None:
        raise ConfigurationError(
            "the product database lacks the platform's tables for erasures: run 'ops-platform migrate'"
        )
    # Documents are sampled with a server-side cursor, which wants a transaction.
    with product.transaction():
        findings = map_check.check(product, stores.data_map)
    if findings:
        raise CheckFailed(
            f"the map does not fit the database, {len(findings)} findings, the first: {findings[0]}: "
            "correct the map until 'ops-platform gdpr map check' finds nothing"
        )
    found = schema.read(product)
    plan.plan(stores.data_map, found)
    for store in stores.stores.values():
        store.check()
    if stores.cache is not None:
        stores.cache.ping()
    return found


def identify(
    product: Connection, data_map: DataMap, found: Catalogue, of: SubjectKey, email: str | None
) -> tuple[Identity, bool]:
    """Who the key stands for, and whether there is a row that says so; else what is known without one.

    Without a row nothing says that ``email`` is still the subject's: see ``sparing``. Raises CheckFailed
    when their names lead to what is somebody else's.
    """
    who = row_predicates.identity(product, data_map, found, of.key)
    if who is not None:
        shared_prefix_guard.refuse_shared(product, data_map, who)
        return who, True
    values: dict[str, Any] = {data_map.subject.key: subject_key.value(product, of)}
    if email:
        values[data_map.subject.email] = email
    return Identity(values), False


def counts(product: Connection, data_map: DataMap, found: Catalogue, who: Identity) -> dict[str, int]:
    """Rows by ``table/role`` before anything is done; those that are none are left out."""
    shares = preview.preview(product, data_map, found, who)
    return {f"{one.table}/{one.role}": one.rows for one in shares if one.rows}


def objects_and_keys(stores: DataStores, taken: Inventory) -> list[Effect]:
    """Places of objects and patterns of keys that hold something of the subject's now."""
    found = object_erasure.remaining(stores.stores, taken)
    if stores.cache is not None:
        # redis takes long to import, and definitions load without
        from ops_platform.gdpr.erasure import cache as cache_erasure

        found += cache_erasure.remaining(stores.cache, taken)
    return found


def objects(stores: DataStores, taken: Inventory, log: Log) -> list[Effect]:
    return object_erasure.erase(
        stores.stores, taken, lambda place, done: log(f"{place}: {done} versions and uploads gone")
    )


def rows(product: Connection, data_map: DataMap, found: Catalogue, what: Erasing, log: Log) -> list[Effect]:
    return row_erasure.erase(
        product, data_map, found, what, progress=lambda place, done: log(f"{place}: {done} rows changed")
    )


def keys(stores: DataStores, taken: Inventory, *, shared: bool = True) -> list[Effect]:
    """``shared``: also keys of names that somebody else has now."""
    if stores.cache is None:
        return []
    from ops_platform.gdpr.erasure import cache as cache_erasure

    wanted = tuple(one for one in taken.cache if shared or not one.shared)
    return cache_erasure.erase(stores.cache, replace(taken, cache=wanted))


def others(product: Connection, data_map: DataMap, what: Erasing) -> tuple[Identity, ...]:
    """Who has a name of the subject's now."""
    return tuple(
        one for who in what.names for one in name_reuse.successors(product, data_map, who, what.times.cutoff)
    )


def names_taken(product: Connection, data_map: DataMap, what: Erasing) -> list[str]:
    """Identifiers, by the names of their columns, whose values somebody else has now."""
    found = others(product, data_map, what)
    return sorted({name for who in what.names for name in name_reuse.taken(data_map, who, found)})


def apart(product: Connection, data_map: DataMap, what: Erasing, taken: Inventory) -> Inventory:
    """The inventory with places told apart that are somebody else's now, as the database is."""
    return inventory.apart(taken, others(product, data_map, what), what.times.cutoff)


def left(
    product: Connection, stores: DataStores, found: Catalogue, what: Erasing, taken: Inventory
) -> list[Effect]:
    """Whatever the map names and is still there."""
    return [
        *row_erasure.remaining(product, stores.data_map, found, what),
        *objects_and_keys(stores, apart(product, stores.data_map, what, taken)),
    ]


def refuse_residue(product: Connection, data_map: DataMap, found: Catalogue, what: Erasing) -> None:
    """Raises CheckFailed that names the columns where an identifier of the subject still stands."""
    residue = row_erasure.residue(product, data_map, found, what)
    if residue:
        places = ", ".join(f"{one.table}.{one.column} ({one.rows} rows)" for one in residue)
        taken = names_taken(product, data_map, what)
        if taken:
            raise CheckFailed(
                f"the subject is still named in {places}, or another {data_map.subject.kind} who has their "
                f"{' and '.join(taken)} now, which nothing tells: look at these rows, and take the name out "
                "where it is the subject's, or until the erasure is complete; then re-execute the run"
            )
        raise CheckFailed(
            f"the subject is still named in {places}, which the map does not say: add it to the data map, "
            "then re-execute the run"
        )


def proof(product: Connection, erasure_id: str) -> list[dict[str, Any]]:
    """Of each step that changed rows: what was compared to show that nobody else's changed."""
    return [
        {**noted.control, "table": table, "role": role, "action": action, "changed": noted.changed}
        for (table, role, action), noted in Journal(product, erasure_id).steps().items()
        if noted.changed
    ]


def places(effects: Sequence[Effect]) -> str:
    """For messages: where something is, each place once."""
    return ", ".join(dict.fromkeys(one.place for one in effects))
