"""Reading the copies of seals in the ledger bucket, all versions, a few in parallel."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby, islice

from ops_platform.audit.seal import PREFIX, MalformedSeal, SealCopy, number_of
from ops_platform.clients.object_store import ObjectStore, StoredObject

WORKERS = 8
AHEAD = 16
"""Copies held at once: one of a full batch takes about 2 MB."""


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


def copies(ledger: ObjectStore) -> Iterator[BucketCopy]:
    """Read every key below the seals' prefix, in order, from its versions: a delete marker hides nothing."""
    ledger.client  # noqa: B018 - built once, before threads share it
    grouped = (list(group) for _, group in groupby(ledger.versions(PREFIX), key=lambda stored: stored.key))
    with ThreadPoolExecutor(WORKERS, thread_name_prefix="audit-copies") as pool:
        while chunk := list(islice(grouped, AHEAD)):
            yield from pool.map(lambda versions: _read(ledger, versions), chunk)


def _read(ledger: ObjectStore, versions: list[StoredObject]) -> BucketCopy:
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
