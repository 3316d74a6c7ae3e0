"""Children first: the order in which rows of several tables can be deleted, whoever refers to whom."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from ops_platform.errors import CheckFailed
from ops_platform.gdpr.schema.reader import Catalogue, Reference
from ops_platform.gdpr.schema.relation_name import Name


@dataclass(frozen=True)
class Order:
    """``broken``: references that close a circle, emptied first or checked last."""

    tables: tuple[Name, ...]
    broken: tuple[Reference, ...]


def children_first(
    tables: Collection[Name], catalogue: Catalogue, also: Collection[tuple[Name, Name]] = ()
) -> Order:
    """Each table before those that its rows refer to; ``also``: pairs of which the first one comes first.

    Raises CheckFailed that names a circle which nothing can open.
    """
    edges = [
        one
        for one in catalogue.references
        if one.table in tables and one.target in tables and one.table != one.target
    ]
    # A row that refers to another one of its table may go in a later batch than that one.
    broken = [one for one in catalogue.references if one.table == one.target and one.table in tables]
    for one in broken:
        if not breakable(one, catalogue):
            raise CheckFailed(_circle([one.table], [one]))
    while True:
        try:
            return Order(tuple(_sorted(tables, edges, also)), tuple(broken))
        except CycleError as error:
            circle: list[Name] = error.args[1]
            among = [one for one in edges if _closes(one, circle)]
            opening = [one for one in among if breakable(one, catalogue)]
            if not opening:
                raise CheckFailed(_circle(circle[:-1], among)) from None
            # Nothing is left to be checked later where a column can be emptied first.
            chosen = min(opening, key=lambda one: (not nullable(one, catalogue), str(one.table), one.name))
            broken.append(chosen)
            edges.remove(chosen)


def nullable(one: Reference, catalogue: Catalogue) -> bool:
    """Whether one of its columns can be NULL: with it the reference is none."""
    relation = catalogue.relations.get(one.table)
    return relation is not None and any(
        name in relation.columns
        and not relation.columns[name].not_null
        and not relation.columns[name].generated
        for name in one.columns
    )


def breakable(one: Reference, catalogue: Catalogue) -> bool:
    return one.deferrable or nullable(one, catalogue)


def _closes(one: Reference, circle: list[Name]) -> bool:
    """CycleError lists each node before one that must come after it."""
    return any({one.table, one.target} == {a, b} for a, b in itertools.pairwise(circle))


def _sorted(
    tables: Iterable[Name], edges: Iterable[Reference], also: Iterable[tuple[Name, Name]]
) -> Iterable[Name]:
    sorter: TopologicalSorter[Name] = TopologicalSorter()
    for name in sorted(tables):
        sorter.add(name)
    for one in sorted(edges, key=lambda each: (str(each.table), each.name)):
        sorter.add(one.target, one.table)
    for first, then in sorted(also):
        sorter.add(then, first)
    return sorter.static_order()


def _circle(circle: list[Name], among: list[Reference]) -> str:
    named = ", ".join(f"{one.table}.{'+'.join(one.columns)}" for one in among) or "their foreign keys"
    return (
        f"{' -> '.join(str(one) for one in circle)} refer to each other in a circle that nothing opens: "
        f"make one of {named} nullable, or its constraint DEFERRABLE"
    )
