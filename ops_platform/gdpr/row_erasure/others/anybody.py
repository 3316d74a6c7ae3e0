"""Rows that are anybody's of another kind of subject: what their erasure would take, or the law keeps.

By the roles of their map, since a key of theirs may be equal to the subject's. Pure: conditions in SQL.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from psycopg import sql

from ops_platform.gdpr.data_map import (
    Anonymise,
    Belonging,
    ByArray,
    ByJson,
    ByMention,
    ByParent,
    DataMap,
    Delete,
    Keep,
    holds_of,
)
from ops_platform.gdpr.row_erasure.others.same_role import named_roles
from ops_platform.gdpr.schema import Catalogue, Name
from ops_platform.gdpr.subject import constant_sql


def takes(belonging: Belonging) -> bool:
    """Tell whether a role can take something from another subject whose row it is, too.

    Roles that only replace the subject's own reference or identifiers leave the row to the other.
    """
    erasure = belonging.erasure
    if isinstance(erasure, Anonymise):
        return not set(erasure.columns) <= set(belonging.way.columns)
    return isinstance(erasure, Delete)


def theirs(data_map: DataMap, table: Name) -> Iterator[tuple[DataMap, Belonging]]:
    """Yield the roles of other kinds in which rows of ``table`` are theirs, and do not only refer to them."""
    for other in data_map.others:
        for belonging in other.tables[table].belongings if table in other.tables else ():
            if takes(belonging) or isinstance(belonging.erasure, Keep) or belonging.export == "own":
                yield other, belonging


@dataclass(frozen=True)
class Anybody:
    """The people of the kind that ``data_map`` is about, all of them."""

    data_map: DataMap
    catalogue: Catalogue

    def test(self, table: Name, belonging: Belonging, alias: str) -> sql.Composable | None:
        """Write the condition that row ``alias`` is somebody's in this role; None: it cannot be told.

        What the law keeps is theirs by the key also when they have no row any more.
        """
        return self._test(table, belonging, alias, gone=isinstance(belonging.erasure, Keep))

    def _test(self, table: Name, belonging: Belonging, alias: str, *, gone: bool) -> sql.Composable | None:
        held = self._held(table, belonging, alias, gone=gone)
        if held is None or not belonging.where:
            return held
        columns = self.catalogue.relations[table].columns
        where = [constant_sql.is_any_of(columns[name], of, alias) for name, of in belonging.where.items()]
        return sql.SQL("({})").format(sql.SQL(" AND ").join([held, *where]))

    def _held(self, table: Name, belonging: Belonging, alias: str, *, gone: bool) -> sql.Composable | None:
        way = belonging.way
        if isinstance(way, ByMention):
            return None
        if isinstance(way, ByParent):
            return self._through(way, alias, gone=gone)
        if isinstance(way, ByJson):
            return self._any_value(table, way, alias)
        references = [sql.Identifier(alias, column) for column in way.columns]
        if gone and set(self.data_map.subject.key) <= set(holds_of(way)):
            if isinstance(way, ByArray):
                return sql.SQL("cardinality({}) > 0").format(references[0])
            return sql.SQL("({})").format(
                sql.SQL(" AND ").join(sql.SQL("{} IS NOT NULL").format(one) for one in references)
            )
        values: list[sql.Composable] = (
            [sql.SQL("ANY ({})").format(references[0])] if isinstance(way, ByArray) else [*references]
        )
        return self._has(holds_of(way), values, f"{alias}o")

    def _has(self, holds: tuple[str, ...], values: list[sql.Composable], owner: str) -> sql.Composable | None:
        """Write the condition that somebody of the kind has these values."""
        subject = self.data_map.subject
        known = next((known for known in subject.known_by if (known.name,) == holds), None)
        table = subject.table if known is None else known.table
        if table not in self.catalogue.relations:
            return None
        tests: list[sql.Composable] = [
            sql.SQL("{} = {}").format(sql.Identifier(owner, held), value)
            for held, value in zip((known.column,) if known else holds, values, strict=True)
        ]
        if known is not None:
            some = self._some(table, named_roles(self.data_map, table, known.roles), owner, gone=False)
            if some is None:
                return None
            tests.append(some)
        return sql.SQL("EXISTS (SELECT FROM {} AS {} WHERE {})").format(
            table.identifier, sql.Identifier(owner), sql.SQL(" AND ").join(tests)
        )

    def _through(self, way: ByParent, alias: str, *, gone: bool) -> sql.Composable | None:
        owner = f"{alias}o"
        if way.table not in self.catalogue.relations:
            return None
        roles = [one for one in self.data_map.tables[way.table].belongings if way.goes_through(one)]
        some = self._some(way.table, roles, owner, gone=gone)
        if some is None:
            return None
        return sql.SQL("EXISTS (SELECT FROM {} AS {} WHERE {} AND {})").format(
            way.table.identifier,
            sql.Identifier(owner),
            sql.SQL(" AND ").join(
                sql.SQL("{} = {}").format(sql.Identifier(owner, to), sql.Identifier(alias, column))
                for column, to in zip(way.columns, way.to, strict=True)
            ),
            some,
        )

    def _any_value(self, table: Name, way: ByJson, alias: str) -> sql.Composable:
        """Write the condition that any value stands at the path; whether somebody has it is not asked."""
        column, document = (
            self.catalogue.relations[table].columns[way.column],
            sql.Identifier(alias, way.column),
        )
        return sql.SQL(
            "EXISTS (SELECT FROM jsonb_path_query(CAST({} AS jsonb), CAST({} AS jsonpath)) AS v (value) "
            "WHERE jsonb_typeof(v.value) IN ('string', 'number'))"
        ).format(
            document if column.type == "jsonb" else sql.SQL("CAST({} AS jsonb)").format(document),
            sql.Literal(way.path.sql),
        )

    def _some(
        self, table: Name, roles: Iterable[Belonging], alias: str, *, gone: bool
    ) -> sql.Composable | None:
        """Write the condition that the row is somebody's in one of the roles."""
        tests = [test for role in roles if (test := self._test(table, role, alias, gone=gone)) is not None]
        return sql.SQL("({})").format(sql.SQL(" OR ").join(tests)) if tests else None
