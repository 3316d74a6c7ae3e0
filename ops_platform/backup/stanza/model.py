"""Values of a stanza: one PostgreSQL cluster that is backed up, and the promises for it.

``config_file`` reads them from ``backups.yaml``; ``pgbackrest_conf`` writes them for pgBackRest.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Literal, get_args

from ops_platform.backup.stanza.cron import Cron
from ops_platform.errors import ConfigurationError
from ops_platform.settings import Settings

Kind = Literal["full", "differential", "incremental"]
AT = "@"
"""Stands between the names of a stanza and of its second repository; no stanza's own name holds it."""
KINDS: tuple[Kind, ...] = get_args(Kind)
PGBACKREST_TYPE: Mapping[Kind, str] = {"full": "full", "differential": "diff", "incremental": "incr"}


def parse_kind(text: str) -> Kind:
    """Read a kind of backup in our words or pgBackRest's. Raises ConfigurationError."""
    for kind in KINDS:
        if text in (kind, PGBACKREST_TYPE[kind]):
            return kind
    raise ConfigurationError(f"unknown kind of backup {text!r}: choose one of {', '.join(KINDS)}")


@dataclass(frozen=True)
class Compression:
    """Codec of the stored files; ``level`` None is the codec's own default."""

    type: Literal["none", "lz4", "zst", "gz", "bz2"]
    level: int | None


def cluster_of(stanza: str) -> str:
    """Return the name of the stanza alone: ``product`` for ``product@offsite``."""
    return stanza.partition(AT)[0]


def dagster_name(stanza: str) -> str:
    """Write a stanza's name as part of one of Dagster's, which are of letters, digits and _ only."""
    return stanza.replace("-", "_").replace(AT, "_")


@dataclass(frozen=True)
class Repository:
    """A repository of all stanzas. ``bucket`` is unexpanded: it may hold ``${NAME}``."""

    bucket: str
    path: str
    source: str
    """The file and section this was read from, for messages."""
    lock_margin_days: int = 7
    """Days for which what was deleted or replaced can still be read; object lock lasts as much longer."""
    name: str = "primary"
    number: int = 1
    """pgBackRest's number of it, which also tells the settings of its endpoint and identities."""

    @property
    def key(self) -> str:
        """The key of its bucket in backups.yaml, for messages."""
        return "repository.bucket" if self.number == 1 else f"repositories.{self.number - 1}.bucket"

    def stanza(self, cluster: str) -> str:
        """Name the stanza of a cluster in this repository: ``product``, ``product@offsite``."""
        return cluster if self.number == 1 else f"{cluster}{AT}{self.name}"

    @property
    def lock_margin(self) -> timedelta:
        """Time in which a deletion of backups can be noticed and undone."""
        return timedelta(days=self.lock_margin_days)

    @property
    def key_prefix(self) -> str:
        """Prefix of the repository's objects in its bucket; with a slash at the end, unless empty."""
        return f"{self.path.strip('/')}/".removeprefix("/")

    def bucket_name(self, settings: Settings) -> str:
        """Expand the bucket's name. Raises ConfigurationError when a variable of it is not set."""
        return settings.expand(self.bucket, f"{self.source}: {self.key}")


@dataclass(frozen=True)
class Stanza:
    """One stanza of backups.yaml in one repository.

    In the first repository ``name`` is that of the cluster, in the second ``product@offsite``: sets, WAL,
    proofs, records and promises are of a stanza in a repository.

    Connection details are unexpanded (``${NAME}``) until they are needed: definitions load without them.
    """

    name: str
    connection: str
    data_path: str
    socket_path: str
    port: str
    schedules: Mapping[Kind, str | None]
    """Cron expressions in UTC; None: this kind is not scheduled."""
    retention_days: int
    compression: Compression
    process_max: int
    bundle: bool
    encryption: Literal["aes-256-cbc", "none"]
    archive_timeout_seconds: int
    rpo_target_seconds: int
    rto_target_seconds: int
    production_size_bytes: int
    verification_seconds: int
    """How long one run of backup_verify reads at most."""
    verification_bytes: int
    """How much one run of backup_verify reads at most."""
    append_only: Mapping[str, str]
    """Tables (``schema.table``) whose rows never change, and the column that says when each was written."""
    source: str
    """The file this was read from, for messages."""
    repository: int = 1
    """The number of the repository."""

    @property
    def cluster(self) -> str:
        """The stanza as pgBackRest names it, the same in each repository: the cluster is known by it."""
        return cluster_of(self.name)

    @property
    def in_first_repository(self) -> bool:
        """Tell whether this is the one that stands for the cluster where a repository does not matter."""
        return self.repository == 1

    def database_url(self, settings: Settings) -> str:
        """Expand the connection URL. Raises ConfigurationError when a variable of it is not set."""
        return self._expand(settings, "connection")

    def data_dir(self, settings: Settings) -> Path:
        """Expand the cluster's data directory on this host. Raises ConfigurationError."""
        return Path(self._expand(settings, "data_path"))

    def socket_dir(self, settings: Settings) -> Path:
        """Expand the directory of the server's Unix socket. Raises ConfigurationError."""
        return Path(self._expand(settings, "socket_path"))

    def socket_port(self, settings: Settings) -> int:
        """Expand the port in the socket's name. Raises ConfigurationError when it is not a port number."""
        text = self._expand(settings, "port")
        if not text.isdigit() or not 0 < int(text) < 65536:
            raise ConfigurationError(
                f"{self.source}: {self._key('port')}: {text!r} is no port: give a number"
            )
        return int(text)

    def crons(self, kind: Kind) -> frozenset[Cron]:
        """List the schedules whose backups count as ``kind``: its own and those of stronger kinds."""
        counting = KINDS[: KINDS.index(kind) + 1]
        return frozenset(
            Cron(cron) for counted in counting if (cron := self.schedules.get(counted)) is not None
        )

    def _expand(self, settings: Settings, field: str) -> str:
        return settings.expand(getattr(self, field), f"{self.source}: {self._key(field)}")

    def _key(self, field: str) -> str:
        return f"stanzas.{self.cluster}.{field}"


@dataclass(frozen=True)
class BackupConfig:
    """Contents of backups.yaml: stanzas by name, and the repositories.

    With a second repository each stanza is there twice. ``repository`` is the first one, or the only one that
    ``of_repository`` left.
    """

    stanzas: Mapping[str, Stanza]
    repository: Repository
    second: Repository | None = None

    @property
    def repositories(self) -> tuple[Repository, ...]:
        """All repositories, the first one first."""
        return (self.repository,) if self.second is None else (self.repository, self.second)

    @property
    def clusters(self) -> Mapping[str, Stanza]:
        """The stanzas by name, each once: as it is in the first repository."""
        return {name: stanza for name, stanza in self.stanzas.items() if stanza.in_first_repository}

    def repository_of(self, stanza: Stanza) -> Repository:
        """Return the repository that the stanza is in."""
        return next(known for known in self.repositories if known.number == stanza.repository)

    def of_repository(self, repository: Repository) -> BackupConfig:
        """Return what the file says of one repository alone."""
        stanzas = {
            name: stanza for name, stanza in self.stanzas.items() if stanza.repository == repository.number
        }
        return BackupConfig(stanzas, repository)

    def of_clusters(self, clusters: Collection[str]) -> BackupConfig:
        """Return what the file says of these clusters alone, in every repository."""
        stanzas = {name: stanza for name, stanza in self.stanzas.items() if stanza.cluster in clusters}
        return replace(self, stanzas=stanzas)

    def siblings(self, stanza: Stanza) -> list[Stanza]:
        """List the stanzas of the same cluster in all repositories, the given one among them."""
        return [other for other in self.stanzas.values() if other.cluster == stanza.cluster]


def choose_stanza(config: BackupConfig, name: str | None, repository: str | None = None) -> str:
    """Choose the stanza called ``name``, or that of the only cluster when ``name`` is None.

    ``repository``: its name or its number; without one the name says it, or it is the first. Raises
    ConfigurationError.
    """
    known = ", ".join(config.stanzas)
    if name is None and len(config.clusters) > 1:
        raise ConfigurationError(f"there are several stanzas: choose one of {known}")
    chosen = next(iter(config.clusters)) if name is None else name
    if chosen not in config.stanzas:
        raise ConfigurationError(f"backups.yaml has no stanza {chosen!r}: choose one of {known}")
    if repository is None:
        return chosen
    for candidate in config.repositories:
        if repository in (candidate.name, str(candidate.number)):
            wanted = candidate.stanza(cluster_of(chosen))
            if AT in chosen and wanted != chosen:
                raise ConfigurationError(
                    f"{chosen} is not in the repository {repository}: say the one or the other"
                )
            return wanted
    names = ", ".join(candidate.name for candidate in config.repositories)
    raise ConfigurationError(f"backups.yaml has no repository {repository!r}: choose one of {names}")
