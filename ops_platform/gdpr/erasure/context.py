"""The context of an erasure, opened from the settings: databases, buckets, cache, keys."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ops_platform.audit import PublicKeys, SigningKey
from ops_platform.clients import object_store, postgres, timestamp_authority
from ops_platform.clients.object_store import ObjectStore
from ops_platform.clients.postgres import Connection
from ops_platform.clients.timestamp_authority import TimestampAuthority
from ops_platform.gdpr import certificates, connections
from ops_platform.gdpr.connections import Connect
from ops_platform.gdpr.connections.server_stanzas import StanzaServer
from ops_platform.gdpr.data_map import DataMap, kinds, parser
from ops_platform.gdpr.erasure import objects as object_erasure
from ops_platform.gdpr.erasure.objects import Stores
from ops_platform.gdpr.tombstones import BackupTerm, SealingKeys, encryption
from ops_platform.settings import Settings

if TYPE_CHECKING:
    from ops_platform.clients.redis import Cache

LETTER_SECONDS = 60.0
"""How long a run waits until the letters to processors have left, which usually takes seconds."""


def _asks_nobody(_stanza: str) -> str | None:
    return None


@dataclass(frozen=True)
class DataStores:
    """The stores with a subject's data. ``product`` opens an autocommit connection.

    ``elsewhere``: those of the map's other databases, by name.
    """

    data_map: DataMap
    product: Callable[[], Connection]
    stores: Stores
    cache: Cache | None
    """None when the map names no keys."""
    elsewhere: Mapping[str, Connect] = field(default_factory=dict)

    @contextmanager
    def connected(self) -> Iterator[tuple[Connection, Mapping[str, Connection]]]:
        """Connect to the product database and all others, by name, or to none.

        Raises Unavailable or ConfigurationError with the name of the one that does not answer.
        """
        with closing(self.product()) as product, connections.connected(self.elsewhere) as others:
            yield product, others

    def close(self) -> None:
        """Close the connections to the cache."""
        if self.cache is not None:
            self.cache.close()


@dataclass(frozen=True)
class ErasureContext:
    """All that an erasure with tombstone and certificate uses.

    ``exports`` is None where no bucket of exports is configured: then there are no exports.
    """

    data: DataStores
    term: BackupTerm
    ledger: ObjectStore
    exports: ObjectStore | None
    keys: SealingKeys
    signing_key: SigningKey
    public_keys: PublicKeys | None = None
    """The keys of all certificates, also from before a rotation; None: that of ``signing_key``."""
    authority: TimestampAuthority | None = None
    """The source of trusted time for certificates; None where none is configured."""
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    letter_seconds: float = LETTER_SECONDS
    stanza_server: StanzaServer = _asks_nobody
    """Asks the servers that are backed up which they are."""


def product_url(settings: Settings) -> str:
    """Return the URL of the product database for erasures; empty: what libpq's own variables say."""
    return settings.product_eraser_database_url or settings.product_database_url or ""


def open_stores(settings: Settings, data_map: DataMap | None = None) -> DataStores:
    """Make the clients of the data stores, without connecting.

    ``data_map``: None is the settings' one, for the kind of subject that requests of the API are about.
    Raises ConfigurationError that says which setting is missing.
    """
    from ops_platform.clients.redis import cache as caches  # redis takes long to import

    if data_map is None:
        parsed = parser.load(settings.config_dir / "data_map.yaml")
        data_map = kinds.of_requests(parsed, settings.api.subject_table)
    url = product_url(settings)
    return DataStores(
        data_map,
        lambda: postgres.connect(url, application="ops-platform erasure", autocommit=True),
        object_erasure.stores(settings, data_map),
        caches.from_settings(settings) if data_map.cache else None,
        connections.of_settings(settings, data_map, application="ops-platform erasure", autocommit=True),
    )


def open_context(
    settings: Settings,
    term: BackupTerm,
    data_map: DataMap | None = None,
    stanza_server: StanzaServer = _asks_nobody,
) -> ErasureContext:
    """Make the context, without connecting. ``data_map``: see ``open_stores``.

    Raises ConfigurationError that says which setting is missing.
    """
    exports = settings.s3.identities.get("exports")
    return ErasureContext(
        open_stores(settings, data_map),
        term,
        object_store.from_settings(settings, "ledger"),
        object_store.from_settings(settings, "exports") if exports and exports.bucket else None,
        encryption.sealing_keys(settings),
        certificates.signing_key(settings),
        certificates.public_keys(settings) if settings.gdpr.public_key else None,
        timestamp_authority.from_settings(settings),
        stanza_server=stanza_server,
    )
