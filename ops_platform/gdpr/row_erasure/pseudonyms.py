"""Substitutes for a person's values: literals, a pseudonym, a stand-in's key, as SQL of the column's type."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from psycopg import sql
from psycopg.types.json import Jsonb

from ops_platform.clients.postgres import one_row
from ops_platform.errors import CheckFailed
from ops_platform.gdpr.data_map import PSEUDONYM, STAND_IN, Constant, DataMap, Value
from ops_platform.gdpr.row_erasure.journal import Journal
from ops_platform.gdpr.schema import Catalogue, Column
from ops_platform.gdpr.subject import Identity, subject_key


@dataclass(frozen=True)
class Substitutes:
    """The substitutes of one erasure: the same at every attempt, until the journal is forgotten.

    ``identity``: of the subject, whose tenant a stand-in has.
    """

    journal: Journal
    data_map: DataMap
    catalogue: Catalogue
    identity: Identity

    def known(
        self,
        values: Mapping[str, Value],
        columns: Mapping[str, Column],
        parts: Mapping[str, str] | None = None,
    ) -> dict[str, sql.Composable]:
        """Write those of ``values`` that exist already: a stand-in is made when the first row needs it.

        ``parts``: the subject's column that each column holds, of a key of several.
        """
        return {
            name: expression
            for name, value in values.items()
            if (expression := self._sql(value, columns[name], (parts or {}).get(name))) is not None
        }

    def make_stand_in(self, values: Mapping[str, Value]) -> int | None:
        """Insert the stand-in row if ``values`` need one and there is none yet, in the caller's transaction.

        Returns the oid of the relation that it was put into; None when nothing was inserted.
        """
        if STAND_IN not in values.values() or self.journal.stand_in() is not None:
            return None
        subject = self.data_map.subject
        relation = self.catalogue.relations.get(subject.table)
        if relation is None:
            raise CheckFailed(
                f"a stand-in for {subject.kind} is needed, but there is no table {subject.table} here: set "
                "another value in the role until it is there"
            )
        columns = relation.columns
        given = self.known(subject.stand_in, columns) | self._own_parts(columns)
        # Without given values the row consists of defaults.
        insert = sql.SQL("INSERT INTO {} AS t {} RETURNING {} AS key, {} AS place").format(
            subject.table.identifier,
            sql.SQL("({}) VALUES ({})").format(
                sql.SQL(", ").join(map(sql.Identifier, given)), sql.SQL(", ").join(given.values())
            )
            if given
            else sql.SQL("DEFAULT VALUES"),
            sql.SQL("ARRAY[{}]").format(
                sql.SQL(", ").join(
                    sql.SQL("CAST({} AS text)").format(sql.Identifier("t", name)) for name in subject.key
                )
            ),
            sql.SQL("CAST(t.tableoid AS bigint)"),
        )
        row = one_row(self.journal.connection, insert)
        self.journal.keep_stand_in(subject_key.join(row["key"]))
        return int(row["place"])

    def _own_parts(self, columns: Mapping[str, Column]) -> dict[str, sql.Composable]:
        """Write the subject's own values for parts of a key that the stand-in does not get otherwise."""
        subject = self.data_map.subject
        return {
            name: _cast(sql.Literal(self.identity.values[name]), columns[name])
            for name in subject.key
            if len(subject.key) > 1 and name not in subject.stand_in and not columns[name].made_by_itself
        }

    def _sql(self, value: Value, column: Column, part: str | None) -> sql.Composable | None:
        if value == PSEUDONYM:
            pseudonym = self.journal.pseudonym()
            if pseudonym is None:
                return None
            text = str(pseudonym) if column.base == "uuid" else pseudonym.hex[: _width(column.type)]
            return _cast(sql.Literal(text), column)
        if value == STAND_IN:
            key = self.journal.stand_in()
            if key is None:
                return None
            texts = subject_key.texts(self.data_map.subject, key)
            held = self.data_map.subject.key.index(part) if len(texts) > 1 and part else 0
            return _cast(sql.Literal(texts[held]), column)
        assert isinstance(value, Constant)  # noqa: S101 - the two keywords are handled above
        if value.value is not None and column.type in ("json", "jsonb"):
            return _cast(sql.Literal(Jsonb(value.value)), column)
        return _cast(sql.Literal(value.value), column)


def _cast(value: sql.Composable, column: Column) -> sql.Composable:
    return sql.SQL("CAST({} AS {})").format(value, sql.SQL(column.type))


def _width(column_type: str) -> int | None:
    """Read the length limit of a text type; None when it has none."""
    width = re.search(r"\((\d+)\)", column_type)
    return int(width.group(1)) if width else None
