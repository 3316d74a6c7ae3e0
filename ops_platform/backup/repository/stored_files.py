"""Files of the repository as S3 stores them: bytes that pgBackRest encrypted, which nothing here decrypts.

Paths are those of ``clients.pgbackrest.Layout``. What pgBackRest itself reads is in ``backup_sets`` and
``wal_archive``.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from ops_platform.backup.repository.backup_sets import BackupSet
from ops_platform.backup.stanza import BackupContext
from ops_platform.clients import object_store
from ops_platform.clients.object_store import ObjectMissing, ObjectStore, StoredObject
from ops_platform.clients.pgbackrest import Layout

WORKERS = 8
FEW_SETS = 12
"""Of so many sets the manifests are asked for one by one, which costs less than a listing."""

ListedFile = tuple[str, int, int]
"""Path below the folder that was listed, size in bytes, time of arrival (Unix seconds)."""
_BEHIND_DIGITS = ":"


@dataclass(frozen=True)
class StoredFiles:
    """The repository's bucket as the identity ``backup`` sees it. Methods may raise the store's errors."""

    store: ObjectStore
    base: str
    """The repository's path in the bucket; empty or with a slash at its end."""

    @classmethod
    def open(cls, ctx: BackupContext) -> StoredFiles:
        """Open the bucket of the context's repository. Raises ConfigurationError when none is configured."""
        return cls(object_store.from_settings(ctx.settings, "backup"), ctx.config.repository.key_prefix)

    @classmethod
    def of_live(cls, ctx: BackupContext) -> StoredFiles | None:
        """Open the stanza's own repository; None where only pgBackRest knows where it is.

        That is so with a configuration that somebody else keeps, and in a workspace, which may read another.
        """
        known = (
            ctx.reads_live and ctx.settings.pgbackrest.config_file is None and ctx.pgbackrest.as_of is None
        )
        return cls.open(ctx) if known else None

    @property
    def uri(self) -> str:
        """Name the repository's place, for messages."""
        return self.store.uri(self.base)

    def listing(self, folder: str, after: str = "") -> Iterator[ListedFile]:
        """List all files below a folder whose paths in it sort after ``after``, a thousand a request."""
        prefix = f"{self.base}{folder}/"
        for stored in self.store.list(prefix, start_after=f"{prefix}{after}" if after else ""):
            yield stored.key.removeprefix(prefix), stored.size, int(stored.modified_at.timestamp())

    def of_sets(self, layout: Layout, after: str = "") -> Iterator[ListedFile]:
        """List the files of all sets; what lies beside them in their folder begins with no digit."""
        return itertools.takewhile(lambda file: file[0] < _BEHIND_DIGITS, self.listing(layout.sets, after))

    def head(self, path: str) -> StoredObject | None:
        """Return size, time and ETag of a file; None when there is none."""
        return self.store.head(self.base + path)

    def etags(self, paths: Iterable[str]) -> tuple[str | None, ...]:
        """Return the ETag of each file; None for one that there is none of."""
        heads = (self.head(path) for path in paths)
        return tuple(None if head is None else head.etag for head in heads)

    def get(self, path: str) -> bytes | None:
        """Read a file; None when there is none."""
        try:
            return self.store.get(self.base + path)
        except ObjectMissing:
            return None

    def put(self, path: str, body: bytes) -> None:
        """Write a file as it is."""
        self.store.put(self.base + path, body)

    def put_new(self, path: str, body: bytes) -> None:
        """Write a file that is not there yet. Raises ObjectExists when it is."""
        self.store.put(self.base + path, body, if_none_match=True)

    def delete(self, path: str) -> None:
        """Remove a file; where the bucket keeps versions, behind a delete marker."""
        self.store.delete(self.base + path)

    def absent(self, paths: Iterable[str]) -> list[str]:
        """Name the paths that there is no file of, some asked for at a time."""
        asked = list(paths)
        if not asked:
            return []
        self.store.client  # noqa: B018 - built once, before threads share it
        with ThreadPoolExecutor(WORKERS, thread_name_prefix="stored-files") as pool:
            found = list(pool.map(self.head, asked))
        return [path for path, stored in zip(asked, found, strict=True) if stored is None]


def without_manifest(ctx: BackupContext, sets: Sequence[BackupSet]) -> frozenset[str]:
    """Name those of the sets whose manifest is not there: nothing can restore them.

    With the next backup pgBackRest strikes such a set off its index, and all that build on it.
    """
    layout = ctx.pgbackrest.layout
    paths = {layout.manifest(backup_set.label): backup_set.label for backup_set in sets}
    stored = StoredFiles.open(ctx)
    if len(paths) <= FEW_SETS:
        return frozenset(paths[path] for path in stored.absent(paths))
    present = {f"{layout.sets}/{path}" for path, _, _ in stored.of_sets(layout)}
    return frozenset(label for path, label in paths.items() if path not in present)
