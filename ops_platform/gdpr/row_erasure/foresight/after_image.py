"""The rows as an erasure will leave them, as SQL, so that they can be searched before anything is destroyed.

Rows that will be deleted, and those that the law keeps, are left out; columns hold what they will hold. So
an identifier that is found in them is in a place that no rule of the map empties.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from psycopg import sql

from ops_platform.gdpr.data_map import (
    Anonymise,
    Belonging,
    ByMention,
    DataMap,
    Delete,
    Keep,
    Redact,
    Remove,
    Table,
)
from ops_platform.gdpr.row_erasure import plan, redaction, statements
from ops_platform.gdpr.row_erasure.others import Reach, joined
from ops_platform.gdpr.row_erasure.redaction import Mention
from ops_platform.gdpr.schema import Catalogue, Column, Name, Reference, Relation
from ops_platform.gdpr.subject import Identity, SparedRows, row_predicates

ROW = "t"
"""The alias of the searched rows, within the subquery and outside."""
DEPTH = 3
"""Answers to answers of which it is looked up whether they stay; what is below those is taken as gone."""
FALSE = sql.SQL("false")


@dataclass(frozen=True)
class AfterImage:
    """The rows as an erasure of ``subjects`` will leave them: each with the rows that are spared."""

    data_map: DataMap
    catalogue: Catalogue
    subjects: Sequence[tuple[Identity, SparedRows | None]]

    @cached_property
    def _in_order(self) -> Mapping[Name, Sequence[Belonging]]:
        """The roles of each table in the plan's order."""
        roles: dict[Name, list[Belonging]] = {}
        for step in plan.plan(self.data_map, self.catalogue).steps:
            if step.kind != "empty":
                roles.setdefault(step.table, []).append(step.belonging)
        return roles

    def rows(
        self,
        relation: Relation,
        excluded: sql.Composable | None = None,
        *,
        only: sql.Composable | None = None,
        table: sql.Composable | None = None,
    ) -> sql.Composable:
        """Write the subquery to search in place of ``relation``.

        ``excluded``: a condition for further rows to leave out, called t. ``only``: one for rows to search.
        ``table``: some of the rows of ``read``, with their tableoid; None: all of them.
        """
        out = [excluded] if excluded is not None else []
        for of_rule, belonging in self._rules(relation.name):
            if isinstance(belonging.erasure, Keep):
                out.append(self.held(of_rule, belonging, ROW))
            elif isinstance(belonging.erasure, Delete):
                out.append(self._deleted(of_rule, belonging, ROW, DEPTH))
        rules = [*self._in_effect(relation.name)]
        columns = self._columns(relation, rules)
        table = table or self.read(relation)
        if not out and not columns and only is None:
            return table
        changed = _any(held for belonging, held in rules if _changes(belonging))
        flag = next(
            name for number in itertools.count() if (name := f"changed_{number}") not in relation.columns
        )
        anew = _computed_anew(relation, flag) if columns else {}
        image = sql.SQL(
            "SELECT {columns}{flag} FROM {table} AS t WHERE ({out}) IS NOT TRUE AND {only}"
        ).format(
            columns=_selected(
                relation,
                {
                    **columns,
                    **_vectors(relation, columns, changed),
                    **self._kept_by_triggers(relation, columns, rules),
                },
            ),
            flag=sql.SQL(", {} AS {}").format(changed, sql.Identifier(flag)) if anew else sql.SQL(""),
            table=table,
            out=_any(out),
            only=only or sql.SQL("true"),
        )
        if not anew:
            return sql.SQL("({})").format(image)
        # OFFSET keeps the planner from computing what they are made from for each of them.
        return sql.SQL("(SELECT {} FROM ({} OFFSET 0) AS t)").format(_selected(relation, anew), image)

    def read(self, relation: Relation) -> sql.Composable:
        """Write what is read of a relation: not the rows of children, which their own rules change, too."""
        apart = self._searched_apart(relation)
        return sql.SQL("ONLY {}" if apart else "{}").format(relation.name.identifier)

    def _searched_apart(self, relation: Relation) -> bool:
        """Tell whether inherited children have rules of their own; children are searched by themselves."""
        return any(
            child.parent == relation.name
            and child.kind == "child"
            and (self._has_rules(child) or self._searched_apart(child))
            for child in self.catalogue.relations.values()
        )

    def _has_rules(self, relation: Relation) -> bool:
        table = self.data_map.tables.get(relation.name)
        return table is not None and bool(table.belongings)

    def _columns(
        self, relation: Relation, rules: Sequence[tuple[Belonging, sql.Composable]]
    ) -> dict[str, sql.Composable]:
        """Write the values that columns will have, of those that a rule sets or takes something out of."""
        written: dict[str, sql.Composable] = {}
        for name, column in relation.columns.items():
            removals = [
                (belonging, held)
                for belonging, held in rules
                if isinstance(belonging.erasure, Remove) and name in belonging.way.columns
            ]
            value: sql.Composable = sql.Identifier(ROW, name)
            if removals:
                value = sql.SQL("CASE WHEN {} THEN {} ELSE {} END").format(
                    _any(held for _, held in removals),
                    self._without(value, [belonging for belonging, _ in removals], column.type),
                    value,
                )
            emptied = [held for belonging, held in rules if name in plan.sets(belonging)]
            if emptied:
                value = sql.SQL("CASE WHEN {} THEN NULL ELSE {} END").format(_any(emptied), value)
            mentions = [
                (belonging.erasure.text, held)
                for belonging, held in rules
                if isinstance(belonging.erasure, Redact) and name in belonging.way.columns
            ]
            for text, held in mentions:
                value = sql.SQL("CASE WHEN {} THEN {} ELSE {} END").format(
                    held, self._redacted(value, column, text), value
                )
            if removals or emptied or mentions:
                written[name] = value
        return written

    def _kept_by_triggers(
        self, relation: Relation, written: Collection[str], rules: Sequence[tuple[Belonging, sql.Composable]]
    ) -> dict[str, sql.Composable]:
        """Leave out plain columns that a trigger will compute anew, in the rows of which a source changes."""
        table = self.data_map.tables.get(relation.name)
        if table is None or not table.triggers:
            return {}
        kept: dict[str, list[sql.Composable]] = {}
        for trigger in relation.triggers:
            for assignment in trigger.row.assignments:
                if assignment.column not in table.plain - set(written) or assignment.old:
                    continue
                for belonging, held in rules:
                    columns = plan.writes(belonging)
                    sources = columns if assignment.reads is None else columns & assignment.reads
                    if sources and trigger.acts_on(columns):
                        kept.setdefault(assignment.column, []).append(held)
        return {
            name: sql.SQL("CASE WHEN {} THEN NULL ELSE {} END").format(_any(tests), sql.Identifier(ROW, name))
            for name, tests in kept.items()
            if name in relation.columns
        }

    def _without(
        self, value: sql.Composable, belongings: Sequence[Belonging], column_type: str
    ) -> sql.Composable:
        """Write ``value`` without the subject's elements."""
        for belonging in belongings:
            for identity, _ in self.subjects:
                # Edits repeat their operand many times: it is given a name, which OFFSET keeps.
                edited = statements.without_element(
                    sql.Identifier("edited", "value"), belonging.way, identity, column_type
                )
                if edited is not None:
                    value = sql.SQL("(SELECT {} FROM (SELECT {} AS value OFFSET 0) AS edited)").format(
                        edited, value
                    )
        return value

    def _redacted(self, value: sql.Composable, column: Column, text: str) -> sql.Composable:
        """Write ``value`` without the identifiers of the subjects."""
        for identity, spared in self.subjects:
            sought = row_predicates.mentioned(self.data_map, self.catalogue, identity, spared)
            mention = Mention(sought, (column.name,), text)
            if sought.texts:
                value = sql.SQL("(SELECT {} FROM (SELECT {} AS value OFFSET 0) AS edited)").format(
                    redaction.redacted(mention, column, sql.Identifier("edited", "value")), value
                )
        return value

    def _in_effect(self, name: Name) -> Iterator[tuple[Belonging, sql.Composable]]:
        """Yield the rules in the plan's order, with the rows that they still find after those before."""
        before: list[tuple[Belonging, sql.Composable]] = []
        for table, belonging in self._rules(name):
            held = self._changing(table, belonging, ROW)
            # A mention may stand in another of the columns.
            linking = frozenset(
                belonging.where if isinstance(belonging.way, ByMention) else belonging.columns
            )
            lost = [test for earlier, test in before if linking & plan.sets(earlier)]
            if lost:
                held = sql.SQL("({} AND ({}) IS NOT TRUE)").format(held, _any(lost))
            before.append((belonging, held))
            yield belonging, held

    def _rules(self, name: Name | None) -> Iterator[tuple[Table, Belonging]]:
        """Yield the rules for rows of a relation: a parent's are for the rows of its children, too."""
        while name is not None:
            table = self.data_map.tables.get(name)
            if table is not None:
                yield from ((table, belonging) for belonging in self._in_order.get(name, ()))
            relation = self.catalogue.relations.get(name)
            name = relation.parent if relation else None

    def held(self, table: Table, belonging: Belonging, alias: str) -> sql.Composable:
        """Write the condition for rows that are the subject's in this role."""
        return _any(
            row_predicates.condition(
                self.data_map, self.catalogue, table.name, belonging, identity, alias, spared
            )
            for identity, spared in self.subjects
        )

    def _changing(self, table: Table, belonging: Belonging, alias: str) -> sql.Composable:
        """Write the condition for rows that the role changes if they stay: not those kept for others."""
        if isinstance(belonging.erasure, Anonymise) and belonging.shared == "keep":
            return self._alone(table, belonging, alias)
        return self.held(table, belonging, alias)

    def _alone(self, table: Table, belonging: Belonging, alias: str) -> sql.Composable:
        """Write the condition for rows of the role that no other subject reaches."""
        tests = []
        for identity, spared in self.subjects:
            held = row_predicates.condition(
                self.data_map, self.catalogue, table.name, belonging, identity, alias, spared
            )
            reach = Reach(self.data_map, self.catalogue, identity, spared)
            shared = reach.shared(table.name, belonging, alias)
            tests.append(held if shared is None else sql.SQL("({} AND {} IS NOT TRUE)").format(held, shared))
        return _any(tests)

    def _deleted(self, table: Table, belonging: Belonging, alias: str, depth: int) -> sql.Composable:
        """Write the condition for rows that the role deletes: of some only those that nothing refers to."""
        stays = belonging.shared in ("keep", "stand_in")
        held = self._alone(table, belonging, alias) if stays else self.held(table, belonging, alias)
        erasure = belonging.erasure
        assert isinstance(erasure, Delete)  # noqa: S101 - the callers ask for no other
        references = self.catalogue.referring(table.name)
        if erasure.otherwise is None or not depth or not references:
            return held
        referred = _any(self._stays(reference, alias, depth) for reference in references)
        return sql.SQL("({} AND NOT {})").format(held, referred)

    def _stays(self, reference: Reference, target: str, depth: int) -> sql.Composable:
        """Write the condition that a row will go on referring to ``target``."""
        alias = f"r{depth}"
        return sql.SQL("EXISTS (SELECT FROM {} AS {} WHERE {} AND ({}) IS NOT TRUE)").format(
            reference.table.identifier,
            sql.Identifier(alias),
            joined(reference, alias, target),
            self._goes(reference, alias, depth - 1),
        )

    def _goes(self, reference: Reference, alias: str, depth: int) -> sql.Composable:
        """Write the condition that a referring row will be deleted, or will refer to nothing."""
        deleted, kept, emptied = list[sql.Composable](), list[sql.Composable](), list[sql.Composable]()
        for table, belonging in self._rules(reference.table):
            if isinstance(belonging.erasure, Delete):
                deleted.append(self._deleted(table, belonging, alias, depth))
            elif isinstance(belonging.erasure, Keep):
                kept.append(self.held(table, belonging, alias))
            elif plan.sets(belonging) & set(reference.columns) and reference.table != reference.target:
                emptied.append(self.held(table, belonging, alias))
        return sql.SQL("(({} AND {} IS NOT TRUE) OR {})").format(_any(deleted), _any(kept), _any(emptied))


def _changes(belonging: Belonging) -> bool:
    """Tell whether a role updates rows that stay."""
    return bool(plan.writes(belonging))


def _selected(relation: Relation, columns: Mapping[str, sql.Composable]) -> sql.Composable:
    """Write all columns of a relation, some with values of their own."""
    return sql.SQL(", ").join(
        sql.SQL("{} AS {}").format(columns.get(name, sql.Identifier(ROW, name)), sql.Identifier(name))
        for name in relation.columns
    )


def _vectors(
    relation: Relation, written: Collection[str], changed: sql.Composable
) -> dict[str, sql.Composable]:
    """Leave out text search vectors that a trigger will compute anew in the rows that change."""
    if not any(trigger.vectors for trigger in relation.triggers):
        return {}
    return {
        name: sql.SQL("CASE WHEN {} THEN NULL ELSE {} END").format(changed, sql.Identifier(ROW, name))
        for name, column in relation.columns.items()
        if column.base == "tsvector" and not column.generated and name not in written
    }


def _computed_anew(relation: Relation, changed: str) -> dict[str, sql.Composable]:
    """Write the values of generated columns of an image; ``changed``: its column that says which rows do."""
    return {
        name: sql.SQL("CASE WHEN {} THEN ({}) ELSE {} END").format(
            sql.Identifier(ROW, changed), sql.SQL(column.expression), sql.Identifier(ROW, name)
        )
        for name, column in relation.columns.items()
        # A system column is not in the image.
        if column.expression and "tableoid" not in column.expression
    }


def _any(tests: Iterable[sql.Composable]) -> sql.Composable:
    alternatives = list(tests)
    return sql.SQL("({})").format(sql.SQL(" OR ").join(alternatives)) if alternatives else FALSE
