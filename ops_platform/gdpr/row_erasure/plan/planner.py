"""The order in which an erasure goes through its steps: rows that are found through others come first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from ops_platform.errors import CheckFailed
from ops_platform.gdpr.data_map import Belonging, ByParent, DataMap, Delete, Keep, Table
from ops_platform.gdpr.row_erasure.plan import circle_message, step_order
from ops_platform.gdpr.row_erasure.plan.plan_step import Plan, Step, deleting_first, sets, writes
from ops_platform.gdpr.row_erasure.plan.step_order import Edge
from ops_platform.gdpr.schema import Catalogue, Name, Reference, dependency_order

Opening = Literal["emptied", "left", "deferred", "twice"]
"""Ways to open a circle, the cheapest first.

A column is emptied in rows that will go; a step leaves rows to another one that deletes them, too;
constraints are checked late, in one transaction; or rows that stay let go in a second pass only.
"""
_COSTS: dict[Opening, int] = {"emptied": 0, "left": 1, "deferred": 2, "twice": 3}


def plan(data_map: DataMap, catalogue: Catalogue) -> Plan:
    """Plan the steps of an erasure. Raises CheckFailed, with the tables, for a circle that nothing opens."""
    tables = {name: table for name, table in data_map.tables.items() if table.belongings}
    return _Planner(catalogue, tables).plan()


@dataclass
class _Planner:
    """The planner of ``tables``.

    ``opened``: references that no longer order all steps, and how. ``left``: by table and role, the roles of
    the table whose rows its step leaves to them.
    """

    catalogue: Catalogue
    tables: Mapping[Name, Table]
    opened: dict[Reference, Opening] = field(default_factory=dict)
    left: dict[tuple[Name, str], set[str]] = field(default_factory=dict)

    def plan(self) -> Plan:
        """Open circle after circle until an order is found."""
        self._open_tables()
        while True:
            steps = self._steps()
            edges = [*self._finding(steps), *self._referring(steps)]
            closed = step_order.circle(len(steps), edges)
            if not closed:
                break
            self._open(closed, steps)
        order = step_order.in_order(
            [step.table for step in steps],
            edges,
            [number for number, step in enumerate(steps) if step.kind == "empty"],
        )
        deferred = tuple(reference for reference, opening in self.opened.items() if opening == "deferred")
        return Plan(tuple(steps[number] for number in order), deferred)

    @cached_property
    def references(self) -> Sequence[Reference]:
        """The references that order their tables."""
        return [
            reference
            for reference in self.catalogue.references
            if reference.table in self.tables and self._matters(reference)
        ]

    def _matters(self, reference: Reference) -> bool:
        """Tell whether a reference orders its tables: rows that stay can be referred to at any time."""
        target = self.tables.get(reference.target)
        deleted = target is not None and any(
            isinstance(belonging.erasure, Delete) for belonging in target.belongings
        )
        return deleted and any(
            isinstance(belonging.erasure, Delete) or sets(belonging) & set(reference.columns)
            for belonging in self.tables[reference.table].belongings
        )

    def _open_tables(self) -> None:
        """Open what refers or leads to its own table: rows of one step may go in several batches."""
        for reference in self.references:
            if reference.table == reference.target:
                if dependency_order.nullable(reference, self.catalogue):
                    self.opened[reference] = "emptied"
                elif reference.deferrable:
                    self.opened[reference] = "deferred"
                else:
                    raise CheckFailed(dependency_order.circle_message([reference.table], [reference]))
        for name, table in self.tables.items():
            for belonging in table.belongings:
                for leading, found, _ in self._leading_to(belonging):
                    if leading == name and self._may_leave(name, belonging, found):
                        self.left.setdefault((name, belonging.role), set()).add(found.role)

    def _steps(self) -> list[Step]:
        """List the steps: those that empty columns which refer to what goes, and one for each role."""
        emptying = [
            Step("empty", reference.table, belonging, self._emptied(reference))
            for reference, opening in self.opened.items()
            if opening in ("emptied", "twice")
            for belonging in self.tables[reference.table].belongings
            if self._is_emptied(reference, belonging)
        ]
        return emptying + [
            Step.of(name, belonging, [*self.left.get((name, belonging.role), ())])
            for name in sorted(self.tables)
            for belonging in deleting_first(self.tables[name])
        ]

    def _emptied(self, reference: Reference) -> tuple[str, ...]:
        relation = self.catalogue.relations.get(reference.table)
        columns = relation.columns if relation else {}
        return tuple(name for name in reference.columns if name in columns and not columns[name].not_null)

    def _is_emptied(self, reference: Reference, belonging: Belonging) -> bool:
        """Tell whether rows of a role may be emptied: not those that may stay, or are found by the column."""
        return belonging.erasure == Delete() and not belonging.columns & set(self._emptied(reference))

    def _finding(self, steps: Sequence[Step]) -> Iterator[Edge]:
        """Yield what follows from how rows are found: before those that lead to them change."""
        of_table: dict[Name, list[int]] = {}
        for number, step in enumerate(steps):
            of_table.setdefault(step.table, []).append(number)
        for number, step in enumerate(steps):
            if step.kind == "empty":
                continue
            for table, found, columns in self._leading_to(step.belonging):
                for other in of_table[table]:
                    if other != number and _hides(steps[other], found, columns):
                        left_to = (
                            found.role if self._may_leave(table, steps[other].belonging, found) else None
                        )
                        yield Edge(number, other, left_to=left_to)
            if step.belonging.erasure == Delete():
                # Who deletes finds the rows before others, who only change them, hide them.
                yield from (
                    Edge(number, other)
                    for other in of_table[step.table]
                    if steps[other].kind not in ("empty", "delete")
                    and writes(steps[other].belonging) & step.belonging.columns
                )

    def _leading_to(self, belonging: Belonging) -> Iterator[tuple[Name, Belonging, frozenset[str]]]:
        """Yield the roles through which rows of a role are found, with the columns that this takes."""
        waiting, seen = [belonging], set[tuple[Name, str, frozenset[str]]]()
        while waiting:
            way = waiting.pop().way
            parent = self.tables.get(way.table) if isinstance(way, ByParent) else None
            if not isinstance(way, ByParent) or parent is None:
                continue
            for found in parent.belongings:
                columns = found.columns | frozenset(way.to)
                if way.goes_through(found) and (parent.name, found.role, columns) not in seen:
                    seen.add((parent.name, found.role, columns))
                    waiting.append(found)
                    yield parent.name, found, columns

    def _may_leave(self, table: Name, belonging: Belonging, found: Belonging) -> bool:
        """Tell whether a role may leave its rows that are ``found``, too, to be deleted as those are."""
        return (
            belonging.role != found.role
            and belonging.erasure == found.erasure == Delete()
            and {belonging.shared, found.shared} <= {None, "delete"}
            and not self._leaves(table, found.role, belonging.role)
        )

    def _leaves(self, table: Name, role: str, to: str) -> bool:
        """Tell whether a role leaves rows to another one, or to one that does."""
        others = self.left.get((table, role), set())
        return to in others or any(self._leaves(table, other, to) for other in others)

    def _referring(self, steps: Sequence[Step]) -> Iterator[Edge]:
        """Yield what follows from foreign keys: who refers goes, or lets go, before what goes."""
        for reference in self.references:
            going = [
                number
                for number, step in enumerate(steps)
                if step.table == reference.target and step.kind == "delete"
            ]
            for number, step in enumerate(steps):
                if step.table == reference.table and self._orders(reference, step):
                    yield from (Edge(number, other, reference) for other in going)

    def _orders(self, reference: Reference, step: Step) -> bool:
        """Tell whether a step of the referring table must come before what it refers to goes."""
        opening = self.opened.get(reference)
        if step.kind == "empty":
            return opening in ("emptied", "twice") and step.columns == self._emptied(reference)
        if reference.table == reference.target or opening in ("deferred", "twice"):
            return False
        if opening == "emptied" and self._is_emptied(reference, step.belonging):
            return False
        return step.kind == "delete" or bool(sets(step.belonging) & set(reference.columns))

    def _open(self, circle: Sequence[Sequence[Edge]], steps: Sequence[Step]) -> None:
        """Open a circle where that costs least. Raises CheckFailed where nothing opens it."""
        ways = [
            (opening, edge)
            for edges in circle
            if all(self._opening(edge, steps) for edge in edges)
            for edge in edges
            if (opening := self._opening(edge, steps)) is not None
        ]
        if not ways:
            raise CheckFailed(circle_message.of(circle, steps, self.catalogue))
        opening, edge = min(ways, key=lambda way: (_COSTS[way[0]], *_names(way[1], steps)))
        if edge.left_to is not None:
            step = steps[edge.after]
            self.left.setdefault((step.table, step.belonging.role), set()).add(edge.left_to)
        for reference in self._references_of(edge, steps):
            self.opened[reference] = opening

    def _opening(self, edge: Edge, steps: Sequence[Step]) -> Opening | None:
        """Say how an edge can be done without, more than it is already; None: it cannot."""
        if edge.left_to is not None:
            return "left"
        references = self._references_of(edge, steps)
        if references and all(reference.deferrable for reference in references):
            late: Opening | None = "deferred"
        else:
            late = None
        if edge.reference is None or steps[edge.before].kind == "empty":
            return late
        if self.opened.get(edge.reference) == "emptied":
            return late or "twice"
        nullable = dependency_order.nullable(edge.reference, self.catalogue)
        return "emptied" if nullable and not self._finds(edge.reference) else late

    def _references_of(self, edge: Edge, steps: Sequence[Step]) -> list[Reference]:
        """List the references that an edge is about: its own, or those for which columns are emptied."""
        if edge.reference is not None:
            return [edge.reference]
        step = steps[edge.after]
        return [
            reference
            for reference, opening in self.opened.items()
            if step.kind == "empty"
            and opening in ("emptied", "twice")
            and reference.table == step.table
            and self._emptied(reference) == step.columns
        ]

    def _finds(self, reference: Reference) -> bool:
        """Tell whether rows that go are found by what could be emptied of a reference."""
        return any(
            belonging.erasure == Delete() and belonging.columns & set(self._emptied(reference))
            for belonging in self.tables[reference.table].belongings
        )


def _hides(step: Step, found: Belonging, columns: frozenset[str]) -> bool:
    """Tell whether rows of a role, or what ``columns`` hold in them, may be gone after a step."""
    if step.kind == "empty":
        return bool(columns & set(step.columns))
    deletes = isinstance(step.belonging.erasure, Delete) and not isinstance(found.erasure, Keep)
    return (deletes and found.role not in step.left_to) or bool(writes(step.belonging) & columns)


def _names(edge: Edge, steps: Sequence[Step]) -> tuple[str, str, str]:
    step = steps[edge.before if edge.reference else edge.after]
    return str(step.table), edge.reference.name if edge.reference else step.belonging.role, edge.left_to or ""
