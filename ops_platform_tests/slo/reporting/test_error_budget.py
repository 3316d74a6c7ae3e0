"""What counts mean: exact, not clamped, and never more than they are."""

from __future__ import annotations

from datetime import UTC, datetime
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops_platform.slo.counting.window import WindowCount
from ops_platform.slo.objectives.model import Indicator, Objective, Period
from ops_platform.slo.objectives.selector import Selector
from ops_platform.slo.reporting import error_budget as budget
from ops_platform.slo.reporting.error_budget import Tally

AT = datetime(2026, 1, 1, tzinfo=UTC)


def window(good: int | None, total: int | None) -> WindowCount:
    return WindowCount(AT, 3600, good, total, None, "", 240, 240, 0)


def objective(target: Fraction) -> Objective:
    return Objective("s", "n", "", "", target, Indicator(Selector("a_total", ())), Period("rolling", 30))


def test_windows_are_added_never_averaged() -> None:
    tally = Tally.of([window(1, 1), window(0, 99)])
    assert budget.achievement(tally) == Fraction(1, 100)


def test_one_that_is_unknown_makes_all_unknown() -> None:
    for tally in (Tally.of([window(1, 1), window(None, None)]), Tally.of([window(1, 1)], 2), Tally.of([])):
        assert tally.state == "source_missing"
        assert budget.achievement(tally) is None
        assert budget.remaining(tally, Fraction(9, 10)) is None
        assert budget.breach(tally, objective(Fraction(9, 10))) is None


def test_nothing_happened_leaves_the_budget_whole_and_promises_nothing() -> None:
    tally = Tally.of([window(0, 0)])
    assert tally.state == "no_data"
    assert budget.achievement(tally) is None
    assert budget.remaining(tally, Fraction(9, 10)) == 1
    assert budget.breach(tally, objective(Fraction(1))) is None


@pytest.mark.parametrize(
    ("bad", "left", "severity"),
    [(0, 1, None), (74, Fraction(26, 100), None), (75, Fraction(1, 4), "warning"), (100, 0, "critical"),
     (1100, -10, "critical")],
)  # fmt: skip
def test_the_budget_that_is_left(bad: int, left: Fraction, severity: str | None) -> None:
    tally = Tally.of([window(10_000 - bad, 10_000)])
    assert budget.remaining(tally, Fraction(99, 100)) == left
    assert budget.breach(tally, objective(Fraction(99, 100))) == severity


def test_everything_must_be_good() -> None:
    assert budget.breach(Tally.of([window(99, 100)]), objective(Fraction(1))) == "critical"
    assert budget.remaining(Tally.of([window(99, 100)]), Fraction(1)) is None
    assert budget.burn(Tally.of([window(99, 100)]), Fraction(1)) is None


@given(st.integers(1, 10**12), st.integers(0, 10**12), st.integers(1, 99_999))
def test_burn_and_budget_are_two_sides_of_one_number(total: int, bad: int, target: int) -> None:
    bad = min(bad, total)
    tally, share = Tally.of([window(total - bad, total)]), Fraction(target, 100_000)
    burn, left = budget.burn(tally, share), budget.remaining(tally, share)
    assert burn is not None
    assert left == 1 - burn
    assert burn <= 1 / (1 - share)


@given(st.fractions(0, 1))
def test_a_hair_less_than_everything_does_not_read_as_everything(share: Fraction) -> None:
    text = budget.percent(share)
    assert (text == "100.000") == (share == 1)
    assert Fraction(text) <= share * 100
