"""The erasure of a subject's objects: every version, delete marker and begun upload below their prefixes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import combinations

from ops_platform.clients import object_store
from ops_platform.clients.object_store import ObjectStore, StoredObject, multipart
from ops_platform.errors import CheckFailed, ConfigurationError
from ops_platform.gdpr.data_map import DataMap, kinds
from ops_platform.gdpr.erasure.inventory import Inventory, ObjectPlace
from ops_platform.gdpr.lineage import Effect
from ops_platform.settings import S3_ROLES, Settings

ROUNDS = 20
"""Attempts to list nothing new: a writer that is still active after that will not stop."""
Stores = Mapping[str, ObjectStore]


@dataclass(frozen=True)
class _Counts:
    """Counts of the versions (with delete markers) and begun uploads below one prefix."""

    versions: int
    uploads: int

    @property
    def total(self) -> int:
        return self.versions + self.uploads


def stores(settings: Settings, data_map: DataMap) -> Stores:
    """Make the store of each bucket of the map; buckets are named there by S3 role or by their own name.

    Raises ConfigurationError for a bucket that no role is configured for, and where keys of two kinds of
    subject may be the same in one bucket, which the map names in two ways.
    """
    stores_by_bucket = {
        bucket: store(settings, bucket) for bucket in sorted({entry.bucket for entry in data_map.objects})
    }
    refuse_shared_prefixes(settings, data_map)
    return stores_by_bucket


def store(settings: Settings, bucket: str) -> ObjectStore:
    """Make the store of a bucket as the map names it. Raises ConfigurationError as ``stores`` does."""
    roles = _roles(settings)
    if bucket not in roles:
        raise ConfigurationError(
            f"the data map names the bucket {bucket}, which no S3 role is configured for: "
            "write a role (media, exports) or set OPS_S3_<ROLE>_BUCKET"
        )
    return object_store.from_settings(settings, roles[bucket])


def _roles(settings: Settings) -> dict[str, str]:
    """Find the role for each name that the map may give a bucket."""
    roles: dict[str, str] = {}
    for role in S3_ROLES:
        identity = settings.s3.identities.get(role)
        if identity is not None and identity.bucket is not None:
            roles.setdefault(identity.bucket, role)
            roles[role] = role
    return roles


def refuse_shared_prefixes(settings: Settings, data_map: DataMap) -> None:
    """Refuse prefixes of two kinds that are the same: only settings say which names mean one bucket.

    Raises ConfigurationError.
    """
    roles = _roles(settings)
    places = [
        (of_kind.subject.kind, entry, settings.s3.identity(roles[entry.bucket]))
        for of_kind in kinds.every(data_map)
        for entry in of_kind.objects
        if entry.bucket in roles
    ]
    for (kind, entry, identity), (other_kind, other, other_identity) in combinations(places, 2):
        if kind == other_kind or (identity.bucket, identity.place) != (
            other_identity.bucket,
            other_identity.place,
        ):
            continue
        if kinds.begin_alike(identity.prefix + entry.prefix, other_identity.prefix + other.prefix):
            raise ConfigurationError(
                f"{other.bucket}/{other.prefix} of every {other_kind} may be the same as "
                f"{entry.bucket}/{entry.prefix} of every {kind}: these are names of one bucket, and keys of "
                "different kinds can be equal, so let the two begin with different words"
            )


def erase(
    stores_by_bucket: Stores,
    inventory: Inventory,
    progress: Callable[[str, int], None] = lambda place, done: None,
) -> list[Effect]:
    """Remove all objects of the subject; return one effect for each place of the map.

    Raises ObjectStoreRefused when the store keeps a version, CheckFailed when objects keep
    appearing.
    """
    return _by_place(
        [
            erase_below(
                stores_by_bucket[place.bucket], place.prefix, _name(place), progress, until=place.until
            )
            for place in _places(stores_by_bucket, inventory)
        ]
    )


def remaining(stores_by_bucket: Stores, inventory: Inventory) -> list[Effect]:
    """Count what is left of the subject's objects by place, without empty ones."""
    effects = []
    for place in _places(stores_by_bucket, inventory):
        left = _count(stores_by_bucket[place.bucket], place.prefix, place.until).total
        if left:
            effects.append(Effect("s3", _name(place), "owner", "delete", left, 0, left))
    return effects


def erase_below(
    store: ObjectStore,
    prefix: str,
    place: str,
    progress: Callable[[str, int], None] = lambda place, done: None,
    *,
    until: datetime | None = None,
) -> Effect:
    """Remove all below ``prefix``, round by round, until a listing is empty. ``prefix`` ends with a slash.

    ``until``: objects written, or uploads begun, later than this stay. Raises what ``erase`` raises.
    """
    if not prefix.endswith("/") or not prefix.strip("/"):
        raise AssertionError("a prefix that is no folder is the beginning of somebody else's keys, too")
    before = _count(store, prefix, until).total
    changed = 0
    for _ in range(ROUNDS):
        removed = store.delete_versions(_old(store.versions(prefix), until))
        # Where a bucket never had versions, some stores list none.
        removed += store.delete_versions(_old(store.list(prefix), until))
        removed += multipart.abort_unfinished(store, prefix, before=until)
        changed += removed
        progress(place, changed)
        if not removed:
            return Effect("s3", place, "owner", "delete", max(before, changed), changed, 0)
    raise CheckFailed(
        f"objects keep appearing in {place} while they are deleted: stop what writes them, and try again"
    )


def _old(objects: Iterable[StoredObject], until: datetime | None) -> Iterable[StoredObject]:
    return (stored for stored in objects if until is None or stored.modified_at <= until)


def _count(store: ObjectStore, prefix: str, until: datetime | None) -> _Counts:
    listed = [(version.key, version.version_id, version.modified_at) for version in store.versions(prefix)]
    keys = {key for key, _, _ in listed}
    versions = {(key, version_id) for key, version_id, at in listed if until is None or at <= until}
    unversioned = sum(1 for stored in _old(store.list(prefix), until) if stored.key not in keys)
    uploads = sum(
        1 for upload in multipart.unfinished(store, prefix) if until is None or upload.begun_at < until
    )
    return _Counts(len(versions) + unversioned, uploads)


def _places(stores_by_bucket: Stores, inventory: Inventory) -> Iterable[ObjectPlace]:
    """Return the inventory's places; raises ConfigurationError for a bucket without a store."""
    for place in inventory.objects:
        if place.bucket not in stores_by_bucket:
            raise ConfigurationError(
                f"objects of this subject are in the bucket {place.bucket}, which the data map no longer "
                "names: put it back until the erasure is done"
            )
    return inventory.objects


def _name(place: ObjectPlace) -> str:
    return f"{place.bucket}/{place.template}"


def _by_place(effects: list[Effect]) -> list[Effect]:
    """Sum up the effects on each place of the map; the subject may have had several prefixes there."""
    sums: dict[str, Effect] = {}
    for effect in effects:
        known = sums.get(effect.place)
        sums[effect.place] = (
            effect
            if known is None
            else replace(
                effect,
                before=known.before + effect.before,
                changed=known.changed + effect.changed,
                after=known.after + effect.after,
            )
        )
    return list(sums.values())
