"""Objects of a subject: every version and delete marker below their prefixes, and uploads begun there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from ops_platform.clients import object_store
from ops_platform.clients.object_store import ObjectStore, StoredObject, multipart
from ops_platform.errors import CheckFailed, ConfigurationError
from ops_platform.gdpr.data_map import DataMap
from ops_platform.gdpr.erasure.inventory import Inventory, ObjectPlace
from ops_platform.gdpr.lineage import Effect
from ops_platform.settings import S3_ROLES, Settings

ROUNDS = 20
"""Listings that must not find anything new; who still writes after that keeps writing."""
Stores = Mapping[str, ObjectStore]


@dataclass(frozen=True)
class _Below:
    """What lies below one prefix."""

    versions: int
    uploads: int

    @property
    def total(self) -> int:
        return self.versions + self.uploads


def stores(settings: Settings, data_map: DataMap) -> Stores:
    """The store of each bucket that the map names, by the name of an S3 role or of its bucket.

    Raises ConfigurationError for one that no role is configured for.
    """
    roles: dict[str, str] = {}
    for role in S3_ROLES:
        identity = settings.s3.identities.get(role)
        if identity is not None and identity.bucket is not None:
            roles.setdefault(identity.bucket, role)
            roles[role] = role
    found = {}
    for bucket in sorted({one.bucket for one in data_map.objects}):
        if bucket not in roles:
            raise ConfigurationError(
                f"the data map names the bucket {bucket}, which no S3 role is configured for: "
                "write a role (media, exports) or set OPS_S3_<ROLE>_BUCKET"
            )
        found[bucket] = object_store.from_settings(settings, roles[bucket])
    return found


def erase(
    of_buckets: Stores, inventory: Inventory, progress: Callable[[str, int], None] = lambda place, done: None
) -> list[Effect]:
    """Remove everything that is the subject's; what was there and is gone, by place as the map writes it.

    Raises ObjectStoreRefused when the store keeps a version, CheckFailed when somebody keeps writing.
    """
    return _by_place(
        [
            erase_below(of_buckets[one.bucket], one.prefix, _place(one), progress, until=one.until)
            for one in _known(of_buckets, inventory)
        ]
    )


def remaining(of_buckets: Stores, inventory: Inventory) -> list[Effect]:
    """Places that hold something of the subject's, with ``after`` above zero."""
    found = []
    for one in _known(of_buckets, inventory):
        left = _below(of_buckets[one.bucket], one.prefix, one.until).total
        if left:
            found.append(Effect("s3", _place(one), "owner", "delete", left, 0, left))
    return found


def erase_below(
    store: ObjectStore,
    prefix: str,
    place: str,
    progress: Callable[[str, int], None] = lambda place, done: None,
    *,
    until: datetime | None = None,
) -> Effect:
    """Remove all below ``prefix``, round by round, until a listing is empty. ``prefix`` ends with a slash.

    ``until``: what was written, or begun, later stays.
    """
    if not prefix.endswith("/") or not prefix.strip("/"):
        raise AssertionError("a prefix that is no folder is the beginning of somebody else's keys, too")
    before = _below(store, prefix, until).total
    changed = 0
    for _ in range(ROUNDS):
        done = store.delete_versions(_old(store.versions(prefix), until))
        # Where a bucket never had versions, some stores list none.
        done += store.delete_versions(_old(store.list(prefix), until))
        done += multipart.abort_unfinished(store, prefix, before=until)
        changed += done
        progress(place, changed)
        if not done:
            return Effect("s3", place, "owner", "delete", max(before, changed), changed, 0)
    raise CheckFailed(
        f"objects keep appearing in {place} while they are deleted: stop who writes them, and try again"
    )


def _old(found: Iterable[StoredObject], until: datetime | None) -> Iterable[StoredObject]:
    return (one for one in found if until is None or one.modified_at <= until)


def _below(store: ObjectStore, prefix: str, until: datetime | None) -> _Below:
    seen = [(one.key, one.version_id, one.modified_at) for one in store.versions(prefix)]
    keys = {key for key, _, _ in seen}
    versions = {(key, version) for key, version, at in seen if until is None or at <= until}
    unversioned = sum(1 for one in _old(store.list(prefix), until) if one.key not in keys)
    uploads = sum(1 for one in multipart.unfinished(store, prefix) if until is None or one.begun_at < until)
    return _Below(len(versions) + unversioned, uploads)


def _known(of_buckets: Stores, inventory: Inventory) -> Iterable[ObjectPlace]:
    for one in inventory.objects:
        if one.bucket not in of_buckets:
            raise ConfigurationError(
                f"objects of this subject are in the bucket {one.bucket}, which the data map no longer "
                "names: put it back until the erasure is done"
            )
    return inventory.objects


def _place(one: ObjectPlace) -> str:
    return f"{one.bucket}/{one.shown}"


def _by_place(effects: list[Effect]) -> list[Effect]:
    """One for each place of the map, though the subject may have had several prefixes there."""
    found: dict[str, Effect] = {}
    for one in effects:
        known = found.get(one.place)
        found[one.place] = (
            one
            if known is None
            else Effect(
                one.store,
                one.place,
                one.role,
                one.action,
                known.before + one.before,
                known.changed + one.changed,
                known.after + one.after,
            )
        )
    return list(found.values())
