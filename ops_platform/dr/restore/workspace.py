"""The directory of a restore for everything but the data. Nothing of it is shared with production.

It holds pgBackRest's configuration, lock, spool and logs, and the server's configuration and socket.
The owner of such a directory, and the removal of what a killed run left, are in ``scratch_cluster``.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from ops_platform.backup.stanza import BackupContext, PgBackRestPaths, Stanza, pgbackrest_conf
from ops_platform.clients.child_process import Launcher
from ops_platform.errors import CheckFailed, ConfigurationError

# sun_path has 108 bytes with the final NUL (unix(7)).
SOCKET_BYTES = 107
PORT = 5432
"""Only part of the socket's name: the restored server listens nowhere else."""
DISK_FACTOR = 1.3
"""Free space that a restore needs, as a multiple of the cluster and its WAL."""


@dataclass(frozen=True)
class Workspace:
    """The paths of a restore.

    ``directory`` exists and belongs to the user ``run_as`` (None: ours); ``data_dir`` may lie below it
    or elsewhere.
    """

    directory: Path
    data_dir: Path
    run_as: str | None

    @property
    def socket_dir(self) -> Path:
        """The directory of the restored server's socket."""
        return self.directory / "run"

    @property
    def tablespaces(self) -> Path:
        """The directory of the cluster's tablespaces; pgBackRest makes it when there are any."""
        return self.directory / "tablespaces"

    @property
    def log_file(self) -> Path:
        """The log of the restored server."""
        return self.directory / "postgres.log"

    @property
    def fetching(self) -> Path:
        """The file with the name of what the recovery fetches from the archive; empty between two."""
        return self.directory / "fetching"

    @property
    def pgbackrest(self) -> PgBackRestPaths:
        """The paths of pgBackRest's files, all below ``directory``."""
        return PgBackRestPaths.below(self.directory / "pgbackrest")

    def prepare(self) -> None:
        """Make the directories. Raises ConfigurationError if one fails, or the socket's path is too long."""
        socket = self.socket_dir / f".s.PGSQL.{PORT}"
        if len(os.fsencode(socket)) > SOCKET_BYTES:
            raise ConfigurationError(
                f"{socket} is longer than a Unix socket's path may be ({SOCKET_BYTES} bytes): "
                "choose a shorter OPS_STATE_DIR"
            )
        make_directory(self.socket_dir, self.run_as)
        pgbackrest_conf.prepare_directories(self.pgbackrest, self.run_as)

    def write(self, name: str, text: str, mode: int = 0o600) -> Path:
        """Write a file that belongs to the user who runs PostgreSQL; return its path."""
        path = self.directory / name
        path.write_text(text, encoding="utf-8")
        path.chmod(mode)
        set_owner(path, self.run_as)
        return path


def open_reader(ctx: BackupContext, workspace: Workspace) -> BackupContext:
    """Open the stanza with the identity that can only read, in a configuration of its own.

    Its data directory is the workspace's, so that no command of it can touch the source's.
    """
    stanza = scratch_stanza(ctx, workspace)
    paths = workspace.pgbackrest
    text = pgbackrest_conf.render(ctx.settings, ctx.config, paths, role="backup_reader", stanzas=[stanza])
    pgbackrest_conf.write(paths.config_file, text, ctx.settings.run_as)
    pgbackrest = replace(ctx.pgbackrest, config_file=paths.config_file)
    return replace(ctx, stanza=stanza, pgbackrest=pgbackrest, paths=paths)


def scratch_stanza(ctx: BackupContext, workspace: Workspace) -> Stanza:
    """Return the stanza with the workspace's data directory and socket instead of the source's."""
    return replace(
        ctx.stanza,
        data_path=str(workspace.data_dir),
        socket_path=str(workspace.socket_dir),
        port=str(PORT),
    )


def require_space(directory: Path, needed_bytes: int) -> int:
    """Return the free bytes of the file system of ``directory``.

    Raises CheckFailed when they are fewer than DISK_FACTOR times ``needed_bytes``.
    """
    free = shutil.disk_usage(directory).free
    wanted = int(needed_bytes * DISK_FACTOR)
    if free < wanted:
        raise CheckFailed(
            f"{directory} has {free / 1e9:.1f} GB free, the restore needs {wanted / 1e9:.1f} GB "
            f"({DISK_FACTOR} times the cluster and its WAL): free space or restore elsewhere"
        )
    return free


def existing(path: Path) -> Path:
    """Return ``path``, or the nearest directory above it that exists and that we may look at."""
    for place in (path, *path.parents):
        with contextlib.suppress(PermissionError):
            if place.exists():
                return place
    return Path("/")


def require_reachable(directory: Path, run_as: str | None) -> None:
    """Check that the user who restores can reach ``directory``, which is there or can be made.

    Raises ConfigurationError that names the directory which is closed, and the user.
    """
    place = existing(directory.parent)
    ancestors = [str(ancestor) for ancestor in (*reversed(place.parents), place)]
    # Asked as that user: root may enter everything, and groups and access lists count too.
    script = 'for place do [ -x "$place" ] || { echo "$place"; exit 1; }; done'
    ended = Launcher(run_as).run(["/bin/sh", "-c", script, "sh", *ancestors], timeout=30)
    closed = ended.stdout.strip()
    user = run_as or "the user who restores"
    if closed:
        raise ConfigurationError(
            f"{directory}: {closed} cannot be entered by {user}: choose a directory that this user can "
            f"reach, or open it ('chmod o+x {closed}')"
        )
    where = existing(directory)
    if run_as is None and not os.access(where, os.W_OK):
        raise ConfigurationError(
            f"{directory}: {where} cannot be written to: choose another directory, or run as its owner"
        )


def make_directory(path: Path, run_as: str | None) -> None:
    """Make a directory of PostgreSQL's user, mode 0700, unless it exists. Raises ConfigurationError."""
    try:
        path.mkdir(parents=True, mode=0o700, exist_ok=True)
        set_owner(path, run_as)
    except OSError as error:
        raise ConfigurationError(
            f"{path}: cannot be made ({error.strerror}): choose another directory"
        ) from None


def set_owner(path: Path, run_as: str | None) -> None:
    """Give ``path`` to the user and the group of ``run_as``; None: it stays ours."""
    if run_as is not None:
        account = pwd.getpwnam(run_as)
        os.chown(path, account.pw_uid, account.pw_gid)


def launcher(ctx: BackupContext) -> Launcher:
    """Make a launcher of PostgreSQL's programs, as PostgreSQL's user and with none of our environment."""
    return Launcher(ctx.settings.run_as, ctx.pgbackrest.environment)
