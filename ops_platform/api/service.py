"""The services behind the endpoints: databases, limits, identities, clock; from settings or a test."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

from ops_platform.api import addresses, appearance
from ops_platform.api.addresses import Network
from ops_platform.api.appearance import Brand
from ops_platform.api.auth import Identity, bearer_token, jwks
from ops_platform.api.metrics import ApiMetrics
from ops_platform.clients.object_store import ObjectStore
from ops_platform.clients.postgres.pool import Pool
from ops_platform.clients.redis import MovingWindow, cache
from ops_platform.errors import ConfigurationError
from ops_platform.gdpr.data_map import parser
from ops_platform.gdpr.requests import EmailOnRecord, address_lookup
from ops_platform.settings import Settings

LIMIT_SECONDS = 15 * 60.0
RATE_LIMIT_PREFIX = "{ops_platform:gdpr-api}"


@dataclass(frozen=True)
class Service:
    """Everything that an endpoint may use. ``api_url`` is the public address that mails link to.

    ``exports`` only signs links; no request is sent to it.
    """

    ops: Pool
    product: Pool
    window: MovingWindow
    identity: Identity
    addresses: EmailOnRecord
    exports: ObjectStore
    api_url: str
    trusted_proxies: tuple[Network, ...] = ()
    privacy_notice_url: str | None = None
    consent_version: str | None = None
    brand: Brand = field(default_factory=Brand)
    metrics: ApiMetrics = field(default_factory=ApiMetrics)
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)

    def address_of(self, subject: UUID) -> str | None:
        """Find the address that the product has for a subject now; None: there is no such account."""
        with self.product.reading() as product:
            return self.addresses.find(product, subject)

    def close(self) -> None:
        """Close the connections to databases and Redis."""
        self.ops.close()
        self.product.close()
        self.window.cache.close()


def open_service(settings: Settings) -> Service:
    """Build the service from settings, without waiting for any server.

    Raises ConfigurationError when a setting is missing or wrong.
    """
    api = settings.api
    if api.rate_limit < 1:
        raise ConfigurationError("OPS_API_RATE_LIMIT must be 1 or more")
    _refuse_joint_keys(settings)
    identity = bearer_token.from_settings(settings.jwt, jwks.from_settings(settings))
    trusted = addresses.networks(api.trusted_proxies)
    api_url, ops, product = (
        settings.require(f"{name}url") for name in ("api_", "database_", "product_database_")
    )
    return Service(
        ops=Pool(ops, application="ops-platform api"),
        product=Pool(product, application="ops-platform api", size=4),
        window=MovingWindow(cache.from_settings(settings), api.rate_limit, LIMIT_SECONDS, RATE_LIMIT_PREFIX),
        identity=identity,
        addresses=address_lookup.from_settings(api),
        exports=_exports(settings),
        api_url=api_url,
        trusted_proxies=trusted,
        privacy_notice_url=api.privacy_notice_url,
        consent_version=api.consent_version,
        brand=appearance.from_settings(settings.page),
    )


def _refuse_joint_keys(settings: Settings) -> None:
    """Raise ConfigurationError for a data map with a key of several columns: ``sub`` is one value.

    Where the API's host has no map, nothing is asked.
    """
    file = settings.config_dir / "data_map.yaml"
    key = parser.load(file).subject.key if file.is_file() else ()
    if len(key) > 1:
        raise ConfigurationError(
            f"{file}: subject.key has the columns {', '.join(key)}, and a bearer token names a subject by "
            "one value: erase and export by the command line, or give the subjects' table a UUID as key"
        )


def _exports(settings: Settings) -> ObjectStore:
    s3 = settings.s3
    return ObjectStore(
        settings.api.exports_url or s3.endpoint_url,
        s3.region,
        s3.identity("exports"),
        settings.ca_file,
        uri_style=s3.uri_style,
    )
