"""The steps of a plan as SQL: conditions for rows still to be changed, and new values of their columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

from psycopg import sql

from ops_platform.gdpr.data_map import (
    Anonymise,
    ByArray,
    ByColumn,
    ByJson,
    ByParent,
    Constant,
    DataMap,
    Delete,
    Keep,
    Redact,
    Value,
    Way,
    json_edit_sql,
)
from ops_platform.gdpr.row_erasure import preview, redaction
from ops_platform.gdpr.row_erasure.others import Decisions, Reach, Recorded, joined, takes
from ops_platform.gdpr.row_erasure.plan import Step
from ops_platform.gdpr.row_erasure.pseudonyms import Substitutes
from ops_platform.gdpr.row_erasure.redaction import Mention
from ops_platform.gdpr.schema import Catalogue, Name, Reference
from ops_platform.gdpr.subject import Identity, SparedRows, row_predicates

Kind = Literal["delete", "set", "keep"]
ROW = "t"
"""The alias of the changed table in every statement."""


@dataclass(frozen=True)
class Change:
    """One step, or one of the two halves of a step that deletes rows unless they are referred to."""

    step: Step
    kind: Kind
    action: str
    referenced: bool | None = None
    """For a half: whether it is about rows that others refer to. None: the whole step."""
    apart: bool = False
    """Whether it is about the rows that others reach, too, and that the map keeps for them."""

    @property
    def table(self) -> Name:
        """The table whose rows change."""
        return self.step.table

    @property
    def role(self) -> str:
        """The subject's role in these rows."""
        return self.step.belonging.role

    @property
    def key(self) -> tuple[str, str, str]:
        """Table, role and action: its name in the journal."""
        return str(self.table), self.role, self.action

    @property
    def values(self) -> Mapping[str, Value]:
        """The new values that the map gives, by column."""
        erasure = self.step.belonging.erasure
        if self.step.kind == "empty":
            return dict.fromkeys(self.step.columns, Constant(None))
        if self.apart:
            return self.step.belonging.replaced
        if isinstance(erasure, Anonymise):
            return erasure.columns
        if isinstance(erasure, Delete) and self.referenced:
            return erasure.otherwise or {}
        return {}

    @property
    def parts(self) -> Mapping[str, str]:
        """The subject's column that each column holds by which the rows are found."""
        way = self.step.belonging.way
        return dict(zip(way.columns, way.holds, strict=True)) if isinstance(way, ByColumn) else {}

    @property
    def sets(self) -> frozenset[str]:
        """All columns that the change writes."""
        if self.step.kind in ("remove", "redact"):
            return frozenset(self.step.belonging.way.columns)
        return frozenset(self.values)


def changes(step: Step) -> list[Change]:
    """Split a step into its changes: one, or two where rows are deleted unless they are referred to.

    Besides, where the map keeps rows that others reach, what becomes of these.
    """
    return [*_apart(step), *_halves(step)]


def _apart(step: Step) -> list[Change]:
    belonging = step.belonging
    if step.kind not in ("delete", "anonymise") or not takes(belonging):
        return []
    if belonging.shared == "keep":
        return [Change(step, "keep", "keep as it is where it is another's, too", apart=True)]
    if belonging.replaced:
        columns = ", ".join(sorted(belonging.replaced))
        return [Change(step, "set", f"anonymise {columns} where it is another's, too", apart=True)]
    return []


def _halves(step: Step) -> list[Change]:
    erasure = step.belonging.erasure
    action = preview.describe(step)
    if step.kind == "keep":
        return [Change(step, "keep", action)]
    if step.kind != "delete":
        return [Change(step, "set", action)]
    assert isinstance(erasure, Delete)  # noqa: S101 - the plan names it delete
    if erasure.otherwise is None:
        return [Change(step, "delete", action)]
    columns = ", ".join(sorted(erasure.otherwise))
    return [
        Change(step, "delete", "delete where nothing refers to it", referenced=False),
        Change(step, "set", f"anonymise {columns} where others refer to it", referenced=True),
    ]


@dataclass(frozen=True)
class Writer:
    """The writer of one pass's statements; ``spared`` is determined at the beginning of the pass."""

    data_map: DataMap
    catalogue: Catalogue
    identity: Identity
    substitutes: Substitutes
    spared: SparedRows | None = None
    recorded: Recorded = field(default_factory=Recorded)

    @cached_property
    def decisions(self) -> Decisions:
        """What was decided about rows that others reach."""
        return Decisions(Reach(self.data_map, self.catalogue, self.identity, self.spared), self.recorded)

    def unforeseen(self, change: Change) -> dict[str, sql.Composable]:
        """Write the conditions for rows of others that nobody decided to change, by what shows whose."""
        if change.apart or change.kind == "keep":
            return {}
        return self.decisions.unforeseen(change.table, change.step.belonging)

    def any_role(self, table: Name) -> sql.Composable:
        """Write the condition for rows that are the subject's in any role."""
        roles = [
            self._condition(table, belonging.role) for belonging in self.data_map.tables[table].belongings
        ]
        return sql.SQL("({})").format(sql.SQL(" OR ").join(roles))

    def kept_through_others(self, table: Name) -> sql.Composable:
        """Write the condition for kept rows that are the subject's only through rows of other tables."""
        kept = [
            belonging
            for belonging in self.data_map.tables[table].belongings
            if isinstance(belonging.erasure, Keep)
        ]
        through = [
            self._condition(table, belonging.role)
            for belonging in kept
            if isinstance(belonging.way, ByParent)
        ]
        direct = [
            self._condition(table, belonging.role)
            for belonging in kept
            if not isinstance(belonging.way, ByParent)
        ]
        return sql.SQL("(({}) AND ({}) IS NOT TRUE)").format(
            sql.SQL(" OR ").join(through), sql.SQL(" OR ").join(direct or [sql.SQL("false")])
        )

    def pending(self, change: Change, leaf: Name | None = None) -> sql.Composable:
        """Write the condition for rows that still wait for ``change``. ``leaf``: their relation."""
        tests = [self._found(change)]
        if change.step.kind == "redact":
            # What cannot be replaced is refused before, or left to a replay that must not wait for it.
            columns = self.catalogue.relations[change.table].columns
            tests.append(redaction.anything_to_replace(self._mention(change), columns))
        elif change.step.kind == "empty":
            tests += [
                sql.SQL("{} IS NOT NULL").format(sql.Identifier(ROW, column))
                for column in sorted(change.sets)
            ]
        elif change.referenced is not None:
            referred = self._referred(change.table, leaf)
            tests.append(referred if change.referenced else sql.SQL("NOT {}").format(referred))
        elif change.values:
            tests.append(self._differs(change))
        return sql.SQL("({})").format(sql.SQL(" AND ").join(tests))

    def _found(self, change: Change) -> sql.Composable:
        """Write the condition for rows of the change's role, without those that the law keeps."""
        tests = [
            self._condition(change.table, change.role),
            *self.decisions.limits(change.table, change.step.belonging, apart=change.apart),
        ]
        tests += [
            sql.SQL("{} IS NOT TRUE").format(self._condition(change.table, role))
            for role in change.step.left_to
        ]
        if isinstance(change.step.belonging.erasure, Delete | Redact):
            # A row that must be kept in one role is neither deleted nor rewritten in another.
            tests += [
                sql.SQL("{} IS NOT TRUE").format(self._condition(change.table, belonging.role))
                for belonging in self.data_map.tables[change.table].belongings
                if isinstance(belonging.erasure, Keep)
            ]
        return sql.SQL("({})").format(sql.SQL(" AND ").join(tests))

    def assignments(self, change: Change) -> dict[str, sql.Composable]:
        """Write the new values of a change, by column."""
        columns = self.catalogue.relations[change.table].columns
        if change.step.kind == "redact":
            return redaction.assignments(self._mention(change), columns)
        if change.step.kind != "remove":
            return self.substitutes.known(change.values, columns, change.parts)
        [column] = change.step.belonging.way.columns
        held = sql.Identifier(ROW, column)
        edited = without_element(held, change.step.belonging.way, self.identity, columns[column].type)
        return {column: held if edited is None else edited}

    def outside(self, change: Change, *, before: bool) -> list[sql.Composable]:
        """Write what may not change of the columns that are redacted: all but the identifiers."""
        if change.step.kind != "redact":
            return []
        columns = self.catalogue.relations[change.table].columns
        return redaction.outside(self._mention(change), columns, before=before)

    def unredactable(self, change: Change) -> sql.Composable:
        """Write the condition for rows in which an identifier would still stand after they are redacted.

        Columns that the map accepts do not count.
        """
        columns, mention = self.catalogue.relations[change.table].columns, self._mention(change)
        accepted = {place.place for place in self.data_map.accepted}
        searched = tuple(name for name in mention.columns if (change.table, name) not in accepted)
        if not searched:
            return sql.SQL("false")
        left = redaction.left_over(replace(mention, columns=searched), columns)
        return sql.SQL("({} AND {})").format(self._found(change), left)

    def _mention(self, change: Change) -> Mention:
        erasure = change.step.belonging.erasure
        assert isinstance(erasure, Redact)  # noqa: S101 - the plan names it redact
        sought = row_predicates.mentioned(self.data_map, self.catalogue, self.identity, self.spared)
        return Mention(sought, change.step.belonging.way.columns, erasure.text)

    def _condition(self, table: Name, role: str) -> sql.Composable:
        belongings = self.data_map.tables[table].belongings
        [belonging] = [belonging for belonging in belongings if belonging.role == role]
        return row_predicates.condition(
            self.data_map, self.catalogue, table, belonging, self.identity, ROW, self.spared
        )

    def _differs(self, change: Change) -> sql.Composable:
        """Compare as texts, because not every type has an equality. A stand-in not made yet differs."""
        columns = self.catalogue.relations[change.table].columns
        known = self.substitutes.known(change.values, columns, change.parts)
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
        """Write the condition for rows that some row refers to by a foreign key."""
        references = self.catalogue.referring(table)
        if leaf is not None and leaf != table:
            references += self.catalogue.referring(leaf)
        if not references:
            return sql.SQL("false")
        return sql.SQL("({})").format(sql.SQL(" OR ").join(_exists(reference) for reference in references))


def without_element(
    held: sql.Composable, way: Way, identity: Identity, column_type: str
) -> sql.Composable | None:
    """Write ``held``, a value of the way's column, without the subject's element.

    None where they have no such identifier.
    """
    assert isinstance(way, ByArray | ByJson)  # noqa: S101 - the map's parser refuses others
    values = identity.of(way.holds)
    if not values:
        return None
    if isinstance(way, ByArray):
        array = held
        for value in values:
            # Cast an array of one element, and take it out: the element's type need not be known.
            element = sql.SQL("(CAST({} AS {}))[1]").format(sql.Literal([value]), sql.SQL(column_type))
            array = sql.SQL("array_remove({}, {})").format(array, element)
        return array
    document = held if column_type == "jsonb" else sql.SQL("CAST({} AS jsonb)").format(held)
    edited = json_edit_sql.without(document, way.path, values)
    return sql.SQL("CAST({} AS {})").format(edited, sql.SQL(column_type))


def _exists(reference: Reference) -> sql.Composable:
    return sql.SQL("EXISTS (SELECT FROM {} AS r WHERE {})").format(
        reference.table.identifier, joined(reference, "r", ROW)
    )
