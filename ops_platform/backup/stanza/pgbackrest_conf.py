"""pgBackRest's configuration file: rendered from stanzas and settings, checked, written atomically.

The file holds secrets: it has mode 0600 and belongs to pgBackRest's own user. Paths and identity are
arguments, so that restores render a file of their own.
"""

from __future__ import annotations

import hashlib
import os
import pwd
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from ops_platform import files
from ops_platform.backup.stanza.model import BackupConfig, Stanza
from ops_platform.errors import ConfigurationError
from ops_platform.settings import Settings, named_for

BACKUP_ROLE = "ops_backup"
# How long a backup waits for the WAL of its set. Longer than the default of 60 s: when S3 was away
# a backlog of segments goes first. Not so for archive-push, whose failures PostgreSQL should see.
ARCHIVE_WAIT_SECONDS = 300
READER_IO_SECONDS = 10
# With the default of 60 s WAL waits for four minutes and more, also for the repository that is there, before
# pgBackRest 2.45 takes one that is away for away; with this it is there within a minute.
ARCHIVER_IO_SECONDS = 5
Options = Mapping[str, str | None]
"""pgBackRest's options by name; those that are None are left out."""


@dataclass(frozen=True)
class PgBackRestPaths:
    """Paths of one use of pgBackRest: its configuration, and what it writes on this host.

    Two uses must not share a lock path: archive-get and archive-push take the same lock, so an
    exercise could stall production archiving.
    """

    config_file: Path
    lock: Path
    spool: Path
    log: Path

    @classmethod
    def below(cls, directory: Path) -> PgBackRestPaths:
        """Lay out the usual names below ``directory``."""
        return cls(directory / "pgbackrest.conf", directory / "lock", directory / "spool", directory / "log")

    @property
    def directories(self) -> tuple[Path, Path, Path]:
        """Directories that pgBackRest writes to."""
        return self.lock, self.spool, self.log


def production_paths(settings: Settings) -> PgBackRestPaths:
    """Name the paths that the server's archive_command and the backups share."""
    return PgBackRestPaths.below(settings.state_dir / "pgbackrest")


def render(
    settings: Settings,
    config: BackupConfig,
    paths: PgBackRestPaths,
    *,
    role: str = "backup",
    stanzas: Iterable[Stanza] | None = None,
    local: bool = False,
) -> str:
    """Render a configuration for ``stanzas`` (default: all) in one repository, with the identity of ``role``.

    ``backup_reader`` can read the repository and nothing else. ``local``: the repository's path is a
    directory of this host, and no identity is needed. Raises ConfigurationError that names what is missing
    or cannot be written into such a file.
    """
    chosen = list(config.stanzas.values() if stanzas is None else stanzas)
    if local:
        options: Options = {**_local(config), **_local_paths(paths)}
    else:
        identity = _identity(settings, role)
        options = {**_repository(settings, config), **_common(paths, role), **identity}
    return _file(
        options,
        {
            stanza.cluster: {**_cluster(settings, stanza), **_in_repository(settings, stanza)}
            for stanza in chosen
        },
    )


def render_for_server(views: Sequence[tuple[Settings, BackupConfig]], paths: PgBackRestPaths) -> str:
    """Render the configuration that servers archive with, into all repositories at once.

    Each of ``views`` is a repository: its settings, and what backups.yaml says of it. Raises like ``render``.
    """
    options: dict[str, str | None] = {}
    identities: dict[str, str | None] = {}
    stanzas: dict[str, dict[str, str | None]] = {}
    for number, (settings, config) in enumerate(views, 1):
        identities |= _numbered(_identity(settings, "backup"), number)
        options |= _numbered(_repository(settings, config), number)
        for stanza in config.stanzas.values():
            known = stanzas.setdefault(stanza.cluster, dict(_cluster(settings, stanza)))
            known |= _numbered(_in_repository(settings, stanza), number)
    archiving = {} if len(views) == 1 else {"io-timeout": str(ARCHIVER_IO_SECONDS)}
    return _file({**options, **_common(paths, "backup"), **identities}, stanzas, archiving)


def _file(options: Options, stanzas: Mapping[str, Options], archiving: Options | None = None) -> str:
    sections = [
        _section("global", options),
        _section("global:backup", {"archive-timeout": str(ARCHIVE_WAIT_SECONDS)}),
        *([_section("global:archive-push", archiving)] if archiving else []),
        *(_section(name, of_stanza) for name, of_stanza in stanzas.items()),
    ]
    return "# Written by ops_platform from backups.yaml and OPS_*; changes are lost.\n" + "\n".join(sections)


def place_of(settings: Settings, config: BackupConfig) -> tuple[str, str, str]:
    """Tell where a repository is: endpoint, bucket and path, in one spelling each. Raises ConfigurationError.

    A port that is the protocol's own, capitals in the host's name and slashes at an end tell no places apart.
    """
    place = settings.s3_place("backup")
    url = place.endpoint_url or f"s3.{place.region}.amazonaws.com"
    parts = urlsplit(url if "//" in url else f"https://{url}")
    usual = 80 if parts.scheme == "http" else 443
    host = (parts.hostname or "").rstrip(".")
    try:
        port = parts.port or usual
    except ValueError:
        raise ConfigurationError(
            named_for(place.repository, "the endpoint's port is no number: correct OPS_S3_ENDPOINT_URL")
        ) from None
    return (
        f"{host}:{port}",
        config.repository.bucket_name(settings),
        config.repository.key_prefix,
    )


def _numbered(options: Options, number: int) -> dict[str, str | None]:
    return {f"repo{number}-{name.removeprefix('repo1-')}": value for name, value in options.items()}


def write(path: Path, text: str, run_as: str | None) -> bool:
    """Replace the file unless it has this text already; True when it was written.

    A reader sees the old or the new text, never a part; a full disk leaves the old. Raises
    ConfigurationError.
    """
    if says(path, text):
        return False
    try:
        files.write_atomically(path, text, hand_over=lambda written: _own(written, run_as))
    except OSError as error:
        raise ConfigurationError(
            f"{path}: cannot be written ({error.strerror}): free space, or correct OPS_STATE_DIR"
        ) from None
    return True


def place(path: Path, text: str, run_as: str | None) -> Path:
    """Put ``text`` into ``path``, or into a file beside it when ``path`` has another text; return the file.

    An existing ``path`` with another text stays as it is. Raises ConfigurationError.
    """
    if not path.exists():
        write(path, text, run_as)
    if says(path, text):
        return path
    beside = path.with_name(f"{path.stem}-{hashlib.sha256(text.encode()).hexdigest()[:12]}{path.suffix}")
    write(beside, text, run_as)
    return beside


def prepare_directories(paths: PgBackRestPaths, run_as: str | None) -> None:
    """Create the lock, spool and log directories for pgBackRest's user. Raises ConfigurationError."""
    for directory in (paths.config_file.parent, *paths.directories):
        try:
            if not directory.is_dir():
                directory.mkdir(parents=True, mode=0o700)
                _own(directory, run_as)
        except OSError as error:
            raise ConfigurationError(
                f"{directory}: cannot be made ({error.strerror}): correct OPS_STATE_DIR"
            ) from None


def says(path: Path, text: str) -> bool:
    """Tell whether the file has this text, and is private. Raises ConfigurationError."""
    try:
        return path.read_text(encoding="utf-8") == text and path.stat().st_mode & 0o777 == 0o600
    except FileNotFoundError:
        return False
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read ({error.strerror}): run as its owner") from None


def _own(path: Path, run_as: str | None) -> None:
    if run_as is None:
        return
    try:
        account = pwd.getpwnam(run_as)
    except KeyError:
        raise ConfigurationError(
            f"this machine has no system user {run_as}: install PostgreSQL or set OPS_RUN_AS_USER"
        ) from None
    os.chown(path, account.pw_uid, account.pw_gid)


def _repository(settings: Settings, config: BackupConfig) -> Options:
    place = settings.s3_place("backup")
    return {
        "repo1-type": "s3",
        "repo1-path": config.repository.path,
        "repo1-s3-bucket": config.repository.bucket_name(settings),
        "repo1-s3-endpoint": place.endpoint_url or f"s3.{place.region}.amazonaws.com",
        "repo1-s3-region": place.region,
        "repo1-s3-uri-style": place.uri_style,
        "repo1-storage-ca-file": None if place.ca_file is None else str(place.ca_file),
    }


def _identity(settings: Settings, role: str) -> Options:
    identity, repository = settings.s3.identity(role), settings.s3_place(role).repository
    if identity.access_key_id is None:
        # No key of ours: the identity of the host (an IAM role).
        return {"repo1-s3-key-type": "auto"}
    name = named_for(repository, f"OPS_S3_{role.upper()}_SECRET_ACCESS_KEY")
    return {
        "repo1-s3-key": identity.access_key_id,
        "repo1-s3-key-secret": _secret(identity.secret_access_key, name),
    }


def _common(paths: PgBackRestPaths, role: str) -> Options:
    options: dict[str, str | None] = {
        **_local_paths(paths),
        "archive-async": "y",
        "start-fast": "y",
    }
    if role == "backup_reader":
        # pgBackRest tries each file several times, each try up to twice this long: with its default
        # of 60 s a restore whose S3 went away says so after eight minutes only.
        options["io-timeout"] = str(READER_IO_SECONDS)
    return options


def _local(config: BackupConfig) -> Options:
    return {"repo1-path": config.repository.path}


def _local_paths(paths: PgBackRestPaths) -> Options:
    return {
        "lock-path": str(paths.lock),
        "spool-path": str(paths.spool),
        "log-path": str(paths.log),
        "log-level-file": "info",
        # Retention runs in backup_cleanup alone, which looks first whether a set is in use.
        "expire-auto": "n",
    }


def _cluster(settings: Settings, stanza: Stanza) -> Options:
    return {
        "pg1-path": str(stanza.data_dir(settings)),
        "pg1-socket-path": str(stanza.socket_dir(settings)),
        "pg1-port": str(stanza.socket_port(settings)),
        "pg1-user": BACKUP_ROLE,
        "compress-type": stanza.compression.type,
        "compress-level": None if stanza.compression.level is None else str(stanza.compression.level),
        "process-max": str(stanza.process_max),
    }


def _in_repository(settings: Settings, stanza: Stanza) -> Options:
    options: dict[str, str | None] = {
        "repo1-bundle": "y" if stanza.bundle else "n",
        "repo1-cipher-type": stanza.encryption,
        "repo1-retention-full-type": "time",
        "repo1-retention-full": str(stanza.retention_days),
    }
    if stanza.encryption != "none":
        name = named_for(stanza.repository, "OPS_PGBACKREST_CIPHER_PASS")
        options["repo1-cipher-pass"] = _secret(settings.pgbackrest.cipher_pass, name)
    return options


def _secret(value: object, name: str) -> str:
    text = getattr(value, "get_secret_value", lambda: None)()
    if not text:
        raise ConfigurationError(f"{name} is not set or cannot be read: set it, or {name}_FILE")
    return str(text)


def _section(name: str, options: Options) -> str:
    lines = [f"{key}={_value(key, value)}" for key, value in options.items() if value is not None]
    return f"[{name}]\n" + "\n".join(lines) + "\n"


def _value(key: str, value: str) -> str:
    # The format has no quoting: a line break would begin another option, and pgBackRest strips
    # blanks at the ends. The value itself may be a secret and is not repeated.
    if not value or value != value.strip() or any(ord(char) < 32 or ord(char) == 127 for char in value):
        raise ConfigurationError(
            f"the value for pgBackRest's {key} is empty, or has a line break, control character or blank at "
            "an end: correct the setting it comes from"
        )
    return value
