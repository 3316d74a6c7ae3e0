"""The checks, searches and erasures in a subject's data stores, the same with and without a request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import psycopg

from ops_platform.clients.postgres import Connection
from ops_platform.errors import CheckFailed, ConfigurationError
from ops_platform.gdpr import connections, map_check, schema
from ops_platform.gdpr.connections import OpenDatabase
from ops_platform.gdpr.data_map import DataMap
from ops_platform.gdpr.erasure import objects as object_erasure
from ops_platform.gdpr.erasure.checkpoints import Log
from ops_platform.gdpr.erasure.context import DataStores
from ops_platform.gdpr.erasure.inventory import Inventory
from ops_platform.gdpr.lineage import Effect
from ops_platform.gdpr.row_erasure import plan
from ops_platform.gdpr.schema import Catalogue
from ops_platform.gdpr.subject import Identity, SubjectKey, row_predicates, shared_prefix_guard, subject_key


def check(
    product: Connection, stores: DataStores, elsewhere: Mapping[str, Connection]
) -> tuple[OpenDatabase, ...]:
    """Read the catalogues, and check that the map fits them and that all needed stores answer.

    ``elsewhere``: connections to the map's other databases, by name. Returns the databases, the home database
    first. Changes nothing. Raises CheckFailed, ConfigurationError or Unavailable, before anything is
    destroyed.
    """
    home = OpenDatabase(stores.data_map, product, schema.read(product))
    databases = connections.read(home, elsewhere)
    for database in databases:
        with database.named():
            _check_database(database)
    for store in stores.stores.values():
        store.check()
    if stores.cache is not None:
        stores.cache.ping()
    return databases


def _check_database(database: OpenDatabase) -> None:
    connection = database.connection
    row = connection.execute(
        "SELECT FROM pg_attribute "
        "WHERE attrelid = to_regclass('ops_platform.erasures') AND attname = 'identity'"
    ).fetchone()
    if row is None:
        raise ConfigurationError(
            "the product database lacks the platform's tables for erasures: run 'ops-platform migrate'"
            + (" with OPS_PRODUCT_OWNER_DATABASE_URL set to its owner's URL" if database.name else "")
        )
    # Documents are sampled with a server-side cursor, which needs a transaction.
    with connection.transaction():
        findings = map_check.check_database(database)
    if findings:
        raise CheckFailed(
            f"the map does not fit the database, {len(findings)} findings, the first: {findings[0]}: "
            "correct the map until 'ops-platform gdpr map check' finds nothing"
        )
    plan.plan(database.data_map, database.catalogue)


def identify(
    product: Connection, data_map: DataMap, catalogue: Catalogue, subject: SubjectKey, email: str | None
) -> tuple[Identity, bool]:
    """Find the identifiers of the key, and whether the subject has a row; without one: key and ``email``.

    Without a row nothing says that ``email`` is still the subject's: see ``subject.name_reuse``. Raises
    CheckFailed when their names lead to what is somebody else's.
    """
    identity = row_predicates.identity(product, data_map, catalogue, subject.key)
    if identity is not None:
        shared_prefix_guard.refuse_shared(product, data_map, identity)
        return identity, True
    values = subject_key.values(product, data_map.subject, subject)
    told = Identity({})
    if email and _can_hold(product, email):
        if data_map.subject.address[0] == data_map.subject.table:
            values[data_map.subject.email] = email
        else:
            told = Identity({}, {data_map.subject.email: (email,)})
    return row_predicates.with_side_tables(product, data_map, catalogue, values) | told, False


def _can_hold(product: Connection, text: str) -> bool:
    """Tell whether the database's encoding has all characters of a text: another is in none of its rows."""
    try:
        with product.transaction():
            product.execute("SELECT CAST(%s AS text)", (text,))
    except psycopg.errors.UntranslatableCharacter:
        return False
    return True


def objects_and_keys(stores: DataStores, inventory: Inventory) -> list[Effect]:
    """Count the subject's objects by place and keys by pattern, without empty ones."""
    effects = object_erasure.remaining(stores.stores, inventory)
    if stores.cache is not None:
        # redis takes long to import, and definitions load without it
        from ops_platform.gdpr.erasure import cache as cache_erasure

        effects += cache_erasure.remaining(stores.cache, inventory)
    return effects


def erase_objects(stores: DataStores, inventory: Inventory, log: Log) -> list[Effect]:
    """Remove the subject's objects from every bucket; see ``object_erasure.erase`` for what it raises."""
    return object_erasure.erase(
        stores.stores, inventory, lambda place, done: log(f"{place}: {done} versions and uploads gone")
    )


def erase_keys(stores: DataStores, inventory: Inventory, *, shared: bool = True) -> list[Effect]:
    """Unlink the subject's keys in the cache. ``shared``: also keys of names that somebody else has now."""
    if stores.cache is None:
        return []
    from ops_platform.gdpr.erasure import cache as cache_erasure

    cache_places = tuple(place for place in inventory.cache if shared or not place.shared)
    return cache_erasure.erase(stores.cache, replace(inventory, cache=cache_places))


def places(effects: Sequence[Effect]) -> str:
    """List the places of ``effects`` for a message, each place once."""
    return ", ".join(dict.fromkeys(effect.place for effect in effects))
