"""Layout of the state directory: the path of each file of an embedded stack. Only directories are made."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from ops_platform.errors import ConfigurationError
from ops_platform.local.host.accounts import Account

LONGEST_SOCKET_PATH = 107
"""Longest path of a Unix socket in bytes that the kernel accepts."""


@dataclass(frozen=True)
class Layout:
    """Paths below one state directory; ``owner`` owns those of PostgreSQL and pgBackRest."""

    state_dir: Path
    owner: Account

    @property
    def secrets(self) -> Path:
        """Secrets, one file each."""
        return self.state_dir / "secrets"

    @property
    def tls(self) -> Path:
        """Certificates and their keys."""
        return self.state_dir / "tls"

    @property
    def run(self) -> Path:
        """Sockets and pid files."""
        return self.state_dir / "run"

    @property
    def postgres_sockets(self) -> Path:
        """Unix sockets of both clusters."""
        return self.run / "pg"

    @property
    def webserver_sockets(self) -> Path:
        """Unix sockets of Dagster's webservers; the directory is the stack's own user's."""
        return self.run / "dagster"

    @property
    def supervisor_socket(self) -> Path:
        """Socket of supervisord's XML-RPC."""
        return self.run / "supervisor.sock"

    @property
    def logs(self) -> Path:
        """Log files of the services."""
        return self.state_dir / "log"

    @property
    def env(self) -> Path:
        """Environment files of the stack's processes."""
        return self.state_dir / "env"

    @property
    def environment_file(self) -> Path:
        """Environment of the operator; written when both clusters exist."""
        return self.state_dir / "environment"

    @property
    def ports_file(self) -> Path:
        """TCP ports of the services."""
        return self.state_dir / "ports.json"

    @property
    def stack_id_file(self) -> Path:
        """Id by which the stack's processes are recognised."""
        return self.state_dir / "stack-id"

    @property
    def supervisor_file(self) -> Path:
        """Configuration of supervisord."""
        return self.state_dir / "supervisord.conf"

    @property
    def dagster_home(self) -> Path:
        """DAGSTER_HOME."""
        return self.state_dir / "dagster_home"

    @property
    def compute_logs(self) -> Path:
        """Output of Dagster's runs."""
        return self.dagster_home / "compute_logs"

    @property
    def pgbackrest_config(self) -> Path:
        """Configuration of pgBackRest that both clusters archive with."""
        return self.state_dir / "pgbackrest" / "pgbackrest.conf"

    @property
    def mail(self) -> Path:
        """Maildir of the mail sink."""
        return self.state_dir / "mail"

    def postgres_data(self, name: str) -> Path:
        """Name the data directory of a cluster."""
        return self.state_dir / "postgres" / name

    def part(self, name: str) -> Path:
        """Name the directory of a service that has one."""
        return self.state_dir / name

    def log(self, service: str) -> Path:
        """Name the log file of a service."""
        return self.logs / f"{service}.log"

    def prepare(self) -> None:
        """Create the directories. Raises ConfigurationError when the state directory cannot be used."""
        longest = self.postgres_sockets / ".s.PGSQL.65535"
        excess = len(str(longest).encode()) - LONGEST_SOCKET_PATH
        if excess > 0:
            raise ConfigurationError(
                f"the state directory {self.state_dir} is {excess} bytes too long for Unix sockets: "
                "set OPS_STATE_DIR to a shorter path"
            )
        try:
            for directory in (self.state_dir, self.run, self.logs, self.state_dir / "postgres"):
                directory.mkdir(parents=True, exist_ok=True)
                directory.chmod(0o755)
            for directory in (self.env, self.dagster_home, self.compute_logs, self.webserver_sockets):
                directory.mkdir(parents=True, exist_ok=True)
                directory.chmod(0o700)
            self.owner.directory(self.postgres_sockets, 0o711)
            for name in ("", "lock", "spool", "log"):
                self.owner.directory(self.pgbackrest_config.parent / name)
        except OSError as error:
            raise ConfigurationError(
                f"cannot prepare the state directory {self.state_dir}: {error.strerror}: "
                "correct its permissions or set OPS_STATE_DIR"
            ) from None
        self._require_reachable()

    def _require_reachable(self) -> None:
        if not self.owner.is_other:
            return
        probe = subprocess.run(
            ["test", "-x", str(self.postgres_sockets)], check=False, **self.owner.subprocess_arguments()
        )
        if probe.returncode:
            raise ConfigurationError(
                f"user {self.owner.name}, who runs PostgreSQL, cannot reach {self.state_dir}: "
                "set OPS_STATE_DIR to a place that everybody may enter, such as /var/lib/ops-platform"
            )
