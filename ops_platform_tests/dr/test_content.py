"""The arithmetic of the content checks: what a table can have held, and when a sequence is behind."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops_platform.dr import catalogue, content
from ops_platform.dr.fingerprint import Closed, Live
from ops_platform.dr.ladder import failed, passed, unknown

counts = st.integers(min_value=0, max_value=10**6)


@given(rows=counts, inserts=st.lists(st.booleans(), max_size=40), stop=st.integers(min_value=0, max_value=40))
def test_every_real_history_is_within_its_bounds(rows: int, inserts: list[bool], stop: int) -> None:
    """Inserts and deletes between two looks, and a restore to any moment between them."""
    held, at_stop = rows, rows
    for number, insert in enumerate(inserts):
        held += 1 if insert else -1 if held else 0
        if number < stop:
            at_stop = held
    deleted = rows + sum(inserts) - held
    limits = content.bounds(Live(rows, 5, 7), Live(held, 5 + sum(inserts), 7 + deleted))
    assert limits is not None
    assert limits.holds(at_stop)


@given(rows=counts, lost=st.integers(min_value=51, max_value=10**6))
def test_lost_rows_are_outside(rows: int, lost: int) -> None:
    limits = content.bounds(Live(rows, 0, 0), Live(rows, 0, 0))
    assert limits is not None
    slack = 50 + rows // 100
    assert not limits.holds(rows + slack + lost)
    if rows - slack - lost >= 0:
        assert not limits.holds(rows - slack - lost)


def test_what_cannot_be_told_has_no_bounds() -> None:
    assert content.bounds(Live(None, 0, 0), Live(1, 0, 0)) is None
    assert content.bounds(Live(5, 10, 0), Live(5, 3, 0)) is None  # statistics were reset
    assert content.bounds(Live(5, 0, 0), None) is None


@pytest.mark.parametrize(
    ("last", "called", "reached", "step", "behind"),
    [
        (10, True, 10, 1, False),
        (10, True, 11, 1, True),
        (10, False, 10, 1, True),
        (10, False, 9, 1, False),
        (-5, True, -5, -1, False),
        (-5, True, -6, -1, True),
        (10, True, 14, 5, False),
        (10, True, 15, 5, True),
    ],
)
def test_a_sequence_behind_its_column(last: int, called: bool, reached: int, step: int, behind: bool) -> None:
    assert content._is_behind(last, called, reached, step) is behind


def test_the_worst_of_several_databases_counts() -> None:
    good, bad, untold = passed("x", "a", n=1), failed("x", "b", n=2), unknown("x", "c")
    assert content.merged("x", {"one": good, "two": good}).numbers == {"n": 2}
    assert content.merged("x", {"one": good, "two": untold}).result == "unknown"
    merged = content.merged("x", {"one": untold, "two": bad, "three": good})
    assert (merged.result, merged.summary) == ("fail", "two: b")


@given(
    st.lists(
        st.tuples(counts, st.integers(-(2**63), 2**63), st.integers(-(2**63), 2**63)), min_size=1, max_size=5
    )
)
def test_fingerprints_of_parts_add_up_and_survive_json(parts: list[tuple[int, int, int]]) -> None:
    whole = Closed("at", 0, 0, 0)
    for rows, low, high in parts:
        whole = whole + Closed("at", rows, low, high)
    assert Closed.parse(whole.as_json()) == whole
    assert whole.rows == sum(rows for rows, _, _ in parts)
    assert whole.low == sum(low for _, low, _ in parts)


@pytest.mark.parametrize(
    ("restored", "references", "result", "says"),
    [
        ({"a": "1"}, [{"a": "1"}], "pass", "1 objects"),
        ({"a": "1"}, [{"a": "1"}, {"a": "2"}], "pass", "1 objects"),
        ({"a": "2"}, [{"a": "1"}, {"a": "2"}], "pass", "1 objects"),
        ({"a": "3"}, [{"a": "1"}, {"a": "2"}], "fail", "changed: a"),
        ({}, [{"a": "1"}, {}], "pass", "0 objects"),
        ({}, [{"a": "1"}, {"a": "1"}], "fail", "missing: a"),
        ({"b": "1"}, [{}, {}], "fail", "unexpected: b"),
        ({"b": "1"}, [{}, {"b": "1"}], "pass", "1 objects"),
        ({"a": "1"}, [], "unknown", "no reference"),
    ],
)
def test_objects_are_as_in_one_of_the_references(
    restored: dict[str, str], references: list[dict[str, str]], result: str, says: str
) -> None:
    found = catalogue.compare("catalogue", "objects", restored, references)
    assert found.result == result
    assert says in found.summary


def test_a_difference_that_nobody_can_explain_is_unknown_and_named() -> None:
    found = catalogue.compare("catalogue", "objects", {"a": "2"}, [{"a": "1"}], enclosed=False)
    assert found.result == "unknown"
    assert "changed: a" in found.summary


def test_only_a_few_names_are_told() -> None:
    gone = {f"table {number}": "1" for number in range(9)}
    assert "and 4 more" in catalogue.compare("catalogue", "objects", {}, [gone]).summary
