"""The order of an erasure: nothing is looked for by way of rows that are gone, nothing refers to them."""

from __future__ import annotations

import pytest

from ops_platform.clients.postgres.connection import Connection
from ops_platform.gdpr.data_map.model import ByParent, DataMap, Delete
from ops_platform.gdpr.row_erasure import plan as erasure_plan
from ops_platform.gdpr.row_erasure.plan import Step
from ops_platform.gdpr.schema import reader as catalogue

pytestmark = pytest.mark.services


@pytest.fixture
def steps(demo: Connection, demo_map: DataMap) -> list[Step]:
    found = erasure_plan.plan(demo_map, catalogue.read(demo))
    assert found.deferred == ()
    return list(found.steps)


def test_every_role_has_one_step(steps: list[Step], demo_map: DataMap) -> None:
    done = sorted((str(one.table), one.belonging.role) for one in steps if one.kind != "empty")
    assert done == sorted((str(table.name), one.role) for table, one in demo_map.belongings())


def test_the_subject_goes_last(steps: list[Step], demo_map: DataMap) -> None:
    last = {str(one.table) for one in steps[-2:]}
    assert last == {str(demo_map.subject.table)}


def test_who_is_found_by_way_of_other_rows_comes_before_them(steps: list[Step]) -> None:
    place = {(one.table, one.belonging.role): number for number, one in enumerate(steps)}
    seen = 0
    for one in steps:
        way = one.belonging.way
        if isinstance(way, ByParent):
            after = [number for (table, _), number in place.items() if table == way.table]
            assert place[one.table, one.belonging.role] < min(after)
            seen += 1
    assert seen == 3


def test_who_refers_goes_before_what_it_refers_to(steps: list[Step], demo: Connection) -> None:
    emptied = {(one.table, one.columns) for one in steps if one.kind == "empty"}
    deleted = {one.table: number for number, one in enumerate(steps) if one.kind == "delete"}
    for reference in catalogue.read(demo).references:
        pair = {reference.table, reference.target}
        if len(pair) == 2 and pair <= set(deleted) and (reference.table, reference.columns) not in emptied:
            assert deleted[reference.table] < deleted[reference.target], reference.name


def test_the_circle_is_opened_in_rows_that_go(steps: list[Step]) -> None:
    opened = [one for one in steps if one.kind == "empty"]
    assert sorted((str(one.table), one.columns) for one in opened) == [
        ("creators", ("featured_post_id",)),
        ("creators", ("referred_by",)),
    ]
    assert all(one.belonging.erasure == Delete() for one in opened)
    assert steps[: len(opened)] == opened
