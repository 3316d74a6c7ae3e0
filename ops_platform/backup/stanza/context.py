"""Context of one stanza, opened from the settings: its configuration and pgBackRest."""

from __future__ import annotations

from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path

from ops_platform.backup.stanza import pgbackrest_conf
from ops_platform.backup.stanza.config_file import load_backups
from ops_platform.backup.stanza.living_here import restrict
from ops_platform.backup.stanza.model import BackupConfig, Stanza, choose_stanza
from ops_platform.backup.stanza.pgbackrest_conf import PgBackRestPaths
from ops_platform.clients.pgbackrest import PgBackRest
from ops_platform.errors import ConfigurationError
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
    served: tuple[Settings, BackupConfig] | None = field(repr=False)
    """What the server's configuration is made of; None when OPS_PGBACKREST_CONFIG_FILE is set."""
    whole: tuple[Settings, BackupConfig] | None = field(default=None, repr=False)
    """Settings and file with all repositories, of which this context has one; None where there is one."""

    def in_other_repositories(self) -> list[BackupContext]:
        """Open the context of the same cluster in each other repository. Raises ConfigurationError."""
        if self.whole is None:
            return []
        settings, config = self.whole
        return [
            open_context(settings, other.name)
            for other in config.siblings(self.stanza)
            if other.name != self.stanza.name
        ]

    @property
    def configuration(self) -> str | None:
        """Text that the server's configuration should have; None when it is somebody else's.

        Made when it is asked for: work on one repository needs the secrets of that one alone. Raises
        ConfigurationError.
        """
        if self.served is None:
            return None
        return pgbackrest_conf.render_for_server(_views(*self.served), self.paths)

    @property
    def configuration_of_first(self) -> str | None:
        """The same as if the first repository were the only one. Raises ConfigurationError."""
        if self.served is None:
            return None
        return pgbackrest_conf.render_for_server(_views(*self.served)[:1], self.paths)

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
    """Open the context of one stanza in one repository, without the network. Raises ConfigurationError.

    pgBackRest's configuration is written if there is none. One that differs from the settings is left
    alone, since the server archives with it: this context works with a file beside it, until a
    preflight has shown that this file works and adopts it.
    """
    config = load_backups(settings)
    chosen = config.stanzas[choose_stanza(config, stanza)]
    paths = pgbackrest_conf.production_paths(settings)
    _refuse_two(settings, config)
    its_settings, its_config = _view(settings, config, chosen.repository)
    config_file = settings.pgbackrest.config_file
    # The servers of this host archive with it; variables of other hosts' stanzas are not there.
    here = restrict(settings, config, chosen.cluster)
    served = (settings, here) if config_file is None else None
    if config_file is None:
        pgbackrest_conf.prepare_directories(paths, settings.run_as)
        config_file = _placed(settings, here, chosen.repository, paths)
    environment = {
        name: settings.environ[name].get_secret_value() for name in _PASSED_ON if name in settings.environ
    }
    pgbackrest = PgBackRest(
        settings.pgbackrest.binary,
        config_file,
        chosen.cluster,
        settings.run_as,
        environment,
        settings.pgbackrest.answer_seconds,
        settings.pgbackrest.stall_seconds,
        repository=chosen.repository,
    )
    whole = None if config.second is None else (settings, config)
    return BackupContext(its_settings, its_config, chosen, pgbackrest, paths, served, whole)


def _placed(settings: Settings, config: BackupConfig, number: int, paths: PgBackRestPaths) -> Path:
    """Write the files that are missing, and return that of one repository.

    Servers archive into all repositories, everything else works on one of them.
    """
    run_as = settings.run_as
    first = [(settings, config.of_repository(config.repository))]
    if config.second is None:
        return pgbackrest_conf.place(
            paths.config_file, pgbackrest_conf.render_for_server(first, paths), run_as
        )
    if not paths.config_file.exists():
        # Without the second repository, to which nobody can archive before its stanza is made; and not at
        # all where an emergency has the secrets of the second one only.
        with nullcontext() if number == 1 else suppress(ConfigurationError):
            pgbackrest_conf.write(paths.config_file, pgbackrest_conf.render_for_server(first, paths), run_as)
    its_settings, its_config = _view(settings, config, number)
    own = paths.config_file.with_name(f"repository-{its_config.repository.name}.conf")
    # A process with other settings, such as the agent before its restart, must not change the repository that
    # a backup under way works on.
    return pgbackrest_conf.place(own, pgbackrest_conf.render(its_settings, its_config, paths), run_as)


def _view(settings: Settings, config: BackupConfig, number: int) -> tuple[Settings, BackupConfig]:
    """Take settings and file as one repository sees them. Raises ConfigurationError."""
    if config.second is None:
        return settings, config
    if number == 1:
        return settings, config.of_repository(config.repository)
    elsewhere = settings.in_second_repository(config.second.bucket_name(settings))
    return elsewhere, config.of_repository(config.second)


def _views(settings: Settings, config: BackupConfig) -> list[tuple[Settings, BackupConfig]]:
    """Divide settings and file by repository. Raises ConfigurationError."""
    return [_view(settings, config, repository.number) for repository in config.repositories]


def _refuse_two(settings: Settings, config: BackupConfig) -> None:
    """Refuse two repositories where one configuration is not ours, or both are one place.

    Raises ConfigurationError.
    """
    if config.second is None:
        return
    if settings.pgbackrest.config_file is not None:
        raise ConfigurationError(
            f"{config.second.source}: repositories: two are there, and OPS_PGBACKREST_CONFIG_FILE names a "
            "configuration of somebody else's: keep one repository, or unset it"
        )
    try:
        places = {pgbackrest_conf.place_of(*view) for view in _views(settings, config)}
    except ConfigurationError:
        return  # A bucket's name is missing, which only work on that repository needs.
    if len(places) == 1:
        first, second = config.repositories
        raise ConfigurationError(
            f"{second.source}: repositories: {first.name} and {second.name} are the same bucket and path at "
            "the same endpoint: set OPS_REPO2_S3_ENDPOINT_URL, or another bucket"
        )


def is_adopted(ctx: BackupContext) -> bool:
    """Tell whether the server archives as the settings say. Raises ConfigurationError."""
    wanted = ctx.configuration
    return wanted is None or pgbackrest_conf.says(ctx.paths.config_file, wanted)


def adopt_configuration(ctx: BackupContext) -> bool:
    """Give the server the configuration that this context has proved; True when the file changed."""
    wanted = ctx.configuration
    return wanted is not None and pgbackrest_conf.write(ctx.paths.config_file, wanted, ctx.settings.run_as)
