"""Versions of objects in time: which of them was current at a moment. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import groupby
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ops_platform.clients.object_store.stored_object import StoredObject


def as_of(versions: Iterable[StoredObject], moment: datetime) -> Iterator[StoredObject]:
    """Yield of each key the version that was current at ``moment``; versions come newest first.

    Stores know times to the second: of a version and a delete marker of the same second the version counts,
    since an object too many does no harm.
    """
    for _, group in groupby(versions, key=lambda stored: stored.key):
        then = [stored for stored in group if stored.modified_at <= moment]
        if not then:
            continue
        newest = then[0].modified_at
        current = [stored for stored in then if stored.modified_at == newest and not stored.delete_marker]
        yield from current[:1]
