"""Typed Settings, read from the environment. No other module reads ``os.environ``.

Every secret ``NAME`` may be given as ``NAME_FILE`` instead, the path of a file that holds it.
When ``OPS_DATABASE_URL`` is not set and the state directory holds an ``environment`` file (the
embedded stack writes one), its lines serve as defaults: the command line then works beside a
running stack with nothing exported. Its product database is none where libpq's own variables name another.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr

from ops_platform import files
from ops_platform.environment import Environment, Group, read_environment_file
from ops_platform.errors import ConfigurationError

ENVIRONMENT_FILE = "environment"
S3_ROLES = ("backup", "backup_reader", "backup_pruner", "media", "exports", "ledger", "logs")

BACKUP_ROLES = tuple(role for role in S3_ROLES if role.startswith("backup"))
"""The roles that have an identity of their own in each repository."""

LIBPQ_TARGETS = ("PGSERVICE", "PGHOST", "PGHOSTADDR", "PGPORT", "PGDATABASE")
"""libpq's own variables that say which database is meant."""
_PRODUCT_URLS = tuple(f"OPS_PRODUCT_{role}DATABASE_URL" for role in ("", "OWNER_", "ERASER_"))

_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_BUCKET = re.compile(r"OPS_S3_BACKUP\w*_BUCKET")
_BUCKET_OF_FIRST = re.compile(r"\bPGBACKREST_REPO1_")
_OF_FIRST = re.compile(r"\bOPS_(?=S3_(ENDPOINT|REGION|URI|BACKUP|DRILL)|PGBACKREST_CIPHER_PASS|CA_FILE)")


class S3Place(Group):
    """An S3 endpoint, and the authority that signed its certificate; None: AWS, and the system's."""

    endpoint_url: str | None = None
    region: str = "us-east-1"
    uri_style: str = "path"
    ca_file: Path | None = None
    repository: int = 1
    """The number of the repository whose settings this is made of."""


class S3Identity(Group):
    """One S3 identity and the one bucket it is for."""

    role: str
    bucket: str | None = None
    prefix: str = ""
    """Put before every key, so that several installations can share a bucket; ends with a slash."""
    access_key_id: str | None = None
    secret_access_key: SecretStr | None = None
    place: S3Place | None = None
    """Where its bucket is; None: where those of all roles are."""


class S3Settings(Group):
    """The S3 endpoint, and the identity of each role in S3_ROLES."""

    endpoint_url: str | None = Field(None, validation_alias="OPS_S3_ENDPOINT_URL")
    region: str = Field("us-east-1", validation_alias="OPS_S3_REGION")
    uri_style: str = Field("path", validation_alias="OPS_S3_URI_STYLE")
    drill_bucket: str | None = Field(None, validation_alias="OPS_S3_DRILL_BUCKET")
    """Bucket with object lock in which exercises delete a copy of the repository."""
    identities: dict[str, S3Identity] = Field({})

    def identity(self, role: str) -> S3Identity:
        """Return the identity of ``role``. Raises ConfigurationError when its bucket is not configured."""
        identity = self.identities.get(role)
        if identity is None or identity.bucket is None:
            name = f"OPS_S3_{role.upper()}_BUCKET"
            raise ConfigurationError(f"no bucket is configured for the S3 role {role}: set {name}")
        return identity


class PgBackRestSettings(Group):
    """The pgBackRest program, its configuration file and the passphrase of the repositories."""

    binary: str = Field("pgbackrest", validation_alias="OPS_PGBACKREST_BINARY")
    cipher_pass: SecretStr | None = Field(None, validation_alias="OPS_PGBACKREST_CIPHER_PASS")
    config_file: Path | None = Field(None, validation_alias="OPS_PGBACKREST_CONFIG_FILE")
    """A configuration file that somebody else maintains; None: one is rendered from backups.yaml."""
    answer_seconds: float = Field(150.0, gt=0, validation_alias="OPS_PGBACKREST_ANSWER_SECONDS")
    """Timeout of commands that only read; a listing of a very large archive may take longer."""
    stall_seconds: float = Field(600.0, gt=0, validation_alias="OPS_PGBACKREST_STALL_SECONDS")
    """Time without progress after which a restore is ended."""


class SecondRepositorySettings(Group):
    """Endpoint, identities and passphrase of the second repository, named as the first one's are."""

    endpoint_url: str | None = Field(None, validation_alias="OPS_REPO2_S3_ENDPOINT_URL")
    region: str = Field("us-east-1", validation_alias="OPS_REPO2_S3_REGION")
    uri_style: str = Field("path", validation_alias="OPS_REPO2_S3_URI_STYLE")
    drill_bucket: str | None = Field(None, validation_alias="OPS_REPO2_S3_DRILL_BUCKET")
    ca_file: Path | None = Field(None, validation_alias="OPS_REPO2_CA_FILE")
    cipher_pass: SecretStr | None = Field(None, validation_alias="OPS_REPO2_PGBACKREST_CIPHER_PASS")
    identities: dict[str, S3Identity] = Field({})

    @property
    def place(self) -> S3Place:
        """The endpoint of all its roles."""
        return S3Place(
            endpoint_url=self.endpoint_url,
            region=self.region,
            uri_style=self.uri_style,
            ca_file=self.ca_file,
            repository=2,
        )


class SmtpSettings(Group):
    """The mail server, and how to sign in to it."""

    host: str = Field("127.0.0.1", validation_alias="OPS_SMTP_HOST")
    port: int = Field(25, validation_alias="OPS_SMTP_PORT")
    sender: str = Field("ops-platform@localhost", validation_alias="OPS_SMTP_SENDER")
    security: Literal["none", "starttls", "tls"] = Field("none", validation_alias="OPS_SMTP_SECURITY")
    username: str | None = Field(None, validation_alias="OPS_SMTP_USERNAME")
    password: SecretStr | None = Field(None, validation_alias="OPS_SMTP_PASSWORD")
    password_without_tls: bool = Field(False, validation_alias="OPS_SMTP_PASSWORD_WITHOUT_TLS")


class AuditSettings(Group):
    """The keys of the audit ledger's seals, and the retention of their copies."""

    signing_key: SecretStr | None = Field(None, validation_alias="OPS_AUDIT_SIGNING_KEY")
    """PEM of an Ed25519 private key; only the agent needs it."""
    public_key: str | None = Field(None, validation_alias="OPS_AUDIT_PUBLIC_KEY")
    """PEM of the Ed25519 public key that seals are checked with."""
    retention_days: int = Field(65, validation_alias="OPS_LEDGER_RETENTION_DAYS")
    """Term of the object lock on ledger copies: backup retention plus a margin."""


class DrSettings(Group):
    """The keys that references of a source are signed with and checked with."""

    signing_key: SecretStr | None = Field(None, validation_alias="OPS_DR_SIGNING_KEY")
    """PEM of the Ed25519 key that references of the source are signed with."""
    public_key: str | None = Field(None, validation_alias="OPS_DR_PUBLIC_KEY")


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


class AgentSettings(Group):
    """The agent's HTTP address, and the pauses between the rounds of its loops, in seconds."""

    listen_host: str = Field("127.0.0.1", validation_alias="OPS_AGENT_LISTEN_HOST")
    listen_port: int = Field(9187, validation_alias="OPS_AGENT_LISTEN_PORT")
    heartbeat_seconds: float = Field(10.0, validation_alias="OPS_HEARTBEAT_SECONDS")
    seal_seconds: float = Field(60.0, validation_alias="OPS_SEAL_SECONDS")
    refresh_seconds: float = Field(15.0, validation_alias="OPS_AGENT_REFRESH_SECONDS")
    """Pause between two reads of the repository (for the RPO) and of the ops database (for metrics)."""


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


class DemoSettings(Group):
    """The demo product: its size, its past and its made-up traffic."""

    scale: float | None = Field(None, validation_alias="OPS_DEMO_SCALE")
    """Size of the demo product's seed data; 1 is about 100 MB. None: as it was seeded before, else 1."""
    traffic_listen_host: str = Field("127.0.0.1", validation_alias="OPS_TRAFFIC_LISTEN_HOST")
    traffic_listen_port: int = Field(9188, validation_alias="OPS_TRAFFIC_LISTEN_PORT")
    traffic_rate: float = Field(4.0, validation_alias="OPS_TRAFFIC_RATE")
    """Requests a second of the traffic service."""
    traffic_seed: int = Field(1, validation_alias="OPS_TRAFFIC_SEED")
    history_days: float = Field(30, validation_alias="OPS_DEMO_HISTORY_DAYS")
    """Days of the demo product's past in the embedded Prometheus; 0: none."""


class Settings(Group):
    """All settings of the process."""

    environ: dict[str, SecretStr]
    config_dir: Path = Field(default_factory=files.default_config_dir, validation_alias="OPS_CONFIG_DIR")
    state_dir: Path
    ca_file: Path | None = Field(None, validation_alias="OPS_CA_FILE")
    run_as: str | None = None
    """System user for PostgreSQL and pgBackRest when we are root; None otherwise."""
    database_url: str | None = Field(None, validation_alias="OPS_DATABASE_URL")
    owner_database_url: str | None = Field(None, validation_alias="OPS_OWNER_DATABASE_URL")
    product_database_url: str | None = Field(None, validation_alias="OPS_PRODUCT_DATABASE_URL")
    product_owner_database_url: str | None = Field(None, validation_alias="OPS_PRODUCT_OWNER_DATABASE_URL")
    product_eraser_database_url: str | None = Field(None, validation_alias="OPS_PRODUCT_ERASER_DATABASE_URL")
    """The product database as the role that erases; None: product_database_url is used."""
    dagster_storage_url: str | None = Field(None, validation_alias="OPS_DAGSTER_STORAGE_URL")
    redis_url: str | None = Field(None, validation_alias="OPS_REDIS_URL")
    redis_password: SecretStr | None = Field(None, validation_alias="OPS_REDIS_PASSWORD")
    prometheus_url: str | None = Field(None, validation_alias="OPS_PROMETHEUS_URL")
    prometheus_replica_labels: tuple[str, ...] = Field((), validation_alias="OPS_PROMETHEUS_REPLICA_LABELS")
    """Labels that tell replicas of Prometheus apart, when several write into the one that is queried."""
    alertmanager_url: str | None = Field(None, validation_alias="OPS_ALERTMANAGER_URL")
    api_url: str | None = Field(None, validation_alias="OPS_API_URL")
    dagster_url: str | None = Field(None, validation_alias="OPS_DAGSTER_URL")
    dagster_readonly_url: str | None = Field(None, validation_alias="OPS_DAGSTER_READONLY_URL")
    metrics_url: str | None = Field(None, validation_alias="OPS_METRICS_URL")
    mail_dir: Path | None = Field(None, validation_alias="OPS_MAIL_DIR")
    s3: S3Settings = S3Settings()
    pgbackrest: PgBackRestSettings = PgBackRestSettings()
    second_repository: SecondRepositorySettings = SecondRepositorySettings()
    smtp: SmtpSettings = SmtpSettings()
    audit: AuditSettings = AuditSettings()
    dr: DrSettings = DrSettings()
    gdpr: GdprSettings = GdprSettings()
    agent: AgentSettings = AgentSettings()
    api: ApiSettings = ApiSettings()
    page: PageSettings = PageSettings()
    jwt: JwtSettings = JwtSettings()
    demo: DemoSettings = DemoSettings()

    def require(self, name: str) -> str:
        """Return the field ``name`` as text.

        Raises ConfigurationError when it is not set; the message names the environment variable.
        """
        value = getattr(self, name)
        if value is None:
            variable, libpq = f"OPS_{name.upper()}", self.libpq_target
            if variable in _PRODUCT_URLS and libpq is not None:
                raise ConfigurationError(
                    f"{variable} is not set, and {libpq} names another database than a running stack's: "
                    f"set {variable} or unset {libpq}"
                )
            raise ConfigurationError(
                f"{variable} is not set: start the stack with 'ops-platform up' or set it"
            )
        return str(value)

    @property
    def libpq_target(self) -> str | None:
        """The first of libpq's own variables that names a database; None where no one does."""
        return next((name for name in LIBPQ_TARGETS if name in self.environ), None)

    def s3_place(self, role: str) -> S3Place:
        """Return the endpoint at which the bucket of ``role`` is."""
        identity = self.s3.identities.get(role)
        if identity is not None and identity.place is not None:
            return identity.place
        return S3Place(
            endpoint_url=self.s3.endpoint_url,
            region=self.s3.region,
            uri_style=self.s3.uri_style,
            ca_file=self.ca_file,
        )

    def in_second_repository(self, bucket: str) -> Settings:
        """Return the settings for work on the second repository, which is in ``bucket``.

        The backup roles, the passphrase and the drill bucket are its own, everything else is as before.
        """
        second = self.second_repository
        own = {
            role: identity.model_copy(update={"bucket": bucket, "place": second.place})
            for role, identity in second.identities.items()
        }
        changed = {"identities": {**self.s3.identities, **own}, "drill_bucket": second.drill_bucket}
        return self.model_copy(
            update={
                "s3": self.s3.model_copy(update=changed),
                "pgbackrest": self.pgbackrest.model_copy(update={"cipher_pass": second.cipher_pass}),
            }
        )

    def expand(self, text: str, where: str) -> str:
        """Replace each ``${NAME}`` in ``text`` by the environment's value.

        Raises ConfigurationError when a variable is not set; ``where`` names the file and key in its message.
        """

        def value(match: re.Match[str]) -> str:
            name = match.group(1)
            if name not in self.environ:
                raise ConfigurationError(f"{where}: environment variable {name} is not set")
            return self.environ[name].get_secret_value()

        return _REFERENCE.sub(value, text)


def named_for(repository: int, text: str) -> str:
    """Name in a message the settings of the second repository where it names those of the first."""
    if repository == 1:
        return text
    text = _BUCKET.sub(f"the bucket of repository {repository} in backups.yaml", text)
    text = _OF_FIRST.sub(f"OPS_REPO{repository}_", text)
    return _BUCKET_OF_FIRST.sub(f"PGBACKREST_REPO{repository}_", text)


def default_state_dir(environ: Mapping[str, str]) -> Path:
    """Return ``/var/lib/ops-platform`` for root, else the directory that XDG prescribes for state.

    PostgreSQL's user cannot reach /root.
    """
    if os.geteuid() == 0:
        return Path("/var/lib/ops-platform")
    base = environ.get("XDG_STATE_HOME") or str(
        Path(environ.get("HOME", "~")).expanduser() / ".local" / "state"
    )
    return Path(base) / "ops-platform"


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings from ``environ`` (default: the process's own environment).

    Works with an empty environment. Raises ConfigurationError on a malformed number, a
    ``_FILE`` that cannot be read, or a variable given in both forms.
    """
    given = dict(os.environ if environ is None else environ)
    variables = dict(given)
    state_dir = Path(variables.get("OPS_STATE_DIR") or default_state_dir(variables))
    if "OPS_DATABASE_URL" not in variables:
        stack = _environment_file(state_dir / ENVIRONMENT_FILE)
        variables = {**_stack_defaults(stack, variables), **variables}
    # What libpq's own variables name is meant for every role; a file of stanzas may go on naming the stack's.
    elsewhere = any(name in given for name in LIBPQ_TARGETS)
    environment = Environment(
        {
            name: value
            for name, value in variables.items()
            if name in given or not (elsewhere and name in _PRODUCT_URLS)
        }
    )
    run_as = environment.text("OPS_RUN_AS_USER") or "postgres"
    identities = {role: _identity(environment, role) for role in S3_ROLES}
    of_second = {role: _identity(environment, role, "REPO2_") for role in BACKUP_ROLES}
    return environment.group(
        Settings,
        environ={name: SecretStr(value) for name, value in variables.items()},
        state_dir=state_dir,
        run_as=run_as if os.geteuid() == 0 else None,
        s3=environment.group(S3Settings, identities=identities),
        second_repository=environment.group(SecondRepositorySettings, identities=of_second),
    )


def _stack_defaults(stack: Mapping[str, str], variables: Mapping[str, str]) -> dict[str, str]:
    """Select from a stack's environment file what may serve as default beside ``variables``.

    A product database that is named there is meant for every role: the stack's own is then neither
    migrated nor erased from.
    """
    other_product = "OPS_PRODUCT_DATABASE_URL" in variables
    return {name: value for name, value in stack.items() if not (other_product and name in _PRODUCT_URLS)}


def _environment_file(path: Path) -> dict[str, str]:
    try:
        return read_environment_file(path)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return {}


def _identity(environment: Environment, role: str, of: str = "") -> S3Identity:
    """Read the identity of a role; the bucket of a second repository's is in backups.yaml alone."""
    prefix, first = f"OPS_{of}S3_{role.upper()}", not of
    bucket = environment.text(f"{prefix}_BUCKET") if first else None
    if first and role in BACKUP_ROLES:
        bucket = bucket or environment.text("PGBACKREST_REPO1_S3_BUCKET")
    return S3Identity(
        role=role,
        bucket=bucket,
        prefix=(environment.text(f"{prefix}_PREFIX") or "") if first else "",
        access_key_id=environment.text(f"{prefix}_ACCESS_KEY_ID"),
        secret_access_key=environment.secret(f"{prefix}_SECRET_ACCESS_KEY"),
    )
