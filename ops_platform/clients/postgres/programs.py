"""Finding PostgreSQL's own programs of one major version on this machine."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from ops_platform.clients.child_process import Launcher
from ops_platform.errors import ConfigurationError

# Debian, the packages of postgresql.org for Red Hat, Homebrew.
_DIRECTORIES = (
    "/usr/lib/postgresql/{0}/bin",
    "/usr/pgsql-{0}/bin",
    "/opt/homebrew/opt/postgresql@{0}/bin",
    "/usr/local/opt/postgresql@{0}/bin",
)


@dataclass(frozen=True)
class PostgresPrograms:
    """The directory with ``postgres``, ``pg_dump`` and the others of one major version."""

    major: str
    directory: Path

    def path(self, name: str) -> str:
        """Return a program's path. Raises ConfigurationError when the version is installed without it."""
        path = self.directory / name
        if not os.access(path, os.X_OK):
            raise ConfigurationError(
                f"{path} is missing: install the server and client packages of PostgreSQL {self.major}"
            )
        return str(path)


def find(major: str, launcher: Launcher) -> PostgresPrograms:
    """Find the installed PostgreSQL of a major version ("15"). Raises ConfigurationError if there is none."""
    for pattern in _DIRECTORIES:
        directory = Path(pattern.format(major))
        if (directory / "postgres").exists():
            return PostgresPrograms(major, directory)
    on_path = shutil.which("postgres")
    if on_path is not None:
        answer = launcher.run([on_path, "--version"], timeout=30).stdout
        version = re.search(r"\(PostgreSQL\) (\d+)", answer)
        if version and version[1] == major:
            return PostgresPrograms(major, Path(on_path).parent)
    raise ConfigurationError(
        f"PostgreSQL {major} is not installed on this machine: apt-get install postgresql-{major}"
    )
