"""A database of the subject's with an open connection, its part of the data map, and its catalogue."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from ops_platform.clients.postgres import Connection, one_row
from ops_platform.errors import CheckFailed, ConfigurationError, Unavailable
from ops_platform.gdpr import schema
from ops_platform.gdpr.connections.database_urls import Connect
from ops_platform.gdpr.data_map import DataMap
from ops_platform.gdpr.schema import Catalogue, Column

_WHICH = """
    SELECT system_identifier || ' ' || extract(epoch FROM pg_postmaster_start_time()) AS server,
           system_identifier::text AS cluster, current_database() AS database,
           pg_is_in_recovery() AS standby
    FROM pg_control_system()
"""


@dataclass(frozen=True)
class OpenDatabase:
    """A database; ``home``: that with the subject's row, None for the home database itself.

    ``server``: which one runs it, by its cluster's system identifier and the time of its start: standbys and
    what was restored have the first of their source. Empty where it was not asked.
    """

    data_map: DataMap
    connection: Connection = field(repr=False)
    catalogue: Catalogue = field(repr=False)
    home: OpenDatabase | None = None
    server: str = ""

    @property
    def name(self) -> str:
        """The name in the map; empty for the home database."""
        return "" if self.data_map.database is None else self.data_map.database.name

    @contextmanager
    def named(self) -> Iterator[None]:
        """Name the database in the errors that its block raises, where it is not the home database."""
        try:
            yield
        except (CheckFailed, ConfigurationError, Unavailable) as error:
            if not self.name:
                raise
            kind = next(
                base for base in (CheckFailed, ConfigurationError, Unavailable) if isinstance(error, base)
            )
            raise kind(f"database {self.name}: {error}") from None

    @property
    def with_subject(self) -> Catalogue:
        """The catalogue with the table of the subjects, for checks of what columns here hold of them.

        Its further columns are what side tables of the home database know the subject by. Nothing may be
        asked of it in this database.
        """
        if self.home is None:
            return self.catalogue
        subject, relations = self.home.data_map.subject, self.home.catalogue.relations
        relation = relations.get(subject.table)
        if relation is None:
            return self.catalogue
        name, columns = self.data_map.subject.table, dict[str, Column](relation.columns)
        for known in subject.known_by:
            side_table = relations.get(known.table)
            if side_table is not None and known.column in side_table.columns:
                columns[known.name] = side_table.columns[known.column]
        here = replace(relation, name=name, columns=columns)
        return replace(self.catalogue, relations={**self.catalogue.relations, name: here})


@contextmanager
def connected(connect: Mapping[str, Connect]) -> Iterator[dict[str, Connection]]:
    """Open connections to all the databases, or to none: by name, closed at the end of the block.

    Raises ConfigurationError or Unavailable, which name the database.
    """
    with ExitStack() as stack:
        yield {name: stack.enter_context(closing(opening())) for name, opening in connect.items()}


def server_of(connection: Connection) -> str:
    """Tell which server a connection leads to, as ``OpenDatabase.server`` says it."""
    return str(one_row(connection, _WHICH)["server"])


def read(home: OpenDatabase, connections: Mapping[str, Connection]) -> tuple[OpenDatabase, ...]:
    """Read the catalogues of the map's other databases; return all, the home database first.

    Raises ConfigurationError where two are the same database.
    """
    others = [
        OpenDatabase(part, connection, schema.read(connection), home)
        for part in home.data_map.databases
        if part.database is not None
        for connection in [connections[part.database.name]]
    ]
    if not others:
        return (home,)
    databases, known = list[OpenDatabase](), list[tuple[str, dict[str, Any]]]()
    for database in (home, *others):
        row = one_row(database.connection, _WHICH)
        for name, earlier in known:
            if _is_same(row, earlier):
                raise ConfigurationError(
                    f"the data map's database {database.name} is the same as {name}: correct its URL"
                )
        known.append((database.name or "the product database", row))
        databases.append(replace(database, server=row["server"]))
    return tuple(databases)


def _is_same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Tell whether two connections lead to one database, or to a copy of it that follows."""
    copies = all(one[name] == other[name] for name in ("cluster", "database"))
    return copies and (one["server"] == other["server"] or one["standby"] or other["standby"])
