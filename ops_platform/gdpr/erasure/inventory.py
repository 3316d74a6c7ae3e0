"""The inventory: a subject's identifiers and places, sealed before anything is destroyed.

The rows that say it are among those erased; a retry reads it here. Deleted at completion.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar
from uuid import UUID

from ops_platform.clients.postgres import Connection
from ops_platform.errors import CheckFailed, ConfigurationError
from ops_platform.gdpr.data_map import DataMap
from ops_platform.gdpr.subject import Identity, fill_placeholders
from ops_platform.gdpr.tombstones import SealingKeys, encryption, sealed_identities

_STORE_PRECISION = timedelta(seconds=1)
"""Object stores give times of writing in whole seconds, rounded down."""
T = TypeVar("T")


@dataclass(frozen=True)
class ObjectPlace:
    """A prefix in a bucket, below which all is the subject's; ``template``: the prefix as the map writes it.

    ``until``: only what was written until then is theirs, since somebody else has the name now.
    """

    bucket: str
    prefix: str
    template: str
    until: datetime | None = None


@dataclass(frozen=True)
class CachePlace:
    """A pattern of keys: the parts with anything between them; ``template``: the pattern as in the map.

    ``shared``: somebody else has the name now, and a key does not say whose page it holds.
    """

    parts: tuple[str, ...]
    template: str
    shared: bool = False


@dataclass(frozen=True)
class Inventory:
    """The identifiers and places of one subject.

    ``map_version``: the newest map that places come from. ``later_identities``: other identifiers that the
    subject took while the erasure was under way: names can change until the row is gone. ``until``: up to
    then the names were the subject's for sure; None: it was not recorded.
    """

    map_version: str
    identity: Identity
    objects: tuple[ObjectPlace, ...]
    cache: tuple[CachePlace, ...]
    later_identities: tuple[Identity, ...] = ()
    until: datetime | None = None
    kind: str = ""
    """The kind of subject; empty in inventories of older versions of the platform."""

    @property
    def identities(self) -> tuple[Identity, ...]:
        """All identities of the subject."""
        return (self.identity, *self.later_identities)


def take(data_map: DataMap, identity: Identity) -> Inventory:
    """Take the inventory of a subject.

    Places whose template names an identifier that the subject lacks, or that is empty, are left out.
    """
    objects = [
        ObjectPlace(objects_entry.bucket, prefix, objects_entry.prefix)
        for objects_entry in data_map.objects
        if (prefix := fill_placeholders(objects_entry.prefix, identity)) is not None
    ]
    cache = [
        CachePlace(parts, cache_entry.pattern)
        for cache_entry in data_map.cache
        if (parts := _parts(cache_entry.pattern, identity)) is not None
    ]
    return Inventory(data_map.version, identity, tuple(objects), tuple(cache), kind=data_map.subject.kind)


def mark_reused(inventory: Inventory, others: Iterable[Identity], until: datetime) -> Inventory:
    """Mark the places that the map gives to one of ``others`` now. The result is not stored."""
    others = list(others)
    until -= _STORE_PRECISION  # an object that may be newer is not the subject's for sure

    def prefixes(place: ObjectPlace) -> list[str | None]:
        return [fill_placeholders(place.template, other) for other in others]

    def patterns(place: CachePlace) -> list[tuple[str, ...] | None]:
        return [_parts(place.template, other) for other in others]

    return replace(
        inventory,
        objects=tuple(
            replace(place, until=until) if place.prefix in prefixes(place) else place
            for place in inventory.objects
        ),
        cache=tuple(replace(place, shared=place.parts in patterns(place)) for place in inventory.cache),
    )


def keep(
    ops: Connection, keys: SealingKeys, request_id: str, inventory: Inventory, *, sure: bool = True
) -> Inventory:
    """Store the inventory, merged with an earlier one; return what is stored.

    ``sure``: the identifiers come from the subject's own row. In the caller's transaction: commit before
    anything is destroyed.
    """
    stored = _read(ops, keys, request_id, " FOR UPDATE")
    merged = merge(stored, inventory, sure=sure)
    if merged != stored:
        ops.execute(
            "INSERT INTO gdpr_inventories (request_id, sealed, key_id) VALUES (%s, %s, %s) "
            "ON CONFLICT (request_id) DO UPDATE SET sealed = excluded.sealed, key_id = excluded.key_id",
            (request_id, write(merged, keys, request_id), keys.key_id),
        )
    return merged


def merge(stored: Inventory | None, inventory: Inventory, *, sure: bool) -> Inventory:
    """Add ``inventory`` to what is stored. ``sure``: its identifiers come from the subject's own row.

    Raises CheckFailed when they are of different kinds of subject, whose keys may be equal.
    """
    if stored is None:
        return inventory
    if stored.kind and inventory.kind and stored.kind != inventory.kind:
        raise CheckFailed(
            f"this erasure was begun of a {stored.kind}, by the data map it is of a {inventory.kind}: let "
            "the map have both kinds, the one of the API's requests first"
        )
    first = inventory.identity | stored.identity
    later = [first | identity for identity in inventory.identities] if sure else []
    return Inventory(
        inventory.map_version,
        first,
        _union(stored.objects, inventory.objects),
        _union(stored.cache, inventory.cache),
        tuple(identity for identity in _distinct([*stored.later_identities, *later]) if identity != first),
        # Once the row is gone, the first time is the more certain one.
        stored.until if stored.until and not sure else _earlier(stored.until, inventory.until),
        inventory.kind or stored.kind,
    )


def find(ops: Connection, keys: SealingKeys, request_id: str) -> Inventory | None:
    """Read the inventory of a request; None when there is none.

    Raises CheckFailed when it was tampered with, ConfigurationError when its key is missing.
    """
    return _read(ops, keys, request_id, "")


def forget(ops: Connection, request_id: str) -> None:
    """Delete the inventory of a request, in the caller's transaction."""
    ops.execute("DELETE FROM gdpr_inventories WHERE request_id = %s", (request_id,))


def _read(ops: Connection, keys: SealingKeys, request_id: str, lock: str) -> Inventory | None:
    row = ops.execute(
        f"SELECT sealed FROM gdpr_inventories WHERE request_id = %s{lock}",  # noqa: S608
        (request_id,),
    ).fetchone()
    return None if row is None else read(bytes(row["sealed"]), keys, request_id)


def write(inventory: Inventory, keys: SealingKeys | None, erasure_id: str) -> bytes:
    """Write the inventory of an erasure, sealed where there are keys."""
    plain = _document(inventory)
    return plain if keys is None else keys.seal(plain, sealed_identities.purpose(erasure_id))


def read(written: bytes, keys: SealingKeys | None, erasure_id: str) -> Inventory:
    """Read what ``write`` wrote with the same keys, or none.

    Raises CheckFailed for what was changed, or is not sealed where there are keys: who can write that could
    name somebody else. Raises ConfigurationError for a key that is missing.
    """
    if written.startswith(b"{"):
        if keys is None:
            return _parse(written)
        raise CheckFailed(
            f"what is known of a begun erasure is not sealed: if it was begun without {encryption.NAME}, go "
            "on without until it is over; otherwise somebody has put it there: find out who, and delete it"
        )
    if keys is None:
        raise ConfigurationError(
            f"what is known of a begun erasure was sealed: set {encryption.NAME} to the key of then"
        )
    return _parse(keys.open(written, sealed_identities.purpose(erasure_id)))


def _union(first: Iterable[T], second: Iterable[T]) -> tuple[T, ...]:
    return tuple(dict.fromkeys([*first, *second]))


def _earlier(first: datetime | None, second: datetime | None) -> datetime | None:
    return min((moment for moment in (first, second) if moment is not None), default=None)


def _distinct(identities: Iterable[Identity]) -> list[Identity]:
    distinct: list[Identity] = []  # an Identity cannot be hashed
    for identity in identities:
        if identity not in distinct:
            distinct.append(identity)
    return distinct


def _parts(pattern: str, identity: Identity) -> tuple[str, ...] | None:
    parts = [fill_placeholders(part, identity) for part in pattern.split("*")]
    return None if None in parts else tuple(part for part in parts if part is not None)


def _document(inventory: Inventory) -> bytes:
    return json.dumps(
        {
            # An older version of the platform would not look for what it cannot read.
            "format": 2 if any(identity.known_by for identity in inventory.identities) else 1,
            "map_version": inventory.map_version,
            "kind": inventory.kind,
            "names": [
                {name: _with_type(value) for name, value in identity.values.items()}
                for identity in inventory.identities
            ],
            "known_by": [
                {name: [_with_type(value) for value in values] for name, values in identity.known_by.items()}
                for identity in inventory.identities
            ],
            "objects": [[place.bucket, place.prefix, place.template] for place in inventory.objects],
            "cache": [[list(place.parts), place.template] for place in inventory.cache],
            "until": inventory.until.isoformat() if inventory.until else None,
        }
    ).encode()


def _parse(plain: bytes) -> Inventory:
    document = json.loads(plain)
    if document.get("format") not in (1, 2):
        raise CheckFailed("an inventory was written by another version: finish its request with that one")
    # Inventories of older versions of the platform lack the side tables' identifiers.
    side_tables = document.get("known_by") or [{}] * len(document["names"])
    first, *later = (
        Identity(
            {name: _value(*value) for name, value in identifiers.items()},
            {name: tuple(_value(*value) for value in values) for name, values in known_by.items()},
        )
        for identifiers, known_by in zip(document["names"], side_tables, strict=True)
    )
    return Inventory(
        document["map_version"],
        first,
        tuple(ObjectPlace(*place) for place in document["objects"]),
        tuple(CachePlace(tuple(parts), shown) for parts, shown in document["cache"]),
        tuple(later),
        # Inventories of older versions of the platform lack this time.
        datetime.fromisoformat(until) if (until := document.get("until")) else None,
        document.get("kind", ""),
    )


def _with_type(value: Any) -> list[Any]:
    """Write a value with its type; the types are those in which psycopg reads the usual identifiers."""
    if isinstance(value, (str, bool, int)):
        return [type(value).__name__, value]
    for name, kind in _KINDS.items():
        if type(value) is kind:
            return [name, value.isoformat() if isinstance(value, date) else str(value)]
    raise CheckFailed(
        f"an identifier of type {type(value).__name__} cannot be kept: "
        "take another column for identifiers in the data map"
    )


_KINDS: dict[str, Any] = {"uuid": UUID, "decimal": Decimal, "datetime": datetime, "date": date}


def _value(kind: str, written: Any) -> Any:
    if kind in ("str", "bool", "int"):
        return written
    read = _KINDS[kind]
    return read.fromisoformat(written) if issubclass(read, date) else read(written)
