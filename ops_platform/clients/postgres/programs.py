"""PostgreSQL's own programs of one major version, wherever this machine keeps them."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from ops_platform.clients.child_process import Launcher
from ops_platform.errors import ConfigurationError

# Debian, the packages of postgresql.org for Red Hat, Homebrew.
_PLACES = (
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
        """Raises ConfigurationError when the version is installed without this program."""
        path = self.directory / name
        if not os.access(path, os.X_OK):
            raise ConfigurationError(
                f"{path} is missing: install the server and client packages of PostgreSQL {self.major}"
            )
        return str(path)


def find(major: str, launcher: Launcher) -> PostgresPrograms:
    """The installed PostgreSQL of a major version ("15"). Raises ConfigurationError when there is none."""
    for place in _PLACES:
        directory = Path(place.format(major))
        if (directory / "postgres").exists():
            return PostgresPrograms(major, directory)
    on_path = shutil.which("postgres")
    if on_path is not None:
        said = launcher.run([on_path, "--version"], timeout=30).stdout
        found = re.search(r"\(PostgreSQL\) (\d+)", said)
        if found and found[1] == major:
            return PostgresPrograms(major, Path(on_path).parent)
    raise ConfigurationError(
        f"PostgreSQL {major} is not installed on this machine: apt-get install postgresql-{major}"
    )
