"""Where a restore keeps everything but the data: pgBackRest's configuration, lock, spool and logs, the
server's configuration and socket. Nothing of it is shared with production.

Who owns such a directory, and who removes what a killed run left, is in ``scratch``.
"""

from __future__ import annotations

import os
import pwd
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from ops_platform.backup.stanza import BackupContext, PgBackRestPaths, pgbackrest_conf
from ops_platform.clients.child_process import Launcher
from ops_platform.errors import CheckFailed, ConfigurationError

# sun_path has 108 bytes with the final NUL (unix(7)).
SOCKET_BYTES = 107
PORT = 5432
"""Only part of the socket's name: the restored server listens nowhere else."""
DISK_FACTOR = 1.3


@dataclass(frozen=True)
class Workspace:
    """``directory`` exists and belongs to ``run_as``; the data may lie below it or elsewhere."""

    directory: Path
    data_dir: Path
    run_as: str | None

    @property
    def socket_dir(self) -> Path:
        return self.directory / "run"

    @property
    def tablespaces(self) -> Path:
        """Where the cluster's tablespaces go; pgBackRest makes it when there are any."""
        return self.directory / "tablespaces"

    @property
    def log_file(self) -> Path:
        """What the restored server says."""
        return self.directory / "postgres.log"

    @property
    def pgbackrest(self) -> PgBackRestPaths:
        return PgBackRestPaths.below(self.directory / "pgbackrest")

    def prepare(self) -> None:
        """Make the directories. Raises ConfigurationError when that cannot be, or a path is too long."""
        socket = self.socket_dir / f".s.PGSQL.{PORT}"
        if len(os.fsencode(socket)) > SOCKET_BYTES:
            raise ConfigurationError(
                f"{socket} is longer than a Unix socket's path may be ({SOCKET_BYTES} bytes): "
                "choose a shorter OPS_STATE_DIR"
            )
        make_directory(self.socket_dir, self.run_as)
        pgbackrest_conf.prepare_directories(self.pgbackrest, self.run_as)

    def write(self, name: str, text: str, mode: int = 0o600) -> Path:
        """A file of the workspace, of the user that runs PostgreSQL."""
        path = self.directory / name
        path.write_text(text, encoding="utf-8")
        path.chmod(mode)
        own(path, self.run_as)
        return path


def open_reader(ctx: BackupContext, workspace: Workspace) -> BackupContext:
    """The stanza seen with the identity that can only read, from a configuration of its own.

    Its data directory is the workspace's, so that no command of it can touch the source's.
    """
    here = replace(
        ctx.stanza,
        data_path=str(workspace.data_dir),
        socket_path=str(workspace.socket_dir),
        port=str(PORT),
    )
    paths = workspace.pgbackrest
    text = pgbackrest_conf.render(ctx.settings, ctx.config, paths, role="backup_reader", stanzas=[here])
    pgbackrest_conf.write(paths.config_file, text, ctx.settings.run_as)
    pgbackrest = replace(ctx.pgbackrest, config_file=paths.config_file)
    return replace(ctx, stanza=here, pgbackrest=pgbackrest, paths=paths, configuration=text)


def require_space(directory: Path, needed_bytes: int) -> int:
    """The free bytes of the file system of ``directory``. Raises CheckFailed when they will not do."""
    free = shutil.disk_usage(directory).free
    wanted = int(needed_bytes * DISK_FACTOR)
    if free < wanted:
        raise CheckFailed(
            f"{directory} has {free / 1e9:.1f} GB free, the restore needs {wanted / 1e9:.1f} GB "
            f"({DISK_FACTOR} times the cluster and its WAL): free space or restore elsewhere"
        )
    return free


def make_directory(path: Path, run_as: str | None) -> None:
    """An empty directory of PostgreSQL's user, mode 0700. Raises ConfigurationError."""
    try:
        path.mkdir(parents=True, mode=0o700, exist_ok=True)
        own(path, run_as)
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be made ({error.strerror}): choose another place") from None


def own(path: Path, run_as: str | None) -> None:
    if run_as is not None:
        account = pwd.getpwnam(run_as)
        os.chown(path, account.pw_uid, account.pw_gid)


def launcher(ctx: BackupContext) -> Launcher:
    """Starts PostgreSQL's programs as PostgreSQL's user, with none of our environment."""
    return Launcher(ctx.settings.run_as, ctx.pgbackrest.environment)
