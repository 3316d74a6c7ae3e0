"""Environment -> typed Settings. The only module that reads ``os.environ``.

Every secret ``NAME`` may be given as ``NAME_FILE`` instead, the path of a file that holds it.
When ``OPS_DATABASE_URL`` is not set and the state directory holds an ``environment`` file (the
embedded stack writes one), its lines serve as defaults: the command line then works beside a
running stack with nothing exported.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, SecretStr

from ops_platform import files
from ops_platform.environment import Environment, read_environment_file
from ops_platform.errors import ConfigurationError

ENVIRONMENT_FILE = "environment"
S3_ROLES = ("backup", "backup_reader", "media", "exports", "ledger", "logs")

_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


class _Group(BaseModel):
    model_config = ConfigDict(frozen=True)


class S3Identity(_Group):
    """One S3 identity and the one bucket it is for."""

    role: str
    bucket: str | None = None
    prefix: str = ""
    """Put before every key, so that several installations can share a bucket; ends with a slash."""
    access_key_id: str | None = None
    secret_access_key: SecretStr | None = None


class S3Settings(_Group):
    endpoint_url: str | None = None
    region: str = "us-east-1"
    uri_style: str = "path"
    identities: dict[str, S3Identity] = {}

    def identity(self, role: str) -> S3Identity:
        """The identity of ``role``. Raises ConfigurationError when its bucket is not configured."""
        identity = self.identities.get(role)
        if identity is None or identity.bucket is None:
            name = f"OPS_S3_{role.upper()}_BUCKET"
            raise ConfigurationError(f"no bucket is configured for the S3 role {role}: set {name}")
        return identity


class PgBackRestSettings(_Group):
    binary: str = "pgbackrest"
    cipher_pass: SecretStr | None = None
    config_file: Path | None = None
    """A configuration file somebody else keeps; None renders one from backups.yaml."""


class SmtpSettings(_Group):
    host: str = "127.0.0.1"
    port: int = 25
    sender: str = "ops-platform@localhost"
    security: Literal["none", "starttls", "tls"] = "none"
    username: str | None = None
    password: SecretStr | None = None


class AuditSettings(_Group):
    signing_key: SecretStr | None = None
    """PEM of an Ed25519 private key; only the agent needs it."""
    public_key: str | None = None
    """PEM of the Ed25519 public key that seals are checked with."""
    retention_days: int = 65
    """Term of the object lock on ledger copies: backup retention plus a margin."""


class DrSettings(_Group):
    signing_key: SecretStr | None = None
    """PEM of the Ed25519 key that references of the source are signed with."""
    public_key: str | None = None


class GdprSettings(_Group):
    encryption_key: SecretStr | None = None
    """32 random bytes in base64, for tombstones under object lock and inventories; older keys may follow
    the newest one, separated by commas."""
    signing_key: SecretStr | None = None
    """PEM of the Ed25519 key that erasure certificates are signed with."""
    public_key: str | None = None


class AgentSettings(_Group):
    listen_host: str = "127.0.0.1"
    listen_port: int = 9187
    heartbeat_seconds: float = 10.0
    seal_seconds: float = 60.0
    refresh_seconds: float = 15.0
    """How often the agent looks at the repository for RPO and at the ops database for metrics."""


class JwtSettings(_Group):
    """The bearer tokens of data subjects: who issues them, and the keys they are checked with."""

    issuer: str | None = None
    audience: str | None = None
    algorithms: tuple[str, ...] = ("RS256", "ES256", "EdDSA")
    jwks_file: Path | None = None
    jwks_url: str | None = None
    leeway_seconds: float = 30.0
    signing_key: SecretStr | None = None
    """PEM of the embedded stack's own Ed25519 key, for ``gdpr token``; nobody else has one."""


class ApiSettings(_Group):
    listen_host: str = "127.0.0.1"
    listen_port: int = 9443
    metrics_listen_host: str = "127.0.0.1"
    metrics_listen_port: int = 9189
    certificate_file: Path | None = None
    """Chain in PEM; without it the API speaks plain HTTP, for a proxy on the same machine."""
    key_file: Path | None = None
    trusted_proxies: tuple[str, ...] = ()
    """Addresses or networks whose X-Forwarded-For is believed."""
    rate_limit: int = 5
    """Requests in any 15 minutes for each address and for each subject."""
    privacy_notice_url: str | None = None
    exports_url: str | None = None
    """The S3 endpoint in the links that subjects get, where they reach it by another name than we do."""
    consent_version: str | None = None
    """Names the wording that the page asks consent to; None: it asks for none."""
    subject_table: str = "creators"
    """Table of the product database that holds the address on record; schema.table where needed."""
    subject_key_column: str = "id"
    subject_email_column: str = "email"


class DemoSettings(_Group):
    scale: float | None = None
    """How much the demo product is seeded with; None: as it was seeded before, else 1, about 100 MB."""
    traffic_listen_host: str = "127.0.0.1"
    traffic_listen_port: int = 9188
    traffic_rate: float = 4.0
    """Requests a second that the traffic service makes up."""
    traffic_seed: int = 1
    history_days: float = 30
    """Days of the demo product's past in the embedded Prometheus; 0: none."""


class Settings(_Group):
    """Everything the process was told from outside."""

    environ: dict[str, SecretStr]
    config_dir: Path
    state_dir: Path
    ca_file: Path | None = None
    run_as: str | None = None
    """System user for PostgreSQL and pgBackRest when we are root; None otherwise."""
    database_url: str | None = None
    owner_database_url: str | None = None
    product_database_url: str | None = None
    product_owner_database_url: str | None = None
    product_eraser_database_url: str | None = None
    """The product database as the role that erases; where it is not set, product_database_url serves."""
    dagster_storage_url: str | None = None
    redis_url: str | None = None
    redis_password: SecretStr | None = None
    prometheus_url: str | None = None
    prometheus_replica_labels: tuple[str, ...] = ()
    """Labels that tell replicas of Prometheus apart, where several write into the one that is asked."""
    alertmanager_url: str | None = None
    api_url: str | None = None
    dagster_url: str | None = None
    dagster_readonly_url: str | None = None
    metrics_url: str | None = None
    mail_dir: Path | None = None
    s3: S3Settings = S3Settings()
    pgbackrest: PgBackRestSettings = PgBackRestSettings()
    smtp: SmtpSettings = SmtpSettings()
    audit: AuditSettings = AuditSettings()
    dr: DrSettings = DrSettings()
    gdpr: GdprSettings = GdprSettings()
    agent: AgentSettings = AgentSettings()
    api: ApiSettings = ApiSettings()
    jwt: JwtSettings = JwtSettings()
    demo: DemoSettings = DemoSettings()

    def require(self, name: str) -> str:
        """A field that the caller cannot do without, as text.

        Raises ConfigurationError that names the environment variable to set.
        """
        value = getattr(self, name)
        if value is None:
            raise ConfigurationError(
                f"OPS_{name.upper()} is not set: start the stack with 'ops-platform up' or set it"
            )
        return str(value)

    def expand(self, text: str, where: str) -> str:
        """Replace ``${NAME}`` by the environment's value; ``where`` names the file and key.

        Raises ConfigurationError when a variable is not set.
        """

        def value(match: re.Match[str]) -> str:
            name = match.group(1)
            if name not in self.environ:
                raise ConfigurationError(f"{where}: environment variable {name} is not set")
            return self.environ[name].get_secret_value()

        return _REFERENCE.sub(value, text)

    @cached_property
    def is_root(self) -> bool:
        return os.geteuid() == 0


def default_state_dir(environ: Mapping[str, str]) -> Path:
    """``/var/lib/ops-platform`` for root (PostgreSQL's user cannot reach /root), else XDG's place."""
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
    state_dir = Path(given.get("OPS_STATE_DIR") or default_state_dir(given))
    if "OPS_DATABASE_URL" not in given:
        given = {**_defaults(_environment_file(state_dir / ENVIRONMENT_FILE), given), **given}
    return _Reader(given).settings(state_dir)


def _defaults(stack: Mapping[str, str], given: Mapping[str, str]) -> dict[str, str]:
    """Of a stack's environment file, what may stand beside ``given``.

    Whoever names a product database means that one in every role: nothing of his is erased elsewhere.
    """
    other = "OPS_PRODUCT_DATABASE_URL" in given
    roles = ("OPS_PRODUCT_OWNER_DATABASE_URL", "OPS_PRODUCT_ERASER_DATABASE_URL")
    return {name: value for name, value in stack.items() if not (other and name in roles)}


def _environment_file(path: Path) -> dict[str, str]:
    try:
        return read_environment_file(path)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return {}


class _Reader(Environment):
    def group(self, kind: type[_Group], **values: Any) -> Any:
        return kind(**{key: value for key, value in values.items() if value is not None})

    def identity(self, role: str) -> S3Identity:
        prefix = f"OPS_S3_{role.upper()}"
        bucket = self.text(f"{prefix}_BUCKET")
        if role in ("backup", "backup_reader"):
            bucket = bucket or self.text("PGBACKREST_REPO1_S3_BUCKET")
        return S3Identity(
            role=role,
            bucket=bucket,
            prefix=self.text(f"{prefix}_PREFIX") or "",
            access_key_id=self.text(f"{prefix}_ACCESS_KEY_ID"),
            secret_access_key=self.secret(f"{prefix}_SECRET_ACCESS_KEY"),
        )

    def settings(self, state_dir: Path) -> Settings:
        run_as = self.text("OPS_RUN_AS_USER") or "postgres"
        return Settings(
            environ={name: SecretStr(value) for name, value in self.values.items()},
            config_dir=self.path("OPS_CONFIG_DIR") or files.default_config_dir(),
            state_dir=state_dir,
            ca_file=self.path("OPS_CA_FILE"),
            run_as=run_as if os.geteuid() == 0 else None,
            database_url=self.text("OPS_DATABASE_URL"),
            owner_database_url=self.text("OPS_OWNER_DATABASE_URL"),
            product_database_url=self.text("OPS_PRODUCT_DATABASE_URL"),
            product_owner_database_url=self.text("OPS_PRODUCT_OWNER_DATABASE_URL"),
            product_eraser_database_url=self.text("OPS_PRODUCT_ERASER_DATABASE_URL"),
            dagster_storage_url=self.text("OPS_DAGSTER_STORAGE_URL"),
            redis_url=self.text("OPS_REDIS_URL"),
            redis_password=self.secret("OPS_REDIS_PASSWORD"),
            prometheus_url=self.text("OPS_PROMETHEUS_URL"),
            prometheus_replica_labels=self.names("OPS_PROMETHEUS_REPLICA_LABELS") or (),
            alertmanager_url=self.text("OPS_ALERTMANAGER_URL"),
            api_url=self.text("OPS_API_URL"),
            dagster_url=self.text("OPS_DAGSTER_URL"),
            dagster_readonly_url=self.text("OPS_DAGSTER_READONLY_URL"),
            metrics_url=self.text("OPS_METRICS_URL"),
            mail_dir=self.path("OPS_MAIL_DIR"),
            s3=self.group(
                S3Settings,
                endpoint_url=self.text("OPS_S3_ENDPOINT_URL"),
                region=self.text("OPS_S3_REGION"),
                uri_style=self.text("OPS_S3_URI_STYLE"),
                identities={role: self.identity(role) for role in S3_ROLES},
            ),
            pgbackrest=self.group(
                PgBackRestSettings,
                binary=self.text("OPS_PGBACKREST_BINARY"),
                cipher_pass=self.secret("OPS_PGBACKREST_CIPHER_PASS"),
                config_file=self.path("OPS_PGBACKREST_CONFIG_FILE"),
            ),
            smtp=self.group(
                SmtpSettings,
                host=self.text("OPS_SMTP_HOST"),
                port=self.number("OPS_SMTP_PORT"),
                sender=self.text("OPS_SMTP_SENDER"),
                security=self.choice("OPS_SMTP_SECURITY", ("none", "starttls", "tls")),
                username=self.text("OPS_SMTP_USERNAME"),
                password=self.secret("OPS_SMTP_PASSWORD"),
            ),
            audit=self.group(
                AuditSettings,
                signing_key=self.secret("OPS_AUDIT_SIGNING_KEY"),
                public_key=self.text("OPS_AUDIT_PUBLIC_KEY"),
                retention_days=self.number("OPS_LEDGER_RETENTION_DAYS"),
            ),
            dr=self.group(
                DrSettings,
                signing_key=self.secret("OPS_DR_SIGNING_KEY"),
                public_key=self.text("OPS_DR_PUBLIC_KEY"),
            ),
            gdpr=self.group(
                GdprSettings,
                encryption_key=self.secret("OPS_GDPR_ENCRYPTION_KEY"),
                signing_key=self.secret("OPS_GDPR_SIGNING_KEY"),
                public_key=self.text("OPS_GDPR_PUBLIC_KEY"),
            ),
            agent=self.group(
                AgentSettings,
                listen_host=self.text("OPS_AGENT_LISTEN_HOST"),
                listen_port=self.number("OPS_AGENT_LISTEN_PORT"),
                heartbeat_seconds=self.number("OPS_HEARTBEAT_SECONDS"),
                seal_seconds=self.number("OPS_SEAL_SECONDS"),
                refresh_seconds=self.number("OPS_AGENT_REFRESH_SECONDS"),
            ),
            api=self.group(
                ApiSettings,
                listen_host=self.text("OPS_API_LISTEN_HOST"),
                listen_port=self.number("OPS_API_LISTEN_PORT"),
                metrics_listen_host=self.text("OPS_API_METRICS_LISTEN_HOST"),
                metrics_listen_port=self.number("OPS_API_METRICS_LISTEN_PORT"),
                certificate_file=self.path("OPS_API_CERTIFICATE_FILE"),
                key_file=self.path("OPS_API_KEY_FILE"),
                trusted_proxies=self.names("OPS_API_TRUSTED_PROXIES"),
                rate_limit=self.number("OPS_API_RATE_LIMIT"),
                privacy_notice_url=self.text("OPS_API_PRIVACY_NOTICE_URL"),
                exports_url=self.text("OPS_API_EXPORTS_URL"),
                consent_version=self.text("OPS_API_CONSENT_VERSION"),
                subject_table=self.text("OPS_API_SUBJECT_TABLE"),
                subject_key_column=self.text("OPS_API_SUBJECT_KEY_COLUMN"),
                subject_email_column=self.text("OPS_API_SUBJECT_EMAIL_COLUMN"),
            ),
            jwt=self.group(
                JwtSettings,
                issuer=self.text("OPS_JWT_ISSUER"),
                audience=self.text("OPS_JWT_AUDIENCE"),
                algorithms=self.names("OPS_JWT_ALGORITHMS"),
                jwks_file=self.path("OPS_JWT_JWKS_FILE"),
                jwks_url=self.text("OPS_JWT_JWKS_URL"),
                leeway_seconds=self.number("OPS_JWT_LEEWAY_SECONDS"),
                signing_key=self.secret("OPS_JWT_SIGNING_KEY"),
            ),
            demo=self.group(
                DemoSettings,
                scale=self.number("OPS_DEMO_SCALE"),
                traffic_listen_host=self.text("OPS_TRAFFIC_LISTEN_HOST"),
                traffic_listen_port=self.number("OPS_TRAFFIC_LISTEN_PORT"),
                traffic_rate=self.number("OPS_TRAFFIC_RATE"),
                traffic_seed=self.number("OPS_TRAFFIC_SEED"),
                history_days=self.number("OPS_DEMO_HISTORY_DAYS"),
            ),
        )
