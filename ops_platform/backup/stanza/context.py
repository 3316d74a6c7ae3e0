"""Context of one stanza, opened from the settings: its configuration and pgBackRest."""

from __future__ import annotations

from dataclasses import dataclass, field

from ops_platform.backup.stanza import pgbackrest_conf
from ops_platform.backup.stanza.config_file import load_backups
from ops_platform.backup.stanza.model import BackupConfig, Stanza, choose_stanza
from ops_platform.backup.stanza.pgbackrest_conf import PgBackRestPaths
from ops_platform.clients.pgbackrest import PgBackRest
from ops_platform.settings import Settings

# pgBackRest's own PGBACKREST_* beat its configuration file, so a child gets these and no more.
# The time zone is always UTC: labels are made of the local time.
_PASSED_ON = ("PATH", "HOME")


@dataclass(frozen=True)
class BackupContext:
    """Settings, stanza and pgBackRest, as any work on one stanza needs them."""

    settings: Settings
    config: BackupConfig
    stanza: Stanza
    pgbackrest: PgBackRest
    paths: PgBackRestPaths
    configuration: str | None = field(repr=False)
    """Text that pgBackRest's configuration should have; None when OPS_PGBACKREST_CONFIG_FILE is set."""

    @property
    def database_url(self) -> str:
        """URL of the stanza's own server. Raises ConfigurationError when a variable of it is not set."""
        return self.stanza.database_url(self.settings)

    @property
    def ops_url(self) -> str:
        """URL of the ops database. Raises ConfigurationError when it is not set."""
        return self.settings.require("database_url")

    @property
    def reads_live(self) -> bool:
        """Tell whether its configuration is the stanza's own: a workspace's may be of another repository."""
        own = self.settings.pgbackrest.config_file
        own = own or pgbackrest_conf.production_paths(self.settings).config_file
        return self.pgbackrest.config_file.parent == own.parent

    def repository_uri(self, label: str) -> str:
        """Name the place of a set (``s3://...``), for people and records."""
        repository = self.config.repository
        path = self.pgbackrest.layout.set(label)
        return f"s3://{repository.bucket_name(self.settings)}/{repository.key_prefix}{path}"


def open_context(settings: Settings, stanza: str) -> BackupContext:
    """Open the context of one stanza without using the network. Raises ConfigurationError.

    pgBackRest's configuration is written if there is none. One that differs from the settings is left
    alone, since the server archives with it: this context works with a file beside it, until a
    preflight has shown that this file works and adopts it.
    """
    config = load_backups(settings)
    chosen = config.stanzas[choose_stanza(config, stanza)]
    paths = pgbackrest_conf.production_paths(settings)
    config_file, text = settings.pgbackrest.config_file, None
    if config_file is None:
        text = pgbackrest_conf.render(settings, config, paths)
        pgbackrest_conf.prepare_directories(paths, settings.run_as)
        config_file = pgbackrest_conf.place(paths.config_file, text, settings.run_as)
    environment = {
        name: settings.environ[name].get_secret_value() for name in _PASSED_ON if name in settings.environ
    }
    pgbackrest = PgBackRest(
        settings.pgbackrest.binary,
        config_file,
        chosen.name,
        settings.run_as,
        environment,
        settings.pgbackrest.answer_seconds,
        settings.pgbackrest.stall_seconds,
    )
    return BackupContext(settings, config, chosen, pgbackrest, paths, text)


def adopt_configuration(ctx: BackupContext) -> bool:
    """Give the server the configuration that this context has proved; True when the file changed."""
    if ctx.configuration is None:
        return False
    return pgbackrest_conf.write(ctx.paths.config_file, ctx.configuration, ctx.settings.run_as)
