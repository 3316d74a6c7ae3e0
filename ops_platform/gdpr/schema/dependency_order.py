"""The order in which rows of several tables can be deleted: children before the parents they refer to."""

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
    """An order of tables. ``broken``: references that close a circle, emptied first or checked last."""

    tables: tuple[Name, ...]
    broken: tuple[Reference, ...]


def children_first(
    tables: Collection[Name],
    catalogue: Catalogue,
) -> Order:
    """Put each table before those that its rows refer to.

    Raises CheckFailed, with the tables' names, for a circle that cannot be opened.
    """
    within = [
        reference
        for reference in catalogue.references
        if reference.table in tables and reference.target in tables
    ]
    edges = [reference for reference in within if reference.table != reference.target]
    # A row that refers to another one of its table may be deleted in a later batch than that one.
    broken = [reference for reference in within if reference.table == reference.target]
    for reference in broken:
        if not _breakable(reference, catalogue):
            raise CheckFailed(circle_message([reference.table], [reference]))
    while True:
        try:
            return Order(tuple(_sorted(tables, edges)), tuple(broken))
        except CycleError as error:
            circle: list[Name] = error.args[1]
            closing = [edge for edge in edges if _closes(edge, circle)]
            candidates = [edge for edge in closing if _breakable(edge, catalogue)]
            if not candidates:
                raise CheckFailed(circle_message(circle[:-1], closing)) from None
            # A column that can be emptied first is preferred: then no constraint is checked late.
            chosen = min(
                candidates,
                key=lambda edge: (
                    not nullable(edge, catalogue),
                    str(edge.table),
                    edge.name,
                ),
            )
            broken.append(chosen)
            edges.remove(chosen)


def nullable(reference: Reference, catalogue: Catalogue) -> bool:
    """Tell whether a column of the reference can be NULL: a row with NULL there refers to nothing."""
    relation = catalogue.relations.get(reference.table)
    return relation is not None and any(
        name in relation.columns
        and not relation.columns[name].not_null
        and not relation.columns[name].generated
        for name in reference.columns
    )


def _breakable(reference: Reference, catalogue: Catalogue) -> bool:
    return reference.deferrable or nullable(reference, catalogue)


def _closes(edge: Reference, circle: list[Name]) -> bool:
    """Tell whether the edge is part of the circle: CycleError lists each node before its successor."""
    return any({edge.table, edge.target} == {a, b} for a, b in itertools.pairwise(circle))


def _sorted(tables: Iterable[Name], edges: Iterable[Reference]) -> Iterable[Name]:
    sorter: TopologicalSorter[Name] = TopologicalSorter()
    for name in sorted(tables):
        sorter.add(name)
    for edge in sorted(edges, key=lambda edge: (str(edge.table), edge.name)):
        sorter.add(edge.target, edge.table)
    return sorter.static_order()


def circle_message(circle: list[Name], closing: list[Reference]) -> str:
    """Word a circle that nothing opens; ``closing``: what could be changed."""
    columns = ", ".join(f"{edge.table}.{'+'.join(edge.columns)}" for edge in closing) or "their foreign keys"
    return (
        f"{' -> '.join(str(table) for table in circle)} refer to each other in a circle that nothing opens: "
        f"make one of {columns} nullable, or its constraint DEFERRABLE"
    )
