"""Outside programs: their paths, and the Debian package that brings each."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from ops_platform.clients.pgbackrest import supported_servers
from ops_platform.errors import ConfigurationError

DEBIAN_PACKAGES = {
    "pgbackrest": "pgbackrest",
    "redis-server": "redis-server",
    "prometheus": "prometheus",
    "promtool": "prometheus",
    "prometheus-alertmanager": "prometheus-alertmanager",
    "setpriv": "util-linux",
}
POSTGRES_ROOT = Path("/usr/lib/postgresql")


@dataclass(frozen=True)
class PostgresPrograms:
    """One installed PostgreSQL major version."""

    major: int
    bin_dir: Path

    def path(self, name: str) -> str:
        """Make the absolute path of one of its programs."""
        return str(self.bin_dir / name)


def find(name: str) -> str:
    """Find the absolute path of a program.

    Raises ConfigurationError that names the program and the Debian package that brings it.
    """
    beside = Path(sys.executable).parent / name
    if name not in DEBIAN_PACKAGES and beside.exists():
        return str(beside)
    path = shutil.which(name, path=f"{os.defpath}:/usr/sbin:/usr/local/bin:{os.pathsep.join(_own_path())}")
    if path is None:
        package = DEBIAN_PACKAGES.get(name)
        how = f"apt-get install {package}" if package else "pip install 'ops-platform[local]'"
        raise ConfigurationError(f"the program {name} is missing: {how}")
    return path


def find_pgbackrest(binary: str) -> str:
    """Find the pgBackRest that OPS_PGBACKREST_BINARY names; its absolute path. Raises ConfigurationError."""
    if "/" not in binary:
        return find(binary)
    if not os.access(binary, os.X_OK):
        raise ConfigurationError(
            f"OPS_PGBACKREST_BINARY is {binary}, which is no program: correct it or unset it"
        )
    return binary


def installed_postgres() -> list[PostgresPrograms]:
    """List the installed PostgreSQL servers, the oldest first."""
    return sorted(
        (
            PostgresPrograms(int(path.parent.parent.name), path.parent)
            for path in POSTGRES_ROOT.glob("*/bin/postgres")
            if path.parent.parent.name.isdigit()
        ),
        key=lambda programs: programs.major,
    )


def find_postgres(pgbackrest_version: tuple[int, ...] | None = None) -> PostgresPrograms:
    """Find the newest installed PostgreSQL server that this pgBackRest can back up.

    Raises ConfigurationError when there is none.
    """
    installed = installed_postgres()
    if not installed:
        raise ConfigurationError("the program postgres is missing: apt-get install postgresql")
    limit = supported_servers.newest_known(pgbackrest_version) if pgbackrest_version else None
    for programs in reversed(installed):
        if limit is None or programs.major <= limit:
            return programs
    version = ".".join(map(str, pgbackrest_version or ()))
    raise ConfigurationError(
        f"pgBackRest {version} supports PostgreSQL up to {limit}, installed is {installed[0].major}: "
        "install a newer pgbackrest or an older postgresql"
    )


def postgres_of_version(major: int, data_dir: Path) -> PostgresPrograms:
    """Find the programs that can run the cluster in ``data_dir``. Raises ConfigurationError."""
    bin_dir = POSTGRES_ROOT / str(major) / "bin"
    if not (bin_dir / "postgres").exists():
        raise ConfigurationError(
            f"the cluster in {data_dir} was made by PostgreSQL {major}, which is not installed: "
            f"apt-get install postgresql-{major}"
        )
    return PostgresPrograms(major, bin_dir)


def pgbackrest_version(binary: str = "pgbackrest") -> tuple[int, ...]:
    """Ask a pgBackRest for its version. Raises ConfigurationError when it is missing."""
    output = subprocess.run(
        [find_pgbackrest(binary), "version"], capture_output=True, text=True, check=False
    ).stdout
    match = re.search(r"(\d+(?:\.\d+)+)", output)
    if match is None:
        raise ConfigurationError(
            "pgbackrest does not say its version: reinstall the Debian package pgbackrest"
        )
    return tuple(int(part) for part in match.group(1).split("."))


def _own_path() -> list[str]:
    return [str(Path(sys.executable).parent)]
