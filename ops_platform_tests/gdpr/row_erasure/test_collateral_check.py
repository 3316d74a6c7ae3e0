"""Rows that a transaction changed against those it was meant to: nothing more, and nothing less."""

from __future__ import annotations

import pytest

from ops_platform.gdpr.row_erasure.collateral_check import Counts, Spread, Watched, compare
from ops_platform.gdpr.schema.relation_name import Name

POSTS, LOGS, LOGS_1, LOGS_2, OTHER_1 = 1, 2, 21, 22, 31
KNOWN = {
    number: Watched(Name("public", name), root, (0, 0, 0))
    for number, name, root in [
        (POSTS, "posts", POSTS),
        (LOGS, "logs", LOGS),
        (LOGS_1, "logs_1", LOGS),
        (LOGS_2, "logs_2", LOGS),
        (OTHER_1, "other_1", 3),
    ]
}


def test_what_was_meant_is_nothing_else() -> None:
    assert compare({POSTS: (0, 1, 2)}, {POSTS: (0, 1, 2)}, KNOWN) == {}
    assert compare({}, {POSTS: (0, 0, 0)}, KNOWN) == {}


@pytest.mark.parametrize("place", range(3))
@pytest.mark.parametrize("by", [-1, 1])
def test_one_row_more_or_less_is_a_spread(place: int, by: int) -> None:
    meant: Counts = (3, 3, 3)
    inserted, updated, deleted = (count + by * (n == place) for n, count in enumerate(meant))
    with pytest.raises(Spread, match=r"posts: .* were meant"):
        compare({POSTS: (inserted, updated, deleted)}, {POSTS: meant}, KNOWN)


def test_as_many_rows_of_another_kind_are_a_spread() -> None:
    with pytest.raises(Spread, match="posts"):
        compare({POSTS: (0, 0, 1)}, {POSTS: (0, 1, 0)}, KNOWN)


@pytest.mark.parametrize("tolerated", [None, [], [Name("public", "logs")]])
def test_what_was_meant_and_did_not_happen_is_a_spread(tolerated: list[Name] | None) -> None:
    with pytest.raises(Spread, match=r"posts: .* where 0 inserted, 0 updated, 1"):
        compare({}, {POSTS: (0, 0, 1)}, KNOWN, tolerated=tolerated)


def test_a_table_that_nobody_meant_is_a_spread() -> None:
    with pytest.raises(Spread, match="logs"):
        compare({POSTS: (0, 0, 1), LOGS: (1, 0, 0)}, {POSTS: (0, 0, 1)}, KNOWN)


def test_others_write_where_it_is_tolerated_and_are_told() -> None:
    done: dict[int, Counts] = {POSTS: (0, 0, 1), LOGS: (1, 2, 4)}
    meant: dict[int, Counts] = {POSTS: (0, 0, 1)}
    assert compare(done, meant, KNOWN, tolerated=[]) == {"logs": 7}
    with pytest.raises(Spread, match="logs"):
        compare(done, meant, KNOWN, tolerated=[Name("public", "logs")])
    with pytest.raises(Spread, match="posts"):
        compare({POSTS: (0, 0, 2)}, meant, KNOWN, tolerated=[])


MOVED: dict[int, Counts] = {LOGS_1: (0, 1, 2), LOGS_2: (2, 0, 0)}
MEANT: dict[int, Counts] = {LOGS_1: (0, 3, 0)}


def test_an_update_may_move_rows_between_partitions_of_one_table() -> None:
    assert compare(MOVED, MEANT, KNOWN, moving=True) == {}
    with pytest.raises(Spread):
        compare(MOVED, MEANT, KNOWN)


@pytest.mark.parametrize(
    "done",
    [
        {LOGS_1: (0, 1, 2), LOGS_2: (1, 0, 0)},
        {LOGS_1: (0, 1, 1), LOGS_2: (2, 0, 0)},
        {LOGS_1: (0, 2, 2), LOGS_2: (2, 0, 0)},
        {LOGS_1: (0, 0, 2), LOGS_2: (2, 0, 0)},
        {LOGS_1: (0, 1, 2), OTHER_1: (2, 0, 0)},
        {**MOVED, POSTS: (0, 1, 0)},
    ],
    ids=["one lost", "one made", "one more", "one less", "another table", "and another table"],
)
def test_a_move_loses_and_makes_no_row(done: dict[int, Counts]) -> None:
    with pytest.raises(Spread):
        compare(done, MEANT, KNOWN, moving=True)
