"""What work on one stanza needs, opened together: settings, the stanza, pgBackRest."""

from __future__ import annotations

from dataclasses import dataclass

from ops_platform.backup import pgbackrest_conf
from ops_platform.backup.pgbackrest_conf import PgBackRestPaths
from ops_platform.backup.stanza import BackupConfig, Stanza, choose, load_backups
from ops_platform.clients.pgbackrest import PgBackRest
from ops_platform.settings import Settings

# pgBackRest's own PGBACKREST_* beat its configuration file, so a child gets these and no more.
# The time zone is always UTC: labels are made of the local time.
_PASSED_ON = ("PATH", "HOME")


@dataclass(frozen=True)
class BackupContext:
    settings: Settings
    config: BackupConfig
    stanza: Stanza
    pgbackrest: PgBackRest
    paths: PgBackRestPaths

    @property
    def database_url(self) -> str:
        """The stanza's own server."""
        return self.stanza.database_url(self.settings)

    @property
    def ops_url(self) -> str:
        """The ops database."""
        return self.settings.require("database_url")

    def repository_uri(self, label: str) -> str:
        """Where a set lies, for people and records."""
        repository = self.config.repository
        return (
            f"s3://{repository.bucket_name(self.settings)}{repository.path}/backup/{self.stanza.name}/{label}"
        )


def open_context(settings: Settings, stanza: str) -> BackupContext:
    """The context of one stanza, with pgBackRest's configuration brought up to date.

    Writes that file when it differs, and does no network. Raises ConfigurationError.
    """
    config = load_backups(settings)
    chosen = config.stanzas[choose(config, stanza)]
    paths = pgbackrest_conf.production_paths(settings)
    config_file = settings.pgbackrest.config_file
    if config_file is None:
        config_file = paths.config_file
        pgbackrest_conf.prepare_directories(paths, settings.run_as)
        pgbackrest_conf.write(config_file, pgbackrest_conf.render(settings, config, paths), settings.run_as)
    environment = {
        name: settings.environ[name].get_secret_value() for name in _PASSED_ON if name in settings.environ
    }
    pgbackrest = PgBackRest(
        settings.pgbackrest.binary, config_file, chosen.name, settings.run_as, environment
    )
    return BackupContext(settings, config, chosen, pgbackrest, paths)
