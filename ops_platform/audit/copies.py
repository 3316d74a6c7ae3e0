"""Reading the copies of seals in the ledger bucket, all versions, a few in parallel."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby, islice
from typing import Protocol

from ops_platform.audit.seal import PREFIX, MalformedSeal, SealCopy, number_of, object_key
from ops_platform.clients.object_store import Retention, StoredObject

WORKERS = 8
AHEAD = 16
"""Copies held at once: one of a full batch takes about 2 MB."""


class CopyStore(Protocol):
    """What has the copies: the ledger bucket, or a directory with what was in it."""

    def uri(self, key: str = "") -> str:
        """Return its address, or that of a key, for messages."""

    def versions(self, prefix: str = "", *, start_after: str = "") -> Iterator[StoredObject]:
        """List every version and delete marker, in key order."""

    def get(self, key: str, version_id: str | None = None) -> bytes:
        """Read the whole object."""

    def head(self, key: str, version_id: str | None = None) -> StoredObject | None:
        """Describe the object; None when there is none."""

    def retention(self, key: str, version_id: str | None = None) -> Retention | None:
        """Return the object lock on a version; None when it has none."""

    def object_lock_enabled(self) -> bool | None:
        """Return whether object lock is enabled; None when it cannot be known."""


@dataclass(frozen=True)
class BucketCopy:
    """The versions that the bucket has under one key.

    ``content`` is the first version; None when it is not a seal. ``hidden``: a delete marker hides the
    object from readers who do not ask for versions.
    """

    key: str
    number: int | None
    content: SealCopy | None
    hidden: bool
    problems: tuple[str, ...]


def copies(ledger: CopyStore, after: int = 0) -> Iterator[BucketCopy]:
    """Read every key below the seals' prefix, in order, from its versions: a delete marker hides nothing.

    ``after``: only seals with greater numbers.
    """
    stored = ledger.versions(PREFIX, start_after=object_key(after) if after else "")
    grouped = (list(group) for _, group in groupby(stored, key=lambda version: version.key))
    with ThreadPoolExecutor(WORKERS, thread_name_prefix="audit-copies") as pool:
        while chunk := list(islice(grouped, AHEAD)):
            yield from pool.map(lambda versions: _read(ledger, versions), chunk)


def newest_copy(ledger: CopyStore, after: int = 0) -> tuple[int, datetime] | None:
    """Find the seal with the greatest number after ``after``, and when the bucket first got it.

    None when there is none. Keys are listed with their versions, so that a delete marker hides nothing.
    """
    newest: tuple[int, datetime] | None = None
    for stored in ledger.versions(PREFIX, start_after=object_key(after)):
        number = number_of(stored.key)
        if number is None or stored.delete_marker:
            continue
        if newest is None or number > newest[0]:
            newest = (number, stored.modified_at)
        elif number == newest[0]:
            newest = (number, min(newest[1], stored.modified_at))
    return newest


def _read(ledger: CopyStore, versions: list[StoredObject]) -> BucketCopy:
    key = versions[0].key
    problems = []
    number = number_of(key)
    if number is None:
        return BucketCopy(key, None, None, False, ("is not the name of a seal",))
    # Listed newest first, and times are whole seconds: reverse before the stable sort.
    oldest_last = [version for version in reversed(versions) if not version.delete_marker]
    written = sorted(oldest_last, key=lambda stored: stored.modified_at)
    if len(written) > 1:
        problems.append(f"was written {len(written)} times")
    content = None
    if written:
        try:
            content = SealCopy.parse(ledger.get(key, written[0].version_id))
        except MalformedSeal as error:
            problems.append(f"is {error}")
    return BucketCopy(key, number, content, len(written) != len(versions), tuple(problems))
