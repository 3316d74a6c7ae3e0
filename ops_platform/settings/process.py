"""All settings of the process, in one value."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

from pydantic import Field, SecretStr

from ops_platform import files
from ops_platform.environment import Group
from ops_platform.errors import ConfigurationError
from ops_platform.settings.data_subjects import ApiSettings, GdprSettings, JwtSettings, PageSettings
from ops_platform.settings.duties import AgentSettings, AuditSettings, DemoSettings, DrSettings, SmtpSettings
from ops_platform.settings.guard import GuardSettings
from ops_platform.settings.host import HostSettings
from ops_platform.settings.object_storage import (
    PgBackRestSettings,
    S3Place,
    S3Settings,
    SecondRepositorySettings,
)
from ops_platform.settings.prometheus import PrometheusSettings, of_no_source, of_source

LIBPQ_TARGETS = ("PGSERVICE", "PGHOST", "PGHOSTADDR", "PGPORT", "PGDATABASE")
"""libpq's own variables that say which database is meant."""
PRODUCT_URLS = tuple(f"OPS_PRODUCT_{role}DATABASE_URL" for role in ("", "OWNER_", "ERASER_"))
"""The variables that name the product database, one a role."""

_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


class Settings(Group):
    """All settings of the process."""

    environ: dict[str, SecretStr]
    config_dir: Path = Field(default_factory=files.default_config_dir, validation_alias="OPS_CONFIG_DIR")
    state_dir: Path
    ca_file: Path | None = Field(None, validation_alias="OPS_CA_FILE")
    run_as: str | None = None
    """System user for PostgreSQL and pgBackRest when we are root; None otherwise."""
    host: HostSettings = HostSettings()
    database_url: str | None = Field(None, validation_alias="OPS_DATABASE_URL")
    owner_database_url: str | None = Field(None, validation_alias="OPS_OWNER_DATABASE_URL")
    analyst_database_url: str | None = Field(None, validation_alias="OPS_ANALYST_DATABASE_URL")
    """The ops database as the role that only reads counts and figures; None: database_url is used."""
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
    prometheus: PrometheusSettings = PrometheusSettings()
    alertmanager_url: str | None = Field(None, validation_alias="OPS_ALERTMANAGER_URL")
    runbook_url: str | None = Field(None, validation_alias="OPS_RUNBOOK_URL")
    api_url: str | None = Field(None, validation_alias="OPS_API_URL")
    dagster_url: str | None = Field(None, validation_alias="OPS_DAGSTER_URL")
    dagster_readonly_url: str | None = Field(None, validation_alias="OPS_DAGSTER_READONLY_URL")
    dagster_token: SecretStr | None = Field(None, validation_alias="OPS_DAGSTER_TOKEN")
    """Token by which our own programs are let in by the guard before Dagster."""
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
    guard: GuardSettings = GuardSettings()
    demo: DemoSettings = DemoSettings()

    def require(self, name: str) -> str:
        """Return the field ``name`` as text.

        Raises ConfigurationError when it is not set; the message names the environment variable.
        """
        value = getattr(self, name)
        if value is None:
            variable, libpq = f"OPS_{name.upper()}", self.libpq_target
            if variable in PRODUCT_URLS and libpq is not None:
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

    def prometheus_of(self, name: str) -> PrometheusSettings | None:
        """Read what is set for one server of OPS_PROMETHEUS_URLS; None: nothing of its own is.

        Raises ConfigurationError.
        """
        return of_source(name, self.environ)

    def prometheus_for_others(self, names: Collection[str]) -> str | None:
        """Find a variable that is set for a Prometheus which is none of ``names``; None: there is none."""
        return of_no_source(names, self.environ)

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
