"""The draft's look at values: one statement a column, with a time limit; what it could not see is kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import psycopg
from psycopg import sql

from ops_platform.clients.postgres import Connection, one_row
from ops_platform.clients.safe_errors import why
from ops_platform.gdpr.map_check import json_sampling
from ops_platform.gdpr.map_check.evidence import value_sampling
from ops_platform.gdpr.map_check.evidence.value_sampling import Share
from ops_platform.gdpr.schema import Name, Relation

SECONDS = 2
"""Time limit of each statement."""
TYPES = 20
"""Values of a type column that are listed."""
CONTENTS = {
    "user.contact.email": r"^[^@[:space:]]+@[^@[:space:]]+\.[[:alpha:]]{2,}$",
    "user.device.ip_address": r"^[0-9]{1,3}(\.[0-9]{1,3}){3}$",
    "user.contact.phone_number": r"^(\+|\([0-9])[0-9 ()./-]{6,20}$",
    "user.financial.bank_account": r"^[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}$",
    "user.authorization.password": r"^\$(2[aby]|argon2[id]*|scrypt|6|5)\$",
    "user.authorization.credentials": r"^(eyJ[A-Za-z0-9_-]+\.eyJ|gh[pousr]_|sk_(live|test)_|xox[abp]-)",
}
"""Categories that values show by themselves, with their patterns."""


@dataclass(frozen=True)
class Subjects:
    """The table of the subjects in another database than the tables of the draft."""

    connection: Connection
    relation: Relation


@dataclass
class ValueLook:
    """A look through ``connection``, or none. ``unseen``: the columns that it could not look at, and why.

    ``subjects``: where the subjects' table is in another database; None: in this one.
    """

    connection: Connection | None = None
    unseen: dict[str, str] = field(default_factory=dict)
    subjects: Subjects | None = None

    def share(self, table: Name, column: str, target: Name, to: str) -> Share | None:
        """Compare a column's values with the keys of a table; None where that could not be done."""
        if self.connection is None:
            return None
        with self._statement(table, column) as connection:
            if self.subjects is None or target.schema:
                return value_sampling.share(connection, table, column, target, to)
            other, relation = self.subjects.connection, self.subjects.relation
            with _limited(other):
                return value_sampling.share_elsewhere(connection, table, column, other, relation, to)
        return None

    def types(self, table: Name, column: str) -> list[str]:
        """List the most frequent values of a type column in a sample."""
        query = sql.SQL(
            """
            SELECT array_agg(value ORDER BY frequency DESC) AS types FROM (
                SELECT CAST(value AS text) AS value, count(*) AS frequency
                FROM (SELECT {} AS value FROM {} LIMIT {}) AS s
                WHERE value IS NOT NULL GROUP BY 1 ORDER BY 2 DESC LIMIT {}) AS t
            """
        ).format(
            sql.Identifier(column), table.identifier, sql.Literal(json_sampling.SAMPLE), sql.Literal(TYPES)
        )
        if self.connection is not None:
            with self._statement(table, column) as connection:
                return list(one_row(connection, query)["types"] or ())
        return []

    def content(self, table: Name, column: str) -> tuple[str, int, int] | None:
        """Find a category that at least half of a text column's sampled values show, with both numbers."""
        if self.connection is None:
            return None
        counts = sql.SQL(", ").join(
            sql.SQL("count(*) FILTER (WHERE value ~ {})").format(sql.Literal(pattern))
            for pattern in CONTENTS.values()
        )
        query = sql.SQL(
            "SELECT count(*) AS values, ARRAY[{}] AS counts FROM "
            "(SELECT left(CAST({} AS text), 300) AS value FROM {} LIMIT {}) AS s WHERE value <> ''"
        ).format(counts, sql.Identifier(column), table.identifier, sql.Literal(value_sampling.VALUES))
        with self._statement(table, column) as connection:
            row = one_row(connection, query)
            for category, count in zip(CONTENTS, row["counts"], strict=True):
                if count and 2 * count >= row["values"]:
                    return category, count, row["values"]
        return None

    @contextmanager
    def _statement(self, table: Name, column: str) -> Iterator[Connection]:
        """Run what is within in a transaction of its own, with the time limit; note what fails."""
        assert self.connection is not None  # noqa: S101 - callers have asked
        try:
            with _limited(self.connection):
                yield self.connection
        except (psycopg.errors.UndefinedFunction, psycopg.DataError):
            # Types without a common operator, or text that the other type cannot be: they are not the same.
            return
        except (psycopg.errors.QueryCanceled, psycopg.errors.InsufficientPrivilege) as error:
            self.unseen[f"{table}.{column}"] = why(error)


@contextmanager
def _limited(connection: Connection) -> Iterator[None]:
    """Open a transaction whose statements have the time limit."""
    with connection.transaction():
        connection.execute(sql.SQL("SET LOCAL statement_timeout = {}").format(sql.Literal(f"{SECONDS}s")))
        yield
