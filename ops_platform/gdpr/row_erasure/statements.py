"""The steps of a plan as SQL: which rows are still to be changed, and what their columns become."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from psycopg import sql

from ops_platform.gdpr.data_map import (
    Anonymise,
    ByArray,
    ByJson,
    ByParent,
    Constant,
    DataMap,
    Delete,
    Keep,
    Value,
    json_edit_sql,
)
from ops_platform.gdpr.row_erasure import preview
from ops_platform.gdpr.row_erasure.plan import Step
from ops_platform.gdpr.row_erasure.pseudonyms import Substitutes
from ops_platform.gdpr.schema import Catalogue, Name, Reference
from ops_platform.gdpr.subject import Identity, Sparing, row_predicates

Kind = Literal["delete", "set", "keep"]
ROW = "t"
"""What the table that is changed is called in every statement."""


@dataclass(frozen=True)
class Change:
    """One step, or of rows that are deleted unless they are referred to one half of it."""

    step: Step
    kind: Kind
    action: str
    referenced: bool | None = None
    """Of the two halves: rows that others refer to, or rows that none does."""

    @property
    def table(self) -> Name:
        return self.step.table

    @property
    def role(self) -> str:
        return self.step.belonging.role

    @property
    def key(self) -> tuple[str, str, str]:
        """Names it in the journal."""
        return str(self.table), self.role, self.action

    @property
    def values(self) -> Mapping[str, Value]:
        """The columns that it sets to what the map says."""
        erasure = self.step.belonging.erasure
        if self.step.kind == "empty":
            return dict.fromkeys(self.step.columns, Constant(None))
        if isinstance(erasure, Anonymise):
            return erasure.columns
        if isinstance(erasure, Delete) and self.referenced:
            return erasure.otherwise or {}
        return {}

    @property
    def sets(self) -> frozenset[str]:
        """All columns that it changes."""
        if self.step.kind == "remove":
            return frozenset((self.step.belonging.way.column,))
        return frozenset(self.values)


def changes(step: Step) -> list[Change]:
    erasure = step.belonging.erasure
    said = preview.describe(step)
    if step.kind == "keep":
        return [Change(step, "keep", said)]
    if step.kind != "delete":
        return [Change(step, "set", said)]
    assert isinstance(erasure, Delete)  # noqa: S101 - what the plan calls delete
    if erasure.otherwise is None:
        return [Change(step, "delete", said)]
    columns = ", ".join(sorted(erasure.otherwise))
    return [
        Change(step, "delete", "delete where nothing refers to it", referenced=False),
        Change(step, "set", f"anonymise {columns} where others refer to it", referenced=True),
    ]


@dataclass(frozen=True)
class Writer:
    """Writes the statements of one attempt's pass: ``sparing`` is what the database says at its beginning."""

    data_map: DataMap
    catalogue: Catalogue
    who: Identity
    substitutes: Substitutes
    sparing: Sparing | None = None

    def belongs(self, change: Change) -> sql.Composable:
        """The condition under which a row is the subject's in the role of ``change``."""
        return self._condition(change.table, change.step.belonging.role)

    def anybody(self, table: Name) -> sql.Composable:
        """True of rows that are the subject's in any role."""
        roles = [self._condition(table, one.role) for one in self.data_map.tables[table].belongings]
        return sql.SQL("({})").format(sql.SQL(" OR ").join(roles))

    def kept_through_others(self, table: Name) -> sql.Composable:
        """True of rows that are kept only as long as rows of other tables say whose they are."""
        kept = [one for one in self.data_map.tables[table].belongings if isinstance(one.erasure, Keep)]
        through = [self._condition(table, one.role) for one in kept if isinstance(one.way, ByParent)]
        direct = [self._condition(table, one.role) for one in kept if not isinstance(one.way, ByParent)]
        return sql.SQL("(({}) AND ({}) IS NOT TRUE)").format(
            sql.SQL(" OR ").join(through), sql.SQL(" OR ").join(direct or [sql.SQL("false")])
        )

    def pending(self, change: Change, leaf: Name | None = None) -> sql.Composable:
        """True of rows that ``change`` has still to change. ``leaf``: the relation that they lie in."""
        tests = [self.belongs(change)]
        if isinstance(change.step.belonging.erasure, Delete):
            # What the law keeps of the subject in one role no other role deletes.
            tests += [
                sql.SQL("{} IS NOT TRUE").format(self._condition(change.table, one.role))
                for one in self.data_map.tables[change.table].belongings
                if isinstance(one.erasure, Keep)
            ]
        if change.step.kind == "empty":
            tests += [
                sql.SQL("{} IS NOT NULL").format(sql.Identifier(ROW, one)) for one in sorted(change.sets)
            ]
        elif change.referenced is not None:
            referred = self._referred(change.table, leaf)
            tests.append(referred if change.referenced else sql.SQL("NOT {}").format(referred))
        elif change.values:
            tests.append(self._differs(change))
        return sql.SQL("({})").format(sql.SQL(" AND ").join(tests))

    def assignments(self, change: Change) -> dict[str, sql.Composable]:
        columns = self.catalogue.relations[change.table].columns
        if change.step.kind != "remove":
            return self.substitutes.known(change.values, columns)
        way = change.step.belonging.way
        assert isinstance(way, ByArray | ByJson)  # noqa: S101 - the map's reader refuses others
        column, kind = sql.Identifier(ROW, way.column), columns[way.column].type
        value = self.who.values[way.holds]
        if isinstance(way, ByArray):
            # The element in an array of one: so its type is the array's, whatever that is called.
            element = sql.SQL("(CAST({} AS {}))[1]").format(sql.Literal([value]), sql.SQL(kind))
            return {way.column: sql.SQL("array_remove({}, {})").format(column, element)}
        document = column if kind == "jsonb" else sql.SQL("CAST({} AS jsonb)").format(column)
        edited = json_edit_sql.without(document, way.path, value)
        return {way.column: sql.SQL("CAST({} AS {})").format(edited, sql.SQL(kind))}

    def _condition(self, table: Name, role: str) -> sql.Composable:
        [one] = [each for each in self.data_map.tables[table].belongings if each.role == role]
        return row_predicates.condition(
            self.data_map, self.catalogue, table, one, self.who, ROW, self.sparing
        )

    def _differs(self, change: Change) -> sql.Composable:
        """Compared as texts: not every type has an equality. A stand-in that is not made yet differs."""
        columns = self.catalogue.relations[change.table].columns
        known = self.substitutes.known(change.values, columns)
        if set(known) != set(change.values):
            return sql.SQL("true")
        tests = [
            sql.SQL("CAST({} AS text) IS DISTINCT FROM CAST({} AS text)").format(
                sql.Identifier(ROW, name), value
            )
            for name, value in known.items()
        ]
        return sql.SQL("({})").format(sql.SQL(" OR ").join(tests))

    def _referred(self, table: Name, leaf: Name | None) -> sql.Composable:
        """True of rows that some row refers to by a foreign key."""
        found = self.catalogue.referring(table)
        if leaf is not None and leaf != table:
            found += self.catalogue.referring(leaf)
        if not found:
            return sql.SQL("false")
        return sql.SQL("({})").format(sql.SQL(" OR ").join(_exists(one) for one in found))


def _exists(reference: Reference) -> sql.Composable:
    pairs = zip(reference.columns, reference.target_columns, strict=True)
    return sql.SQL("EXISTS (SELECT FROM {} AS r WHERE {})").format(
        reference.table.identifier,
        sql.SQL(" AND ").join(
            sql.SQL("{} = {}").format(sql.Identifier("r", here), sql.Identifier(ROW, there))
            for here, there in pairs
        ),
    )
