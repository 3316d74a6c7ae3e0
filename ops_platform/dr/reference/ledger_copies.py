"""Copies of the signed references beside the repository, for when the ops database is away.

Written with the identity that writes backups, read with the one that can only read them. They are
trusted for their signature, not for their place.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

from ops_platform.audit import PublicKeys, SigningKey
from ops_platform.clients import object_store
from ops_platform.clients.object_store import ObjectStore
from ops_platform.dr.reference import reference_store
from ops_platform.dr.reference.reference_store import Reference, SignedReference
from ops_platform.errors import CheckFailed
from ops_platform.settings import Settings

PREFIX = "ops-platform/references/"
_STAMP = "%Y%m%dT%H%M%S.%fZ"


def store(settings: Settings, reference: Reference, key: SigningKey, keep: timedelta) -> None:
    """Write the copy, and remove those that are older by more than ``keep``.

    Raises an OpsError when the object store refuses or is away.
    """
    bucket = object_store.from_settings(settings, "backup")
    signed = reference_store.sign(reference, key)
    body = {
        "document": signed.document,
        "key_id": signed.key_id,
        "signature": signed.signature,
        "objects": dict(reference.objects),
    }
    bucket.put(
        _key(reference.stanza, reference.taken_at), json.dumps(body).encode(), content_type="application/json"
    )
    for old in _keys(bucket, reference.stanza):
        if old >= _key(reference.stanza, reference.taken_at - keep):
            break
        bucket.delete(old)


def before(
    settings: Settings,
    keys: PublicKeys,
    stanza: str,
    moment: datetime,
    lies_on: Callable[[Reference], bool],
    as_of: datetime | None = None,
) -> Reference | None:
    """Read the newest copy taken at ``moment`` or earlier that ``lies_on`` what was restored, or None.

    ``as_of``: read the bucket as it was then, whatever was deleted or overwritten since. Raises
    CheckFailed when it was tampered with.
    """
    bucket = object_store.from_settings(settings, "backup_reader")
    last = _key(stanza, moment)
    prefix = f"{PREFIX}{stanza}/"
    listed = bucket.list(prefix) if as_of is None else object_store.as_of(bucket.versions(prefix), as_of)
    earlier = sorted((stored for stored in listed if stored.key <= last), key=lambda stored: stored.key)
    for stored in earlier[: -reference_store.PASSED_OVER - 1 : -1]:
        reference = _parse(bucket.get(stored.key, stored.version_id), keys, stanza, stored.key)
        if lies_on(reference):
            return reference
    return None


def _parse(body: bytes, keys: PublicKeys, stanza: str, key: str) -> Reference:
    try:
        copy = json.loads(body)
        signed = SignedReference(copy["document"], copy["key_id"], copy["signature"])
        objects: Mapping[str, str] = dict(copy["objects"])
    except (ValueError, KeyError, TypeError):
        raise CheckFailed(
            f"a copy of a reference of stanza {stanza} is malformed: look at {PREFIX}"
        ) from None
    reference = reference_store.open_signed(signed, keys, stanza, lambda _digest: objects)
    if _key(stanza, reference.taken_at) != key:
        raise CheckFailed(
            f"a copy of a reference of stanza {stanza} is filed under another time than its own"
        )
    return reference


def _keys(bucket: ObjectStore, stanza: str) -> list[str]:
    return sorted(listed.key for listed in bucket.list(f"{PREFIX}{stanza}/"))


def _key(stanza: str, at: datetime) -> str:
    return f"{PREFIX}{stanza}/{at.astimezone(UTC).strftime(_STAMP)}.json"
