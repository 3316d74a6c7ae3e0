"""Ways to damage a pgBackRest repository, object by object. For copies; nothing here aims at the original.

Knows pgBackRest's layout below a prefix (``archive/<stanza>``, ``backup/<stanza>``), no pgBackRest
and no server. Which check must notice which damage stands beside each in ``DAMAGES``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from ops_platform.clients.object_store import ObjectStore, StoredObject
from ops_platform.errors import CheckFailed

THREADS = 8
HOLE_BYTES = 64

_SEGMENT = re.compile(r"/(?P<name>[0-9A-F]{24})-[0-9a-f]{40}(?:\.\w+)?$")
_BOOKKEEPING = ("backup.manifest", "backup.manifest.copy", "backup.info", "backup.info.copy")


@dataclass(frozen=True)
class RepositoryObjects:
    """The objects of one stanza below ``prefix`` (pgBackRest's repo1-path without the first slash)."""

    store: ObjectStore
    prefix: str
    stanza: str

    def etags(self) -> dict[str, str]:
        """Key -> ETag of all there is: equal listings are equal repositories."""
        return {one.key: one.etag for one in self._list()}

    def files(self) -> list[str]:
        """Data of sets, largest first: bundles, or single files of a cluster."""
        data = [
            one
            for one in self._list()
            if one.key.startswith(f"{self.prefix}/backup/") and not _is_bookkeeping(one.key)
        ]
        return [one.key for one in sorted(data, key=lambda one: (-one.size, one.key))]

    def segments(self) -> list[str]:
        """WAL segments, in the order of their names: the newest last."""
        named = [(found["name"], one.key) for one in self._list() if (found := _SEGMENT.search(one.key))]
        return [key for _, key in sorted(named)]

    def matching(self, pattern: str) -> list[str]:
        """Keys in which ``pattern`` (a regular expression) is found. Raises CheckFailed when in none."""
        found = sorted(one.key for one in self._list() if re.search(pattern, one.key))
        if not found:
            raise CheckFailed(f"no object of {self.prefix} matches {pattern}: there is nothing to damage")
        return found

    def copy_to(self, prefix: str) -> RepositoryObjects:
        """All of it below another prefix of the same store."""

        def one(key: str) -> None:
            self.store.put(prefix + key.removeprefix(self.prefix), self.store.get(key))

        with ThreadPoolExecutor(THREADS) as threads:
            list(threads.map(one, [found.key for found in self._list()]))
        return RepositoryObjects(self.store, prefix, self.stanza)

    def remove(self) -> None:
        """Delete all of it."""
        self.store.delete_versions(self._list())

    # --- one object -----------------------------------------------------------------------------------

    def zero(self, key: str) -> None:
        """Zeroes in the middle, the size stays."""
        body = self.store.get(key)
        middle = len(body) // 2
        hole = body[middle : middle + HOLE_BYTES]
        self.store.put(key, body[:middle] + bytes(len(hole)) + body[middle + len(hole) :])

    def flip(self, key: str) -> None:
        """One bit, in the middle."""
        body = bytearray(self.store.get(key))
        body[len(body) // 2] ^= 1
        self.store.put(key, bytes(body))

    def truncate(self, key: str) -> None:
        """The second half is gone."""
        body = self.store.get(key)
        self.store.put(key, body[: len(body) // 2])

    def shorten(self, key: str) -> None:
        """The first kilobyte is left: less than any codec makes of a segment."""
        self.store.put(key, self.store.get(key)[:1024])

    def empty(self, key: str) -> None:
        self.store.put(key, b"")

    def swap(self, one: str, other: str) -> None:
        """Each has the other's content."""
        first, second = self.store.get(one), self.store.get(other)
        self.store.put(one, second)
        self.store.put(other, first)

    def delete(self, *keys: str) -> None:
        for key in keys:
            self.store.delete(key)

    def _list(self) -> Iterator[StoredObject]:
        for kind in ("archive", "backup"):
            yield from self.store.list(f"{self.prefix}/{kind}/{self.stanza}/")


@dataclass(frozen=True)
class Damage:
    """``caught_by``: the verification that must not pass afterwards."""

    noun: str
    caught_by: str
    inflict: Callable[[RepositoryObjects], None]


def _each(act: Callable[[RepositoryObjects, str], None], pattern: str) -> Callable[[RepositoryObjects], None]:
    def inflict(copy: RepositoryObjects) -> None:
        for key in copy.matching(pattern):
            act(copy, key)

    return inflict


def _largest(act: Callable[[RepositoryObjects, str], None]) -> Callable[[RepositoryObjects], None]:
    return lambda copy: act(copy, copy.files()[0])


def _segment(
    act: Callable[[RepositoryObjects, str], None], index: int
) -> Callable[[RepositoryObjects], None]:
    return lambda copy: act(copy, copy.segments()[index])


def _wal_of_newest_set(copy: RepositoryObjects) -> None:
    """The server archives a note at the end of a backup; it is called after the segment where it began."""
    note = copy.matching(r"/[0-9A-F]{24}\.[0-9A-F]{8}\.backup")[-1].rpartition("/")[2]
    copy.delete(*copy.matching(rf"/{note[:24]}-[0-9a-f]{{40}}"))


_zero, _flip, _truncate = RepositoryObjects.zero, RepositoryObjects.flip, RepositoryObjects.truncate
_empty, _delete = RepositoryObjects.empty, RepositoryObjects.delete

DAMAGES: Mapping[str, Damage] = {
    "data_zeroed": Damage("zeroes in a data file", "restored", _largest(_zero)),
    "data_bit_flipped": Damage("one bit of a data file", "restored", _largest(_flip)),
    "data_truncated": Damage("a truncated data file", "backup_selected", _largest(_truncate)),
    "data_empty": Damage("an empty data file", "backup_selected", _largest(_empty)),
    "data_missing": Damage("a missing data file", "backup_selected", _largest(_delete)),
    "manifests_missing": Damage(
        "a missing manifest and its copy", "backup_selected", _each(_delete, r"/backup\.manifest(\.copy)?$")
    ),
    "manifests_zeroed": Damage(
        "zeroes in the manifest and its copy", "backup_selected", _each(_zero, r"/backup\.manifest(\.copy)?$")
    ),
    "backup_info_missing": Damage(
        "a missing backup.info and its copy", "backup_selected", _each(_delete, r"/backup\.info(\.copy)?$")
    ),
    "backup_info_truncated": Damage(
        "a truncated backup.info and its copy",
        "backup_selected",
        _each(_truncate, r"/backup\.info(\.copy)?$"),
    ),
    "archive_info_missing": Damage(
        "a missing archive.info and its copy",
        "backup_selected",
        _each(_delete, r"/archive\.info(\.copy)?$"),
    ),
    "wal_missing": Damage("a missing WAL segment in mid-range", "backup_selected", _segment(_delete, -2)),
    "wal_of_set_missing": Damage("the missing WAL of a set", "backup_selected", _wal_of_newest_set),
    "wal_all_missing": Damage(
        "an archive without WAL",
        "backup_selected",
        lambda copy: copy.delete(*copy.segments()),
    ),
    "wal_zeroed": Damage("zeroes in a WAL segment", "recovery_target", _segment(_zero, -2)),
    "wal_truncated": Damage(
        "a truncated WAL segment", "backup_selected", _segment(RepositoryObjects.shorten, -2)
    ),
    "wal_last_flipped": Damage("one bit of the last WAL segment", "recovery_target", _segment(_flip, -1)),
    "wal_swapped": Damage(
        "two WAL segments under each other's name",
        "recovery_target",
        lambda copy: copy.swap(*copy.segments()[-2:]),
    ),
}
"""Each makes the newest set, or what follows it, useless. For a repository with at least two segments
behind its newest set."""


def _is_bookkeeping(key: str) -> bool:
    return key.rpartition("/")[2] in _BOOKKEEPING or "/backup.history/" in key
