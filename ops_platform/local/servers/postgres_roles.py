"""Roles, databases and passwords of a cluster; URLs that name a pgpass file instead of a password."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg import sql

from ops_platform import files
from ops_platform.local.host import SecretStore

HOSTS = ("127.0.0.1", "localhost")
ROLES = ("ops_owner", "ops_worker", "ops_agent", "ops_api")
"""Roles that the platform logs in with, in every cluster."""

_Connection = psycopg.Connection[tuple[object, ...]]


@dataclass(frozen=True)
class PostgresRoles:
    """Login roles of a cluster that listens on ``port``, and their pgpass files."""

    cluster: str
    port: int
    ca_file: Path
    secrets: SecretStore

    def passfile(self, role: str) -> Path:
        """Name the role's pgpass file."""
        return self.secrets.path(f"pgpass-{self.cluster}-{role}")

    def url(self, role: str, database: str) -> str:
        """Make the role's URL over verified TLS; it names the pgpass file."""
        return (
            f"postgresql://{role}@127.0.0.1:{self.port}/{database}?sslmode=verify-full"
            f"&sslrootcert={quote(str(self.ca_file))}&passfile={quote(str(self.passfile(role)))}"
        )

    def password(self, role: str) -> str:
        """Read the role's password, random the first time; writes the pgpass file for the current port."""
        path = self.passfile(role)
        password = (
            path.read_text(encoding="utf-8").splitlines()[0].rsplit(":", 1)[1] if path.exists() else None
        )
        password = password or secrets.token_urlsafe(32)
        self.secrets.write(path.name, "".join(f"{host}:{self.port}:*:{role}:{password}\n" for host in HOSTS))
        return password

    def grant_login(self, superuser: _Connection, roles: Iterable[str]) -> None:
        """Make each role's password the one in its pgpass file; a role that can log in is left alone."""
        for role in roles:
            if self._can_log_in(role):
                continue
            # The server is sent a SCRAM verifier, so that no statement log can hold the password.
            verifier = superuser.pgconn.encrypt_password(
                self.password(role).encode(), role.encode(), b"scram-sha-256"
            )
            superuser.execute(
                sql.SQL("ALTER ROLE {} PASSWORD {}").format(
                    sql.Identifier(role), sql.Literal(verifier.decode())
                )
            )

    def _can_log_in(self, role: str) -> bool:
        self.password(role)
        try:
            psycopg.connect(self.url(role, "postgres"), connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True


def run_roles(superuser: _Connection, name: str) -> None:
    """Run ``sql/roles/<name>.sql`` in the database of the connection."""
    superuser.execute((files.carried("sql") / "roles" / f"{name}.sql").read_bytes())


def ensure_database(superuser: _Connection, name: str, owner: str, allowed: Iterable[str] = ()) -> bool:
    """Create the database if missing; only ``owner`` and ``allowed`` may connect. True when created."""
    existing = superuser.execute("SELECT FROM pg_database WHERE datname = %s", (name,)).fetchone()
    database = sql.Identifier(name)
    if existing is None:
        superuser.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(database, sql.Identifier(owner)))
    superuser.execute(sql.SQL("REVOKE CONNECT, TEMPORARY ON DATABASE {} FROM PUBLIC").format(database))
    for role in allowed:
        superuser.execute(
            sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(database, sql.Identifier(role))
        )
    return existing is None
