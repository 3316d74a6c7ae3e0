"""Check, erase and look through a subject's data stores, the same with a request and without one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ops_platform.clients.postgres import Connection
from ops_platform.errors import CheckFailed, ConfigurationError
from ops_platform.gdpr import map_check, schema
from ops_platform.gdpr.data_map import DataMap
from ops_platform.gdpr.erasure import objects as object_erasure
from ops_platform.gdpr.erasure.checkpoints import Log
from ops_platform.gdpr.erasure.context import DataStores
from ops_platform.gdpr.erasure.inventory import Inventory
from ops_platform.gdpr.lineage import Effect
from ops_platform.gdpr.row_erasure import plan
from ops_platform.gdpr.schema import Catalogue
from ops_platform.gdpr.subject import Identity, SubjectKey, row_predicates, shared_prefix_guard, subject_key


def check(product: Connection, stores: DataStores) -> Catalogue:
    """Read the catalogue, when the map fits it and everything that will be needed answers.

    Changes nothing. Raises CheckFailed, ConfigurationError or Unavailable, before anything is destroyed.
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
    """Find who the key stands for, and whether there is a row that says so; else what is known without one.

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


def objects_and_keys(stores: DataStores, taken: Inventory) -> list[Effect]:
    """Count what places of objects and patterns of keys hold of the subject's now, without empty ones."""
    found = object_erasure.remaining(stores.stores, taken)
    if stores.cache is not None:
        # redis takes long to import, and definitions load without
        from ops_platform.gdpr.erasure import cache as cache_erasure

        found += cache_erasure.remaining(stores.cache, taken)
    return found


def erase_objects(stores: DataStores, taken: Inventory, log: Log) -> list[Effect]:
    """Remove the subject's objects from every bucket; see ``object_erasure.erase`` for what it raises."""
    return object_erasure.erase(
        stores.stores, taken, lambda place, done: log(f"{place}: {done} versions and uploads gone")
    )


def erase_keys(stores: DataStores, taken: Inventory, *, shared: bool = True) -> list[Effect]:
    """Unlink the subject's keys in the cache. ``shared``: also keys of names that somebody else has now."""
    if stores.cache is None:
        return []
    from ops_platform.gdpr.erasure import cache as cache_erasure

    wanted = tuple(one for one in taken.cache if shared or not one.shared)
    return cache_erasure.erase(stores.cache, replace(taken, cache=wanted))


def places(effects: Sequence[Effect]) -> str:
    """Name for messages where something is, each place once."""
    return ", ".join(dict.fromkeys(one.place for one in effects))
