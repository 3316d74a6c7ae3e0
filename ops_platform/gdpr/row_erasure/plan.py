"""In which order an erasure goes through the tables: what is found by way of other rows before those.

Pure: from the map and the catalogue, and the same for every subject.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ops_platform.gdpr.data_map import Anonymise, Belonging, ByParent, DataMap, Delete, Keep, Remove, Table
from ops_platform.gdpr.schema import Catalogue, Name, Reference, dependency_order

Kind = Literal["empty", "delete", "anonymise", "remove", "keep"]
_ORDER: dict[type, int] = {Delete: 0, Anonymise: 2, Remove: 3, Keep: 4}
_KINDS: dict[type, Kind] = {Delete: "delete", Anonymise: "anonymise", Remove: "remove", Keep: "keep"}


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
    """``deferred``: references that no NULL opens; their tables are changed in one transaction."""

    steps: tuple[Step, ...]
    deferred: tuple[Reference, ...]


def plan(data_map: DataMap, catalogue: Catalogue) -> Plan:
    """Raises CheckFailed that names a circle which nothing can open."""
    tables = {name: table for name, table in data_map.tables.items() if table.belongings}
    ways = {
        (name, one.way.table)
        for name, table in tables.items()
        for one in table.belongings
        if isinstance(one.way, ByParent)
    }
    order = dependency_order.children_first(tables, catalogue, ways)
    emptied = [one for one in order.broken if dependency_order.nullable(one, catalogue)]
    steps = [
        Step("empty", one.table, belonging, nullables(one, catalogue))
        for one in emptied
        for belonging in tables[one.table].belongings
        # Rows that may stay keep what they say of others.
        if belonging.erasure == Delete()
    ]
    for name in order.tables:
        steps += [Step(_KINDS[type(one.erasure)], name, one) for one in _deleting_first(tables[name])]
    return Plan(tuple(steps), tuple(one for one in order.broken if one not in emptied))


def nullables(reference: Reference, catalogue: Catalogue) -> tuple[str, ...]:
    columns = catalogue.relations[reference.table].columns
    return tuple(name for name in reference.columns if not columns[name].not_null)


def _deleting_first(table: Table) -> list[Belonging]:
    """What is deleted need not be changed before, nor does it keep others that it refers to."""

    def place(one: Belonging) -> int:
        conditional = isinstance(one.erasure, Delete) and one.erasure.otherwise is not None
        return _ORDER[type(one.erasure)] + conditional

    return sorted(table.belongings, key=place)
