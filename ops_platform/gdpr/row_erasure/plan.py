"""The order in which an erasure goes through the tables: rows that are found through others come first.

Pure: derived from the map and the catalogue, the same for every subject.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from ops_platform.gdpr.data_map import (
    Anonymise,
    Belonging,
    ByParent,
    DataMap,
    Delete,
    Keep,
    Redact,
    Remove,
    Table,
)
from ops_platform.gdpr.schema import Catalogue, Name, Reference, dependency_order

Kind = Literal["empty", "delete", "anonymise", "remove", "redact", "keep"]
_ORDER: dict[type, int] = {Delete: 0, Anonymise: 2, Remove: 3, Redact: 4, Keep: 5}
_KINDS: dict[type, Kind] = {
    Delete: "delete",
    Anonymise: "anonymise",
    Remove: "remove",
    Redact: "redact",
    Keep: "keep",
}


@dataclass(frozen=True)
class Step:
    """One kind of change to the rows of ``table`` that are the subject's as ``belonging`` says.

    ``empty`` sets ``columns`` of rows that will be deleted to NULL, so that they refer to nothing.
    """

    kind: Kind
    table: Name
    belonging: Belonging
    columns: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """The steps in order. ``deferred``: references that no NULL opens: one transaction for their tables."""

    steps: tuple[Step, ...]
    deferred: tuple[Reference, ...]


def plan(data_map: DataMap, catalogue: Catalogue) -> Plan:
    """Plan the steps of an erasure. Raises CheckFailed, with the tables, for a circle that nothing opens."""
    tables = {name: table for name, table in data_map.tables.items() if table.belongings}
    child_and_parent = {
        (name, belonging.way.table)
        for name, table in tables.items()
        for belonging in table.belongings
        if isinstance(belonging.way, ByParent)
        and belonging.way.table != name
        and _loses(tables.get(belonging.way.table), belonging.way)
    }
    references = [
        reference
        for reference in catalogue.references
        if reference.table in tables and _matters(reference, tables)
    ]
    needed = [
        reference
        for reference in references
        if reference.table != reference.target
        and any(
            belonging.erasure == Delete() and belonging.columns & set(_nullable_columns(reference, catalogue))
            for belonging in tables[reference.table].belongings
        )
    ]
    order = dependency_order.children_first(
        tables, catalogue, child_and_parent, references=references, needed=needed
    )
    emptied = [
        reference
        for reference in order.broken
        if reference not in needed and dependency_order.nullable(reference, catalogue)
    ]
    steps = [
        Step("empty", reference.table, belonging, _nullable_columns(reference, catalogue))
        for reference in emptied
        for belonging in tables[reference.table].belongings
        # Rows that may stay keep their references, and rows that are found by one would be found no more.
        if belonging.erasure == Delete()
        and not belonging.columns & set(_nullable_columns(reference, catalogue))
    ]
    for name in order.tables:
        steps += [
            Step(_KINDS[type(belonging.erasure)], name, belonging)
            for belonging in deleting_first(tables[name])
        ]
    return Plan(tuple(steps), tuple(reference for reference in order.broken if reference not in emptied))


def sets(belonging: Belonging) -> frozenset[str]:
    """List the columns that a role sets in rows that stay."""
    erasure = belonging.erasure
    if isinstance(erasure, Anonymise):
        return frozenset(erasure.columns)
    if not isinstance(erasure, Delete):
        return frozenset()
    return frozenset(erasure.otherwise or ()) | frozenset(belonging.replaced)


def _matters(reference: Reference, tables: Mapping[Name, Table]) -> bool:
    """Tell whether a reference orders its tables: rows that stay can be referred to at any time."""
    target = tables.get(reference.target)
    deleted = target is not None and any(
        isinstance(belonging.erasure, Delete) for belonging in target.belongings
    )
    return deleted and any(
        isinstance(belonging.erasure, Delete) or sets(belonging) & set(reference.columns)
        for belonging in tables[reference.table].belongings
    )


def _loses(parent: Table | None, way: ByParent) -> bool:
    """Tell whether rows that are found by ``way`` are found no more once the parent's rows are changed."""
    belongings = parent.belongings if parent else ()
    return any(
        # What the parent itself is found through may go before it.
        isinstance(found.way, ByParent)
        or any(
            isinstance(other.erasure, Remove)
            or (isinstance(other.erasure, Delete) and not isinstance(found.erasure, Keep))
            or sets(other) & {*found.columns, *way.to}
            for other in belongings
        )
        for found in belongings
        if way.goes_through(found)
    )


def _nullable_columns(reference: Reference, catalogue: Catalogue) -> tuple[str, ...]:
    relation = catalogue.relations.get(reference.table)
    columns = relation.columns if relation else {}
    return tuple(name for name in reference.columns if name in columns and not columns[name].not_null)


def deleting_first(table: Table) -> list[Belonging]:
    """Sort deletions first: a deleted row need not be changed before, and keeps no row it refers to.

    Roles that are found through other roles of the same table come before those.
    """

    def place(belonging: Belonging) -> int:
        conditional = isinstance(belonging.erasure, Delete) and belonging.erasure.otherwise is not None
        return _ORDER[type(belonging.erasure)] + conditional

    waiting, ordered = sorted(table.belongings, key=place), list[Belonging]()
    while waiting:
        ready = next(
            (belonging for belonging in waiting if not _awaits_another(belonging, waiting, table.name)),
            waiting[0],
        )
        ordered.append(ready)
        waiting.remove(ready)
    return ordered


def _awaits_another(belonging: Belonging, waiting: list[Belonging], table: Name) -> bool:
    """Tell whether one of ``waiting`` is found through this role of its own table."""
    return any(
        isinstance(other.way, ByParent) and other.way.table == table and other.way.goes_through(belonging)
        for other in waiting
        if other is not belonging
    )
