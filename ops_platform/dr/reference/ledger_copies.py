"""Copies of the signed references beside the repository, for when the ops database is away.

Written with the identity that writes backups, read with the one that can only read them; the
signature, not the place, is what they are trusted for.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from ops_platform.audit import PublicKeys, SigningKey
from ops_platform.clients import object_store
from ops_platform.clients.object_store import ObjectStore
from ops_platform.dr.reference import reference_store as reference
from ops_platform.dr.reference.reference_store import Reference, Signed
from ops_platform.errors import CheckFailed
from ops_platform.settings import Settings

PREFIX = "ops-platform/references/"
_STAMP = "%Y%m%dT%H%M%S.%fZ"


def store(settings: Settings, one: Reference, key: SigningKey, keep: timedelta) -> None:
    """Write the copy, and remove those that are older by ``keep``. Raises an OpsError of the store."""
    store_ = object_store.from_settings(settings, "backup")
    signed = reference.sign(one, key)
    body = {
        "document": signed.document,
        "key_id": signed.key_id,
        "signature": signed.signature,
        "objects": dict(one.objects),
    }
    store_.put(_key(one.stanza, one.taken_at), json.dumps(body).encode(), content_type="application/json")
    for old in _keys(store_, one.stanza):
        if old >= _key(one.stanza, one.taken_at - keep):
            break
        store_.delete(old)


def before(settings: Settings, keys: PublicKeys, stanza: str, moment: datetime) -> Reference | None:
    """The newest one taken at ``moment`` or earlier. Raises CheckFailed when it was tampered with."""
    store_ = object_store.from_settings(settings, "backup_reader")
    last = _key(stanza, moment)
    found = [one for one in _keys(store_, stanza) if one <= last]
    return _parse(store_.get(found[-1]), keys, stanza, found[-1]) if found else None


def _parse(body: bytes, keys: PublicKeys, stanza: str, key: str) -> Reference:
    try:
        kept = json.loads(body)
        signed = Signed(kept["document"], kept["key_id"], kept["signature"])
        objects: Mapping[str, str] = dict(kept["objects"])
    except (ValueError, KeyError, TypeError):
        raise CheckFailed(
            f"a copy of a reference of stanza {stanza} is malformed: look at {PREFIX}"
        ) from None
    found = reference.opened(signed, keys, stanza, lambda _digest: objects)
    if _key(stanza, found.taken_at) != key:
        raise CheckFailed(f"a copy of a reference of stanza {stanza} lies under another time than its own")
    return found


def _keys(store_: ObjectStore, stanza: str) -> list[str]:
    return sorted(one.key for one in store_.list(f"{PREFIX}{stanza}/"))


def _key(stanza: str, at: datetime) -> str:
    return f"{PREFIX}{stanza}/{at.astimezone(UTC).strftime(_STAMP)}.json"
