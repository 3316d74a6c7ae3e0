"""What counts mean: exact, not clamped, and never more than they are."""

from __future__ import annotations

from datetime import UTC, datetime
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops_platform.slo.bounds import Bounds
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


def month(unknown: Bounds | None) -> Tally:
    """719 hours of 10,000 events, 9 of them bad in each, and one that is not known."""
    known = [window(9_991, 10_000)] * 719
    lost = WindowCount(AT, 3600, None, None, "a gap", "", 240, 0, 0, bounds=unknown)
    return Tally.of([*known, lost], 720)


@pytest.mark.parametrize(
    ("unknown", "target", "verdict"),
    [
        pytest.param(Bounds(0, 100, 0, 20), "0.998", "met", id="a small gap"),
        pytest.param(Bounds(0, 100, 0, 20), "0.999", "at risk", id="whatever it held, a tenth is left"),
        pytest.param(Bounds(0, 10_000, 0, 10_000), "0.999", "undecided", id="it may have spent the rest"),
        pytest.param(Bounds(0, 10_000, 0, 10_000), "0.9995", "breached", id="spent without it"),
        pytest.param(None, "0.9", "undecided", id="nothing bounds it"),
        pytest.param(Bounds(5, 5, 0, 0), "1", "breached", id="all must be good, and some were not"),
    ],
)
def test_a_month_with_an_hour_that_is_not_known(unknown: Bounds | None, target: str, verdict: str) -> None:
    tally, promise = month(unknown), objective(Fraction(target))
    assert budget.verdict(tally, promise) == verdict
    assert (tally.windows, tally.missing) == (720, 1)
    assert tally.state == ("source_missing" if unknown is None else "bounded")
    severity = {"met": None, "breached": "critical", "at risk": "warning", "undecided": "warning"}[verdict]
    assert budget.breach(tally, promise) == (None if unknown is None else severity)


def test_a_bounded_share_reads_as_two_numbers() -> None:
    shares = budget.achievement_bounds(month(Bounds(0, 10_000, 0, 10_000)))
    assert budget.percent_between(shares) == "99.771 to 99.910"
    assert budget.percent_between(budget.achievement_bounds(Tally.of([window(999, 1000)]))) == "99.900"
    assert budget.percent_between(None) == "unknown"


def test_a_target_of_all_is_met_only_when_nothing_can_have_been_bad() -> None:
    promise = objective(Fraction(1))
    perfect = [window(10, 10)] * 2
    for unknown, verdict in ((Bounds(3, 4, 0, 0), "met"), (Bounds(3, 4, 0, 1), "undecided")):
        lost = WindowCount(AT, 3600, None, None, "a gap", "", 240, 0, 0, bounds=unknown)
        assert budget.verdict(Tally.of([*perfect, lost]), promise) == verdict
