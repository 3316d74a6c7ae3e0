"""The copies in the ledger bucket as a verifier meets them: every version, fetched a few at a time."""

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
class CopySeen:
    """What the bucket has under one key. ``copy`` is its first version, None when that is no seal;
    ``hidden`` by a delete marker from those who do not ask for versions.
    """

    key: str
    number: int | None
    copy: SealCopy | None
    hidden: bool
    problems: tuple[str, ...]


def copies(ledger: ObjectStore) -> Iterator[CopySeen]:
    """Every key below the seals' prefix in order, from versions: a delete marker hides nothing here."""
    ledger.client  # noqa: B018 - built once, before threads share it
    grouped = (list(group) for _, group in groupby(ledger.versions(PREFIX), key=lambda stored: stored.key))
    with ThreadPoolExecutor(WORKERS, thread_name_prefix="audit-copies") as pool:
        while chunk := list(islice(grouped, AHEAD)):
            yield from pool.map(lambda versions: _seen(ledger, versions), chunk)


def _seen(ledger: ObjectStore, versions: list[StoredObject]) -> CopySeen:
    key = versions[0].key
    problems = []
    number = number_of(key)
    if number is None:
        return CopySeen(key, None, None, False, ("is not the name of a seal",))
    # Listed newest first, and times are whole seconds: turn round before the stable sort.
    written = [version for version in reversed(versions) if not version.delete_marker]
    bodies = sorted(written, key=lambda stored: stored.modified_at)
    if len(bodies) > 1:
        problems.append(f"was written {len(bodies)} times")
    copy = None
    if bodies:
        try:
            copy = SealCopy.parse(ledger.get(key, bodies[0].version_id))
        except MalformedSeal as error:
            problems.append(f"is {error}")
    return CopySeen(key, number, copy, len(bodies) != len(versions), tuple(problems))
