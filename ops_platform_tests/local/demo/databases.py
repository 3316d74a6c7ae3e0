"""Product databases with the demo's schema, in one cluster per worker."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field

from psycopg import sql

from ops_platform import files
from ops_platform.clients.postgres.migrations import migrate
from ops_platform.local.servers.postgres_cluster import PostgresCluster
from ops_platform.local.servers.postgres_roles import ensure_database


@dataclass
class DemoDatabase:
    """One database that has the demo's schema and no rows."""

    cluster: PostgresCluster
    name: str

    @property
    def owner_url(self) -> str:
        return self.cluster.url("product_owner", self.name)

    @property
    def app_url(self) -> str:
        return self.cluster.url("product_app", self.name)

    def digests(self) -> dict[str, str]:
        """Rows and content of every table, independent of their order; usage_logs as one table."""
        found = {}
        with self.cluster.superuser(self.name) as connection:
            connection.execute("SET TIME ZONE 'UTC'")
            tables = connection.execute(
                "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace "
                "AND relkind IN ('r', 'p', 'm') AND NOT relispartition AND relname !~ '^(_?yoyo|demo_seed)'"
            ).fetchall()
            for (table,) in tables:
                query = sql.SQL(
                    "SELECT count(*), coalesce(sum(hashtextextended(t::text, 0)::numeric), 0) FROM {} AS t"
                )
                row = connection.execute(query.format(sql.Identifier(str(table)))).fetchone()
                found[str(table)] = str(row)
        return found


@dataclass
class DemoDatabases:
    cluster: PostgresCluster
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def create(self, *, schema: bool = True) -> DemoDatabase:
        database = DemoDatabase(self.cluster, f"demo_{next(self._numbers)}")
        with self.cluster.superuser() as superuser:
            ensure_database(superuser, database.name, "product_owner", ("product_app",))
        if schema:
            migrate(database.owner_url, files.carried("sql") / "demo")
        return database
