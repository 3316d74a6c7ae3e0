"""The state directory: where each file of an embedded stack is. Makes the directories, nothing else."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from ops_platform.errors import ConfigurationError
from ops_platform.local.host.accounts import Account

LONGEST_SOCKET_PATH = 107
"""Bytes of a Unix socket's path that the kernel takes."""


@dataclass(frozen=True)
class Layout:
    """Paths below one state directory; ``owner`` owns PostgreSQL's and pgBackRest's."""

    state_dir: Path
    owner: Account

    @property
    def secrets(self) -> Path:
        return self.state_dir / "secrets"

    @property
    def tls(self) -> Path:
        return self.state_dir / "tls"

    @property
    def run(self) -> Path:
        return self.state_dir / "run"

    @property
    def postgres_sockets(self) -> Path:
        return self.run / "pg"

    @property
    def supervisor_socket(self) -> Path:
        return self.run / "supervisor.sock"

    @property
    def logs(self) -> Path:
        return self.state_dir / "log"

    @property
    def env(self) -> Path:
        return self.state_dir / "env"

    @property
    def environment_file(self) -> Path:
        return self.state_dir / "environment"

    @property
    def ports_file(self) -> Path:
        return self.state_dir / "ports.json"

    @property
    def stack_id_file(self) -> Path:
        return self.state_dir / "stack-id"

    @property
    def supervisor_file(self) -> Path:
        return self.state_dir / "supervisord.conf"

    @property
    def dagster_home(self) -> Path:
        return self.state_dir / "dagster_home"

    @property
    def compute_logs(self) -> Path:
        return self.dagster_home / "compute_logs"

    @property
    def pgbackrest_config(self) -> Path:
        return self.state_dir / "pgbackrest" / "pgbackrest.conf"

    @property
    def mail(self) -> Path:
        return self.state_dir / "mail"

    def postgres_data(self, name: str) -> Path:
        return self.state_dir / "postgres" / name

    def part(self, name: str) -> Path:
        """The directory of a service that keeps one."""
        return self.state_dir / name

    def log(self, service: str) -> Path:
        return self.logs / f"{service}.log"

    def prepare(self) -> None:
        """Make the directories. Raises ConfigurationError when the place does not do."""
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
            for directory in (self.env, self.dagster_home, self.compute_logs):
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
