"""The order in which an erasure goes through the tables: rows that are found through others come first.

Pure: derived from the map and the catalogue, the same for every subject.
"""

from __future__ import annotations

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
    }
    order = dependency_order.children_first(tables, catalogue, child_and_parent)
    emptied = [reference for reference in order.broken if dependency_order.nullable(reference, catalogue)]
    steps = [
        Step("empty", reference.table, belonging, _nullable_columns(reference, catalogue))
        for reference in emptied
        for belonging in tables[reference.table].belongings
        # Rows that may stay keep their references.
        if belonging.erasure == Delete()
    ]
    for name in order.tables:
        steps += [
            Step(_KINDS[type(belonging.erasure)], name, belonging)
            for belonging in deleting_first(tables[name])
        ]
    return Plan(tuple(steps), tuple(reference for reference in order.broken if reference not in emptied))


def _nullable_columns(reference: Reference, catalogue: Catalogue) -> tuple[str, ...]:
    columns = catalogue.relations[reference.table].columns
    return tuple(name for name in reference.columns if not columns[name].not_null)


def deleting_first(table: Table) -> list[Belonging]:
    """Sort deletions first: a deleted row need not be changed before, and keeps no row it refers to."""

    def place(belonging: Belonging) -> int:
        conditional = isinstance(belonging.erasure, Delete) and belonging.erasure.otherwise is not None
        return _ORDER[type(belonging.erasure)] + conditional

    return sorted(table.belongings, key=place)
