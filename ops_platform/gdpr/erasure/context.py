"""What an erasure works with, opened together from the settings: databases, buckets, cache, keys."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ops_platform.audit import PublicKeys, SigningKey
from ops_platform.clients import object_store, postgres
from ops_platform.clients.object_store import ObjectStore
from ops_platform.clients.postgres import Connection
from ops_platform.gdpr import certificates
from ops_platform.gdpr.data_map import DataMap, parser
from ops_platform.gdpr.erasure import objects as object_erasure
from ops_platform.gdpr.erasure.objects import Stores
from ops_platform.gdpr.tombstones import BackupTerm, SealingKeys, encryption
from ops_platform.settings import Settings

if TYPE_CHECKING:
    from ops_platform.clients.redis import Cache

LETTER_SECONDS = 60.0
"""How long a run waits for the letters to processors to leave, which usually takes seconds."""


@dataclass(frozen=True)
class DataStores:
    """Where a subject's data are. ``product`` opens a connection that commits by itself."""

    data_map: DataMap
    product: Callable[[], Connection]
    stores: Stores
    cache: Cache | None
    """None when the map names no keys."""

    def close(self) -> None:
        if self.cache is not None:
            self.cache.close()


@dataclass(frozen=True)
class ErasureContext:
    """``exports`` is None where no bucket of exports is configured: then there are none."""

    data: DataStores
    term: BackupTerm
    ledger: ObjectStore
    exports: ObjectStore | None
    keys: SealingKeys
    signing_key: SigningKey
    public_keys: PublicKeys | None = None
    """What certificates may have been signed with, also before a rotation; None: with ``signing_key``."""
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    letter_seconds: float = LETTER_SECONDS


def open_stores(settings: Settings, data_map: Path | None = None) -> DataStores:
    """Connects to nothing. Raises ConfigurationError that says which setting is missing."""
    from ops_platform.clients.redis import cache as caches  # redis takes long to import

    known = parser.load(data_map or settings.config_dir / "data_map.yaml")
    url = settings.product_eraser_database_url or settings.product_database_url or ""
    return DataStores(
        known,
        lambda: postgres.connect(url, application="ops-platform erasure", autocommit=True),
        object_erasure.stores(settings, known),
        caches.from_settings(settings) if known.cache else None,
    )


def open_context(settings: Settings, term: BackupTerm, data_map: Path | None = None) -> ErasureContext:
    """Connects to nothing. Raises ConfigurationError that says which setting is missing."""
    exports = settings.s3.identities.get("exports")
    return ErasureContext(
        open_stores(settings, data_map),
        term,
        object_store.from_settings(settings, "ledger"),
        object_store.from_settings(settings, "exports") if exports and exports.bucket else None,
        encryption.sealing_keys(settings),
        certificates.signing_key(settings),
        certificates.public_keys(settings) if settings.gdpr.public_key else None,
    )
