"""The arithmetic of the content checks: what a table can have held, and when a sequence is behind."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops_platform.dr.inspection import inherent_defects as weakness
from ops_platform.dr.inspection import schema_comparison as catalogue
from ops_platform.dr.inspection.check_result import failed, passed, unknown
from ops_platform.dr.inspection.row_fingerprints import EXACT_ROWS, ClosedRows, LiveTable
from ops_platform.dr.verification import data_checks as content

counts = st.integers(min_value=0, max_value=10**6)
steps = st.lists(st.tuples(st.booleans(), st.integers(0, 2000)), max_size=30)


@dataclass
class Table:
    """A table with a history, and what its statistics say."""

    rows: int
    inserted: int = 5
    deleted: int = 7
    file: int = 1

    def step(self, insert: bool, number: int) -> None:
        if insert:
            self.rows += number
            self.inserted += number
        else:
            gone = min(number, self.rows)
            self.rows -= gone
            self.deleted += gone

    def look(self, late_inserts: int = 0, late_deletes: int = 0) -> LiveTable:
        rows = None if self.rows > EXACT_ROWS else self.rows
        return LiveTable(rows, self.inserted - late_inserts, self.deleted - late_deletes, 1, self.file)


@given(rows=counts, first=steps, second=steps, rest=steps)
def test_every_real_history_is_within_its_bounds(
    rows: int, first: list[tuple[bool, int]], second: list[tuple[bool, int]], rest: list[tuple[bool, int]]
) -> None:
    """Inserts and deletes between two looks, and a restore to any moment between them."""
    table = Table(rows)
    for one in first:
        table.step(*one)
    before = table.look()
    for one in second:
        table.step(*one)
    here = table.look()
    for one in rest:
        table.step(*one)
    limits = content.bounds(before, table.look(), here)
    assert limits is not None
    assert limits.holds(here.rows)


@given(rows=counts, bulk=st.integers(0, 10**6), before_is_late=st.booleans(), inserts=st.booleans())
def test_statistics_that_lag_behind_a_bulk_accuse_nobody(
    rows: int, bulk: int, before_is_late: bool, inserts: bool
) -> None:
    table = Table(rows, inserted=10**7, deleted=10**7)
    late = (bulk, 0) if inserts else (0, min(bulk, rows))
    if before_is_late:
        table.step(inserts, bulk)
        before = table.look(*late)
        here, after = table.look(), table.look()
    else:
        before = table.look()
        table.step(inserts, bulk)
        here, after = table.look(), table.look(*late)
    limits = content.bounds(before, after, here)
    # Where the count is less than a moment ago, there is nothing to reckon with.
    if limits is not None:
        assert limits.holds(here.rows)


@given(rows=counts, lost=st.integers(min_value=1, max_value=10**6))
def test_lost_rows_are_outside(rows: int, lost: int) -> None:
    look = LiveTable(rows, 0, 0, 1, 1)
    limits = content.bounds(look, look, look)
    assert limits is not None
    slack = 50 + rows // 100
    assert not limits.holds(rows + slack + lost)
    if rows - slack - lost >= 0:
        assert not limits.holds(rows - slack - lost)
    assert limits.holds(rows + slack)
    assert limits.holds(max(0, rows - slack))


def test_of_large_tables_it_is_known_that_they_are_large() -> None:
    large = LiveTable(None, 0, 0, 1, 1)
    limits = content.bounds(large, large, large)
    assert limits is not None
    assert limits.holds(None)
    assert limits.holds(EXACT_ROWS)
    assert not limits.holds(EXACT_ROWS // 2)
    assert not limits.holds(0)
    small = LiveTable(10, 0, 0, 1, 1)
    limits = content.bounds(small, small, large)
    assert limits is not None
    assert not limits.holds(None)
    # Half a million deletes may have happened, and no more.
    limits = content.bounds(large, LiveTable(600_000, 0, 500_000, 1, 1), large)
    assert limits is not None
    assert limits.holds(500_000)
    assert not limits.holds(400_000)


def test_what_cannot_be_told_has_no_bounds() -> None:
    one = LiveTable(5, 10, 0, 1, 1)
    assert content.bounds(one, None, one) is None
    assert content.bounds(one, replace(one, inserted=3), one) is None  # statistics were reset
    assert content.bounds(one, replace(one, oid=2), one) is None  # another table of the name
    assert content.bounds(one, one, replace(one, oid=2)) is None
    assert content.bounds(one, replace(one, file=2), replace(one, file=2)) is None  # truncated


def test_a_table_that_was_rewritten_afterwards_or_by_nobody_is_bounded_all_the_same() -> None:
    one = LiveTable(500, 10, 0, 1, 1)
    limits = content.bounds(one, replace(one, rows=0, file=2), one)
    assert limits is not None
    assert limits.holds(500)
    assert not limits.holds(400)
    limits = content.bounds(one, one, replace(one, file=2))
    assert limits is not None
    assert not limits.holds(0)


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
    assert weakness.is_behind(last, called, reached, step) is behind


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
    whole = ClosedRows("at", 0, 0, 0)
    for rows, low, high in parts:
        whole = whole + ClosedRows("at", rows, low, high)
    assert ClosedRows.parse(whole.as_json()) == whole
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


def test_bounds_hold_at_their_limits_and_not_beyond() -> None:
    exact = content.Bounds(3, 5)
    assert [exact.holds(rows) for rows in (2, 3, 5, 6)] == [False, True, True, False]
    assert content.Bounds(3, None).holds(10**12)
    # Not counted means more than EXACT_ROWS; one more may be all there are.
    assert content.Bounds(0, EXACT_ROWS + 1).holds(None)
    assert not content.Bounds(0, EXACT_ROWS).holds(None)
