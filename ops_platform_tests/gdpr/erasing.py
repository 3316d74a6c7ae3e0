"""Product databases to erase in, and what independent SQL says of them before and after."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import yaml
from psycopg import sql

from ops_platform import files
from ops_platform.clients.postgres import connection as postgres
from ops_platform.clients.postgres.connection import Connection
from ops_platform.clients.postgres.migrations import migrate
from ops_platform.gdpr.connections import OpenDatabase
from ops_platform.gdpr.data_map import parser as map_file
from ops_platform.gdpr.data_map.model import DataMap
from ops_platform.gdpr.row_erasure import engine as row_erasure
from ops_platform.gdpr.row_erasure.engine import RowErasure
from ops_platform.gdpr.row_erasure.foresight import Outlook, outlook
from ops_platform.gdpr.schema import reader as catalogue
from ops_platform.gdpr.subject import row_predicates as subject_rows
from ops_platform.local.servers.postgres_cluster import PostgresCluster
from ops_platform.local.servers.postgres_roles import ensure_database, run_roles

CUTOFF = datetime(2026, 6, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Product:
    """One database with the platform's footprint. ``owner`` makes its tables."""

    cluster: PostgresCluster
    name: str

    @contextmanager
    def owner(self) -> Iterator[Connection]:
        with postgres.session(self.cluster.url("product_owner", self.name), autocommit=True) as connection:
            yield connection

    @contextmanager
    def eraser(self) -> Iterator[Connection]:
        with postgres.session(self.cluster.url("ops_eraser", self.name), autocommit=True) as connection:
            yield connection

    def digest(self, *ignored: str) -> dict[str, str]:
        """Number and content of each table's rows, whatever their order; as a superuser sees them."""
        found = {}
        with self.cluster.superuser(self.name) as connection:
            tables = connection.execute(
                "SELECT nspname, relname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = relnamespace "
                "WHERE relkind = 'r' AND nspname NOT IN ('pg_catalog', 'information_schema', 'ops_platform')"
            ).fetchall()
            for schema, table in tables:
                query = sql.SQL(
                    "SELECT count(*), coalesce(sum(hashtextextended(t.*::text, 0)::numeric), 0) "
                    "FROM ONLY {} AS t"
                )
                if table not in ignored:
                    row = connection.execute(query.format(sql.Identifier(str(schema), str(table)))).fetchone()
                    found[str(table)] = str(row)
        return found


@dataclass
class Products:
    """Copies of one that is migrated."""

    cluster: PostgresCluster
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    TEMPLATE = "erasing_template"

    def create(self, template: str = TEMPLATE) -> Product:
        if template == self.TEMPLATE:
            self._template()
        name = f"erasing_{next(self._numbers)}"
        with self.cluster.superuser() as superuser:
            superuser.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER product_owner STRATEGY FILE_COPY").format(
                    sql.Identifier(name), sql.Identifier(template)
                )
            )
            ensure_database(superuser, name, "product_owner", ("ops_eraser", "ops_worker"))
        return Product(self.cluster, name)

    def create_in(self, encoding: str) -> Product:
        """Create one in another encoding, migrated as the others are."""
        name = f"erasing_{encoding.lower()}"
        with self.cluster.superuser() as superuser:
            superuser.execute(
                sql.SQL(
                    "CREATE DATABASE {} TEMPLATE template0 OWNER product_owner ENCODING {} LOCALE 'C'"
                ).format(sql.Identifier(name), sql.Literal(encoding))
            )
            ensure_database(superuser, name, "product_owner", ("ops_eraser", "ops_worker"))
        with self.cluster.superuser(name) as superuser:
            run_roles(superuser, "product")
        migrate(self.cluster.url("ops_owner", name), files.carried("sql") / "product")
        return Product(self.cluster, name)

    def drop(self, product: Product) -> None:
        with self.cluster.superuser() as superuser:
            superuser.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(product.name)))

    def _template(self) -> None:
        with self.cluster.superuser() as superuser:
            if superuser.execute("SELECT FROM pg_database WHERE datname = %s", (self.TEMPLATE,)).fetchone():
                return
            ensure_database(superuser, self.TEMPLATE, "product_owner", ("ops_eraser", "ops_worker"))
        with self.cluster.superuser(self.TEMPLATE) as superuser:
            run_roles(superuser, "product")
        migrate(self.cluster.url("ops_owner", self.TEMPLATE), files.carried("sql") / "product")


def map_of(directory: Path, text: str) -> DataMap:
    """Purposes and the like are filled in: tests are about rows."""
    document = yaml.safe_load(text)
    parts = (document, *document.get("databases", {}).values())
    for table in (table for part in parts for table in part["tables"].values()):
        table.setdefault("purpose", "a test")
        table.setdefault("retention", "a test")
        for row in table.get("rows", ()):
            row.setdefault("export", "none")
    file = directory / "data_map.yaml"
    file.write_text(yaml.safe_dump({"version": 1, **document}, sort_keys=False), encoding="utf-8")
    return map_file.load(file)


def erasing(
    connection: Connection, data_map: DataMap, key: str, *, name: str = "one", replay: bool = False
) -> RowErasure:
    who = subject_rows.identity(connection, data_map, catalogue.read(connection), key)
    assert who is not None
    return RowErasure(name, who, CUTOFF, replay)


def left(connection: Connection, data_map: DataMap, what: RowErasure) -> tuple[list[str], list[str]]:
    """Mapped rows, and hits of the residue scan."""
    known = catalogue.read(connection)
    return (
        [f"{one.place} ({one.role})" for one in row_erasure.remaining(connection, data_map, known, what)],
        [f"{one.table}.{one.column}" for one in row_erasure.residue(connection, data_map, known, what)],
    )


def outlook_of(connection: Connection, data_map: DataMap, key: str) -> Outlook:
    """What an erasure of one subject would do, in a database that is the only one."""
    [seen] = outlook.of_keys([OpenDatabase(data_map, connection, catalogue.read(connection))], [key])
    assert seen is not None
    return seen
