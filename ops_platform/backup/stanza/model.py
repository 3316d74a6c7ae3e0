"""Values of a stanza: one PostgreSQL cluster that is backed up, and the promises for it.

``config_file`` reads them from ``backups.yaml``; ``pgbackrest_conf`` writes them for pgBackRest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Literal, get_args

from ops_platform.backup.stanza.cron import Cron
from ops_platform.errors import ConfigurationError
from ops_platform.settings import Settings

Kind = Literal["full", "differential", "incremental"]
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


@dataclass(frozen=True)
class Repository:
    """The one repository of all stanzas. ``bucket`` is unexpanded: it may hold ``${NAME}``."""

    bucket: str
    path: str
    source: str
    """The file and section this was read from, for messages."""
    lock_margin_days: int = 7
    """Days for which what was deleted or replaced can still be read; object lock lasts as much longer."""

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
        return settings.expand(self.bucket, f"{self.source}: repository.bucket")


@dataclass(frozen=True)
class Stanza:
    """One stanza of backups.yaml.

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
        return f"stanzas.{self.name}.{field}"


@dataclass(frozen=True)
class BackupConfig:
    """Contents of backups.yaml: stanzas by name, and the repository."""

    stanzas: Mapping[str, Stanza]
    repository: Repository


def choose_stanza(config: BackupConfig, name: str | None) -> str:
    """Choose the stanza called ``name``, or the only one when ``name`` is None. Raises ConfigurationError."""
    known = ", ".join(config.stanzas)
    if name is None:
        if len(config.stanzas) == 1:
            return next(iter(config.stanzas))
        raise ConfigurationError(f"there are several stanzas: choose one of {known}")
    if name not in config.stanzas:
        raise ConfigurationError(f"backups.yaml has no stanza {name!r}: choose one of {known}")
    return name
