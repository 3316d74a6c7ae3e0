"""Children first, whoever refers to whom; circles are opened where that is possible, and named where not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops_platform.errors import CheckFailed
from ops_platform.gdpr.schema import dependency_order as ordering
from ops_platform.gdpr.schema.reader import Catalogue, Column, Reference, Relation
from ops_platform.gdpr.schema.relation_name import Name


def name(number: int) -> Name:
    return Name("public", f"t{number}")


def column(text: str, *, not_null: bool) -> Column:
    return Column(text, "bigint", "bigint", False, not_null, False, False, False)


Edge = tuple[int, int, bool, bool]
"""From, to, whether the column can be NULL, whether the constraint can be deferred."""


def catalogue(size: int, edges: list[Edge]) -> Catalogue:
    columns: dict[int, dict[str, Column]] = {number: {} for number in range(size)}
    references = []
    for number, (child, parent, nullable, deferrable) in enumerate(edges):
        held = f"c{number}"
        columns[child][held] = column(held, not_null=not nullable)
        references.append(
            Reference(f"f{number}", name(child), (held,), name(parent), ("id",), "no action", deferrable)
        )
    relations = {
        name(number): Relation(name(number), "table", columns[number], ("id",), frozenset(), frozenset())
        for number in range(size)
    }
    return Catalogue(relations, tuple(references))


@given(st.data())
def test_children_go_first(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 8))
    node = st.integers(0, size - 1)
    edges = data.draw(st.lists(st.tuples(node, node, st.booleans(), st.booleans()), max_size=14))
    found = catalogue(size, edges)
    try:
        order = ordering.children_first([name(number) for number in range(size)], found)
    except CheckFailed:
        # Only what nothing opens is refused.
        assert circle([edge for edge in edges if not edge[2] and not edge[3]], size)
        return
    assert sorted(order.tables) == sorted(found.relations)
    place = {one: number for number, one in enumerate(order.tables)}
    for one in found.references:
        if one not in order.broken:
            assert place[one.table] < place[one.target]
        else:
            assert one.deferrable or ordering.nullable(one, found)


def circle(edges: list[Edge], size: int) -> bool:
    reached = {number: {edge[1] for edge in edges if edge[0] == number} for number in range(size)}
    for _ in range(size):
        for number in range(size):
            reached[number] |= set().union(*(reached[other] for other in reached[number]))
    return any(number in reached[number] for number in range(size))


def test_a_circle_that_nothing_opens_is_named() -> None:
    stuck = catalogue(3, [(0, 1, False, False), (1, 2, False, False), (2, 0, False, False)])
    with pytest.raises(CheckFailed, match=r"t\d -> t\d -> t\d refer to each other .* nullable"):
        ordering.children_first([name(0), name(1), name(2)], stuck)


def test_a_column_that_can_be_emptied_is_preferred_to_a_check_that_waits() -> None:
    found = catalogue(2, [(0, 1, False, True), (1, 0, True, False)])
    [broken] = ordering.children_first([name(0), name(1)], found).broken
    assert broken.name == "f1"
