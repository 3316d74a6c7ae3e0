"""Who the subject is and where else they have something, sealed before anything is destroyed.

The rows that say it are among what is erased; a retry reads it here. Deleted at completion.
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
from ops_platform.errors import CheckFailed
from ops_platform.gdpr.data_map import DataMap
from ops_platform.gdpr.subject import Identity, filled
from ops_platform.gdpr.tombstones import SealingKeys

PURPOSE = "inventory"
STORED = timedelta(seconds=1)
"""Object stores say in whole seconds, rounded down, when something was written."""
T = TypeVar("T")


@dataclass(frozen=True)
class ObjectPlace:
    """All below ``prefix`` in ``bucket`` is the subject's; ``shown`` is the prefix as the map writes it.

    ``until``: only what was written until then is, somebody else has the name now.
    """

    bucket: str
    prefix: str
    shown: str
    until: datetime | None = None


@dataclass(frozen=True)
class CachePlace:
    """Keys that begin as ``parts[0]``, and so on with anything between the parts; ``shown`` as in the map.

    ``shared``: somebody else has the name now, and a key does not say whose page it holds.
    """

    parts: tuple[str, ...]
    shown: str
    shared: bool = False


@dataclass(frozen=True)
class Inventory:
    """``map_version``: the map that the places come from, the newest of them.

    ``also``: who the subject became while the erasure was under way; a name can be changed until it is gone.
    ``until``: up to then the names were the subject's for sure; None: nobody wrote it down.
    """

    map_version: str
    who: Identity
    objects: tuple[ObjectPlace, ...]
    cache: tuple[CachePlace, ...]
    also: tuple[Identity, ...] = ()
    until: datetime | None = None

    @property
    def names(self) -> tuple[Identity, ...]:
        return (self.who, *self.also)


def take(data_map: DataMap, who: Identity) -> Inventory:
    """A place that wants an identifier which the subject has not, or an empty one, is nobody's."""
    objects = [
        ObjectPlace(one.bucket, prefix, one.prefix)
        for one in data_map.objects
        if (prefix := filled(one.prefix, who)) is not None
    ]
    cache = [
        CachePlace(parts, one.pattern)
        for one in data_map.cache
        if (parts := _parts(one.pattern, who)) is not None
    ]
    return Inventory(data_map.version, who, tuple(objects), tuple(cache))


def apart(taken: Inventory, others: Iterable[Identity], until: datetime) -> Inventory:
    """The same, with places marked that the map gives to one of ``others`` now. It is not kept."""
    others = list(others)
    until -= STORED  # what may be newer is not the subject's for sure

    def prefixes(one: ObjectPlace) -> list[str | None]:
        return [filled(one.shown, other) for other in others]

    def patterns(one: CachePlace) -> list[tuple[str, ...] | None]:
        return [_parts(one.shown, other) for other in others]

    return replace(
        taken,
        objects=tuple(
            replace(one, until=until) if one.prefix in prefixes(one) else one for one in taken.objects
        ),
        cache=tuple(replace(one, shared=one.parts in patterns(one)) for one in taken.cache),
    )


def keep(
    ops: Connection, keys: SealingKeys, request_id: str, taken: Inventory, *, sure: bool = True
) -> Inventory:
    """Store it; where there is one, what is known from both. ``sure``: the subject's own row says so.

    In the caller's transaction: commit before anything is destroyed.
    """
    found = _read(ops, keys, request_id, " FOR UPDATE")
    if found is not None:
        who = Identity({**taken.who.values, **found.who.values})
        others = [Identity({**who.values, **one.values}) for one in taken.names] if sure else []
        merged = Inventory(
            taken.map_version,
            who,
            _union(found.objects, taken.objects),
            _union(found.cache, taken.cache),
            tuple(one for one in _different([*found.also, *others]) if one != who),
            # Once the row is gone, the first look knows better.
            found.until if found.until and not sure else _earlier(found.until, taken.until),
        )
        if merged == found:
            return found
        taken = merged
    ops.execute(
        "INSERT INTO gdpr_inventories (request_id, sealed, key_id) VALUES (%s, %s, %s) "
        "ON CONFLICT (request_id) DO UPDATE SET sealed = excluded.sealed, key_id = excluded.key_id",
        (request_id, keys.seal(_document(taken), _purpose(request_id)), keys.key_id),
    )
    return taken


def find(ops: Connection, keys: SealingKeys, request_id: str) -> Inventory | None:
    """Raises CheckFailed when it was changed, ConfigurationError when its key is missing."""
    return _read(ops, keys, request_id, "")


def forget(ops: Connection, request_id: str) -> None:
    """In the caller's transaction."""
    ops.execute("DELETE FROM gdpr_inventories WHERE request_id = %s", (request_id,))


def _read(ops: Connection, keys: SealingKeys, request_id: str, lock: str) -> Inventory | None:
    row = ops.execute(
        f"SELECT sealed FROM gdpr_inventories WHERE request_id = %s{lock}",  # noqa: S608
        (request_id,),
    ).fetchone()
    return None if row is None else _parse(keys.open(bytes(row["sealed"]), _purpose(request_id)))


def _purpose(request_id: str) -> str:
    """No request's inventory opens in another's place."""
    return f"{PURPOSE} of request {request_id}"


def _union(first: Iterable[T], second: Iterable[T]) -> tuple[T, ...]:
    return tuple(dict.fromkeys([*first, *second]))


def _earlier(one: datetime | None, other: datetime | None) -> datetime | None:
    return min((each for each in (one, other) if each is not None), default=None)


def _different(names: Iterable[Identity]) -> list[Identity]:
    found: list[Identity] = []
    for one in names:
        if one not in found:
            found.append(one)
    return found


def _parts(pattern: str, who: Identity) -> tuple[str, ...] | None:
    parts = [filled(part, who) for part in pattern.split("*")]
    return None if None in parts else tuple(part for part in parts if part is not None)


def _document(one: Inventory) -> bytes:
    return json.dumps(
        {
            "format": 1,
            "map_version": one.map_version,
            "names": [{name: _written(value) for name, value in each.values.items()} for each in one.names],
            "objects": [[place.bucket, place.prefix, place.shown] for place in one.objects],
            "cache": [[list(place.parts), place.shown] for place in one.cache],
            "until": one.until.isoformat() if one.until else None,
        }
    ).encode()


def _parse(plain: bytes) -> Inventory:
    document = json.loads(plain)
    if document.get("format") != 1:
        raise CheckFailed("an inventory was written by another version: finish its request with that one")
    who, *also = (
        Identity({name: _value(*value) for name, value in each.items()}) for each in document["names"]
    )
    return Inventory(
        document["map_version"],
        who,
        tuple(ObjectPlace(*place) for place in document["objects"]),
        tuple(CachePlace(tuple(parts), shown) for parts, shown in document["cache"]),
        tuple(also),
        # One that was begun before this was written down says nothing.
        datetime.fromisoformat(until) if (until := document.get("until")) else None,
    )


def _written(value: Any) -> list[Any]:
    """A value with its type, as psycopg reads identifiers of the usual types."""
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
