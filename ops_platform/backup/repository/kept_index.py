"""Kept versions of a repository's index, in the ledger's bucket under object lock, raw as they were stored.

Whoever can delete the repository cannot delete these. An index and its copy are the same bytes, so one object
stands for both; a version that does not change is kept anew each month, so that its lock goes on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ops_platform.backup.repository.index_files import IndexPair
from ops_platform.clients import object_store
from ops_platform.clients.object_store import ObjectExists, ObjectStore
from ops_platform.settings import Settings

PREFIX = "repository/"


@dataclass(frozen=True)
class KeptVersion:
    """One kept version of an index; ``kept_at`` by the store's clock."""

    key: str
    kept_at: datetime
    version_id: str | None


@dataclass(frozen=True)
class KeptIndex:
    """The kept versions of one stanza. Every method may raise the store's errors."""

    ledger: ObjectStore
    stanza: str
    retention: timedelta

    @classmethod
    def open(cls, settings: Settings, stanza: str) -> KeptIndex:
        """Open the ledger's bucket. Raises ConfigurationError when none is configured."""
        ledger = object_store.from_settings(settings, "ledger")
        return cls(ledger, stanza, timedelta(days=settings.audit.retention_days))

    @staticmethod
    def is_configured(settings: Settings) -> bool:
        """Tell whether there is a ledger's bucket to keep versions in."""
        identity = settings.s3.identities.get("ledger")
        return identity is not None and identity.bucket is not None

    def keep(self, pairs: Sequence[IndexPair], now: datetime) -> list[str]:
        """Keep the good files that are not kept yet; return the keys that were written.

        A kill between two of them leaves the rest to the next call; repeating it writes nothing.
        """
        written = []
        for pair in pairs:
            key = None if pair.good is None else self._key(pair.name, pair.good, now)
            if key is None or pair.good is None or self.ledger.head(key) is not None:
                continue
            try:
                self.ledger.put(key, pair.good, if_none_match=True, retain_until=now + self.retention)
            except ObjectExists:
                continue
            written.append(key)
        return written

    def versions(self, name: str) -> list[KeptVersion]:
        """List the kept versions of an index, newest first; a delete marker hides none."""
        found = [
            KeptVersion(stored.key, stored.modified_at, stored.version_id)
            for stored in self.ledger.versions(f"{PREFIX}{self.stanza}/{name}/")
            if not stored.delete_marker
        ]
        return sorted(found, key=lambda version: version.kept_at, reverse=True)

    def read(self, version: KeptVersion) -> bytes:
        """Read a kept version."""
        return self.ledger.get(version.key, version.version_id)

    def _key(self, name: str, body: bytes, now: datetime) -> str:
        digest = hashlib.sha256(body).hexdigest()
        return f"{PREFIX}{self.stanza}/{name}/{now.astimezone(UTC):%Y-%m}-{digest}"
