"""Schema migrations: plain SQL files of one folder, applied to one database, through yoyo.

yoyo keeps the order, the dependencies and the record of what was applied. Running a file is our
own code: whole, in the transaction that also records it, under an advisory lock. The content of
the files is not known here.
"""

from __future__ import annotations

import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import tuple_row
from yoyo.backends.core.postgresql import PostgresqlPsycopgBackend
from yoyo.connections import parse_uri
from yoyo.exceptions import BadMigration
from yoyo.migrations import Migration, MigrationList, default_migration_table, read_migrations

from ops_platform.clients.postgres import connection as postgres
from ops_platform.clients.safe_errors import why
from ops_platform.errors import ConfigurationError, OpsError, Unavailable

LOCK_WAIT_SECONDS = 60

# All that the platform puts into somebody else's database is in one schema, its bookkeeping
# included: dropping the schema leaves nothing behind.
_SCHEMAS = {"product": "ops_platform"}


class MigrationError(OpsError):
    """A migration did not apply; the database is as it was before that file."""


class DatabaseNewer(ConfigurationError):
    """The database holds a migration that this installation does not have."""


def migrate(url: str, folder: Path) -> list[str]:
    """Bring the database at ``url`` to the newest migration of ``folder``; return what was applied, in order.

    Each file is applied and recorded in one transaction, so a run that is killed anywhere can
    simply be repeated. Safe beside another run: the second waits up to LOCK_WAIT_SECONDS, then
    finds nothing to do.
    Raises MigrationError, DatabaseNewer, ConfigurationError (folder), Unavailable (server, lock).
    """
    migrations = _read(folder)
    applied = []
    with _backend(url, folder) as backend, _locked(backend, url, folder):
        backend.create_schema()
        _refuse_newer(backend, migrations, url)
        for migration in backend.to_apply(migrations):
            backend.apply_one(migration)
            applied.append(str(migration.id))
    return applied


def pending(url: str, folder: Path) -> list[str]:
    """List the migrations of ``folder`` that ``migrate`` would apply, in order; write nothing.

    Raises what ``migrate`` raises, except MigrationError.
    """
    migrations = _read(folder)
    with _backend(url, folder) as backend:
        if not backend.has_bookkeeping():
            return [str(migration.id) for migration in migrations]
        _refuse_newer(backend, migrations, url)
        return [str(migration.id) for migration in backend.to_apply(migrations)]


class _Backend(PostgresqlPsycopgBackend):  # type: ignore[misc]
    """yoyo's psycopg 3 backend with three differences.

    The connection is opened from the URL itself: yoyo takes the URL apart and loses multiple hosts.
    A file and its record are one transaction: yoyo commits them apart, so that a kill in between
    leaves a migration that is applied, not recorded and can never be repeated.
    The lock is PostgreSQL's and dies with its session: yoyo's is a row that outlives a killed run.
    """

    def __init__(self, url: str, schema: str | None) -> None:
        self._url = url
        self._schema = schema
        super().__init__(parse_uri("postgresql+psycopg:///"), default_migration_table)

    def connect(self, dburi: Any) -> Any:
        connection: Any = postgres.connect(self._url, application="ops-platform migrate", autocommit=True)
        connection.row_factory = tuple_row
        connection.execute(sql.SQL("SET lock_timeout = {}").format(sql.Literal(f"{LOCK_WAIT_SECONDS}s")))
        self.schema = self._schema
        return connection

    def init_connection(self, connection: Any) -> None:
        if self.schema:
            path = sql.SQL("SET search_path TO {}, public").format(sql.Identifier(self.schema))
            connection.execute(path)

    def lock(self, timeout: float = 10) -> Any:
        return nullcontext()

    def get_log_data(self, migration: Any = None, operation: str = "apply") -> dict[str, Any]:
        # yoyo asks DNS for the host's full name and fails for a user that has no passwd entry.
        return {
            "id": str(uuid.uuid4()),
            "migration_id": migration.id if migration else None,
            "migration_hash": migration.hash if migration else None,
            "username": self.connection.info.user,
            "hostname": socket.gethostname(),
            "created_at_utc": datetime.now(UTC).replace(tzinfo=None),
            "operation": operation,
        }

    def create_schema(self) -> None:
        if not self.schema or self._schema_exists():
            return
        try:
            self.connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(self.schema)))
        except psycopg.errors.InsufficientPrivilege:
            raise ConfigurationError(
                f"database {self.connection.info.dbname} has no schema {self.schema} and role "
                f"{self.connection.info.user} may not create it: run sql/roles/product.sql there as superuser"
            ) from None

    def has_bookkeeping(self) -> bool:
        return (not self.schema or self._schema_exists()) and self.migration_table in self.list_tables()

    def applied_names(self) -> list[str]:
        if not self.has_bookkeeping():
            return []
        table = sql.Identifier(self.migration_table)
        rows = self.connection.execute(sql.SQL("SELECT migration_id FROM {} ORDER BY 1").format(table))
        return [row[0] for row in rows]

    def apply_one(self, migration: Migration, force: bool = False, mark: bool = True) -> None:
        self.ensure_internal_schema_updated()
        text = Path(migration.path).read_text(encoding="utf-8")
        try:
            with self.transaction():
                # The file as one text: a splitter that misreads a function body would run half of it.
                self.connection.execute(text)
                self.mark_one(migration)
        except psycopg.Error as error:
            raise MigrationError(_explain(error, migration, text)) from None

    def _schema_exists(self) -> bool:
        row = self.connection.execute("SELECT to_regnamespace(quote_ident(%s)) IS NOT NULL", (self.schema,))
        return bool(row.fetchone()[0])


def _read(folder: Path) -> MigrationList:
    if not folder.is_dir():
        raise ConfigurationError(f"there is no folder of migrations at {folder}: reinstall the package")
    # Glob characters are escaped: yoyo globs the path that it is given.
    migrations = read_migrations("".join(f"[{char}]" if char in "*?[" else char for char in str(folder)))
    if not migrations:
        raise ConfigurationError(f"the folder {folder} holds no migration: reinstall the package")
    for migration in migrations:
        try:
            migration.load()
        except (BadMigration, KeyError):
            raise ConfigurationError(
                f"migration {migration.id}: its -- depends or -- transactional line is wrong: correct it"
            ) from None
        if not migration.is_raw_sql() or not migration.use_transactions:
            raise ConfigurationError(
                f"migration {migration.id} must be one transaction of plain SQL: rewrite it"
            )
    return migrations


@contextmanager
def _backend(url: str, folder: Path) -> Iterator[_Backend]:
    backend = _Backend(url, _SCHEMAS.get(folder.name))
    try:
        yield backend
    except psycopg.OperationalError as error:
        raise Unavailable(
            f"lost PostgreSQL at {postgres.describe(url)} while migrating ({type(error).__name__}): "
            "run 'ops-platform migrate' again, it continues where it stopped"
        ) from None
    except psycopg.Error as error:
        raise MigrationError(
            f"cannot read or write the record of migrations at {postgres.describe(url)}: "
            f"{why(error)}: migrate as the owner of the tables"
        ) from None
    finally:
        backend.connection.close()


@contextmanager
def _locked(backend: _Backend, url: str, folder: Path) -> Iterator[None]:
    key = postgres.lock_key(f"migrate/{folder.name}")
    started = time.monotonic()
    try:
        backend.connection.execute("SELECT pg_advisory_lock(%s)", (key,))
    except psycopg.errors.LockNotAvailable:
        raise Unavailable(
            f"another migration of {postgres.describe(url)} has been running for more than "
            f"{time.monotonic() - started:.0f} s: wait for it or end it, then repeat"
        ) from None
    yield  # released with the session, which ends in any case


def _refuse_newer(backend: _Backend, migrations: MigrationList, url: str) -> None:
    known = {str(migration.id) for migration in migrations}
    unknown = [name for name in backend.applied_names() if name not in known]
    if unknown:
        raise DatabaseNewer(
            f"the database at {postgres.describe(url)} is newer than this installation (it has "
            f"{', '.join(unknown)}): install the version of ops-platform that migrated it, or a later one"
        )


def _explain(error: psycopg.Error, migration: Migration, text: str) -> str:
    where = ""
    if error.diag.statement_position:
        # PostgreSQL counts characters from 1 in the whole text that was sent.
        line = text.count("\n", 0, int(error.diag.statement_position) - 1) + 1
        where = f" line {line}"
    return (
        f"migration {migration.id}{where} failed and was rolled back: {why(error)}: "
        "correct the cause and run 'ops-platform migrate' again"
    )
