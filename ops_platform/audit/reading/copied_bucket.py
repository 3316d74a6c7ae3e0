"""A directory with what was in the ledger bucket, below the same keys: ``aws s3 sync`` makes one, too."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from ops_platform.clients.object_store import Retention, StoredObject
from ops_platform.errors import CheckFailed


class CopiedBucket:
    """Copies of seals in files. What locks their objects had, and what versions, is not known."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def uri(self, key: str = "") -> str:
        """Return the path of a key's file."""
        return str(self._directory / key)

    def versions(self, prefix: str = "", *, start_after: str = "") -> Iterator[StoredObject]:
        """List the files below ``prefix``, in key order."""
        for path in sorted((self._directory / prefix).glob("*")):
            key = f"{prefix}{path.name}"
            if key > start_after and (stored := self.head(key)) is not None:
                yield stored

    def get(self, key: str, version_id: str | None = None) -> bytes:
        """Read a key's file. Raises CheckFailed when it cannot be read."""
        try:
            return (self._directory / key).read_bytes()
        except OSError as error:
            raise CheckFailed(f"{self.uri(key)} cannot be read: {type(error).__name__}") from None

    def head(self, key: str, version_id: str | None = None) -> StoredObject | None:
        """Describe a key's file; None when there is none."""
        path = self._directory / key
        if not path.is_file():
            return None
        status = path.stat()
        return StoredObject(key, status.st_size, datetime.fromtimestamp(status.st_mtime, UTC), "")

    def retention(self, key: str, version_id: str | None = None) -> Retention | None:
        """Return None: a file has no lock."""
        return None

    def object_lock_enabled(self) -> bool | None:
        """Return None: a directory does not know."""
        return None
