"""Files of the repository as S3 stores them: bytes that pgBackRest encrypted, which nothing here decrypts.

Paths are those of ``clients.pgbackrest.Layout``. What pgBackRest itself reads is in ``backup_sets`` and
``wal_archive``.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from ops_platform.backup.repository.backup_sets import Repository
from ops_platform.backup.stanza import BackupContext
from ops_platform.clients import object_store
from ops_platform.clients.object_store import ObjectMissing, ObjectStore, StoredObject

WORKERS = 8


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

    def head(self, path: str) -> StoredObject | None:
        """Return size, time and ETag of a file; None when there is none."""
        return self.store.head(self.base + path)

    def get(self, path: str) -> bytes | None:
        """Read a file; None when there is none."""
        try:
            return self.store.get(self.base + path)
        except ObjectMissing:
            return None

    def put(self, path: str, body: bytes) -> None:
        """Write a file as it is."""
        self.store.put(self.base + path, body)

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


def without_manifest(ctx: BackupContext, repository: Repository) -> frozenset[str]:
    """Name the sets that the index lists and whose manifest is not there: nothing can restore them.

    With the next backup pgBackRest strikes such a set off its index, and all that build on it.
    """
    layout = ctx.pgbackrest.layout
    paths = {layout.manifest(backup_set.label): backup_set.label for backup_set in repository.sets}
    return frozenset(paths[path] for path in StoredFiles.open(ctx).absent(paths))
