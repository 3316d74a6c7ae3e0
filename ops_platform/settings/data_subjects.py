"""Settings of what data subjects meet: the API, its pages, its tokens, and the keys of erasures."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr

from ops_platform.environment import Group


class GdprSettings(Group):
    """The keys of tombstones, inventories and erasure certificates."""

    encryption_key: SecretStr | None = Field(None, validation_alias="OPS_GDPR_ENCRYPTION_KEY")
    """32 random bytes in base64, for tombstones under object lock and inventories; older keys may follow
    the newest one, separated by commas."""
    signing_key: SecretStr | None = Field(None, validation_alias="OPS_GDPR_SIGNING_KEY")
    """PEM of the Ed25519 key that erasure certificates are signed with."""
    public_key: str | None = Field(None, validation_alias="OPS_GDPR_PUBLIC_KEY")
    timestamp_url: str | None = Field(None, validation_alias="OPS_GDPR_TIMESTAMP_URL")
    """A time stamping authority (RFC 3161) for certificates; None: they have no trusted time."""
    timestamp_ca_file: Path | None = Field(None, validation_alias="OPS_GDPR_TIMESTAMP_CA_FILE")
    """PEM of the roots of that authority; None: the system's."""


class JwtSettings(Group):
    """The issuer of data subjects' bearer tokens, and the keys that the tokens are checked with."""

    issuer: str | None = Field(None, validation_alias="OPS_JWT_ISSUER")
    audience: str | None = Field(None, validation_alias="OPS_JWT_AUDIENCE")
    algorithms: tuple[str, ...] = Field(("RS256", "ES256", "EdDSA"), validation_alias="OPS_JWT_ALGORITHMS")
    jwks_file: Path | None = Field(None, validation_alias="OPS_JWT_JWKS_FILE")
    jwks_url: str | None = Field(None, validation_alias="OPS_JWT_JWKS_URL")
    leeway_seconds: float = Field(30.0, validation_alias="OPS_JWT_LEEWAY_SECONDS")
    signing_key: SecretStr | None = Field(None, validation_alias="OPS_JWT_SIGNING_KEY")
    """PEM of the embedded stack's own Ed25519 key, for ``gdpr token``; nobody else has one."""


class ApiSettings(Group):
    """The API for data subjects: its addresses, limits and links, and where the address on record is."""

    listen_host: str = Field("127.0.0.1", validation_alias="OPS_API_LISTEN_HOST")
    listen_port: int = Field(9443, validation_alias="OPS_API_LISTEN_PORT")
    metrics_listen_host: str = Field("127.0.0.1", validation_alias="OPS_API_METRICS_LISTEN_HOST")
    metrics_listen_port: int = Field(9189, validation_alias="OPS_API_METRICS_LISTEN_PORT")
    certificate_file: Path | None = Field(None, validation_alias="OPS_API_CERTIFICATE_FILE")
    """Chain in PEM; without it the API speaks plain HTTP, for a proxy on the same machine."""
    key_file: Path | None = Field(None, validation_alias="OPS_API_KEY_FILE")
    trusted_proxies: tuple[str, ...] = Field((), validation_alias="OPS_API_TRUSTED_PROXIES")
    """Addresses or networks whose X-Forwarded-For is believed."""
    rate_limit: int = Field(5, validation_alias="OPS_API_RATE_LIMIT")
    """Requests in any 15 minutes for each address and for each subject."""
    connections: int = Field(512, validation_alias="OPS_API_CONNECTIONS")
    """Connections at once, in all."""
    connections_per_address: int = Field(64, validation_alias="OPS_API_CONNECTIONS_PER_ADDRESS")
    """Connections at once from one address, of IPv6 from one /64; a trusted proxy's are not counted so."""
    head_bytes: int = Field(16384, validation_alias="OPS_API_HEAD_BYTES", ge=1024)
    """Size of a request's line and header fields."""
    head_fields: int = Field(100, validation_alias="OPS_API_HEAD_FIELDS", ge=16)
    head_seconds: float = Field(10.0, validation_alias="OPS_API_HEAD_SECONDS", gt=0)
    """For the TLS handshake, and again until a request's head is complete."""
    body_seconds: float = Field(15.0, validation_alias="OPS_API_BODY_SECONDS", gt=0)
    """Until a request's body is complete."""
    idle_seconds: int = Field(5, validation_alias="OPS_API_IDLE_SECONDS", ge=1)
    """Between an answer and the next request of a connection."""
    unread_seconds: float = Field(30.0, validation_alias="OPS_API_UNREAD_SECONDS", gt=0)
    """In which a client may leave an answer unread."""
    privacy_notice_url: str | None = Field(None, validation_alias="OPS_API_PRIVACY_NOTICE_URL")
    exports_url: str | None = Field(None, validation_alias="OPS_API_EXPORTS_URL")
    """The S3 endpoint in subjects' download links, when they reach it by another name than we do."""
    consent_version: str | None = Field(None, validation_alias="OPS_API_CONSENT_VERSION")
    """Version of the wording that the page asks consent to; None: it asks for none."""
    subject_table: str = Field("creators", validation_alias="OPS_API_SUBJECT_TABLE")
    """Table of the product database that holds the address on record; schema.table where needed."""
    subject_key_column: str = Field("id", validation_alias="OPS_API_SUBJECT_KEY_COLUMN")
    subject_email_column: str = Field("email", validation_alias="OPS_API_SUBJECT_EMAIL_COLUMN")


class PageSettings(Group):
    """The look of the pages for data subjects."""

    name: str | None = Field(None, validation_alias="OPS_PAGE_NAME")
    colour: str = Field("#1f3a5f", validation_alias="OPS_PAGE_COLOUR")
    logo_file: Path | None = Field(None, validation_alias="OPS_PAGE_LOGO_FILE")
    contact: str | None = Field(None, validation_alias="OPS_PAGE_CONTACT")
    """An e-mail address, or a page that begins with https://."""
    texts_file: Path | None = Field(None, validation_alias="OPS_PAGE_TEXTS_FILE")
    """YAML: texts that replace those of the pages, by language and name."""
