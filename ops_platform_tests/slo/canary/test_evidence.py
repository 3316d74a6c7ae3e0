"""The arithmetic of the sequential test: held against sums over every outcome, not against itself."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops_platform.slo.canary import evidence
from ops_platform.slo.canary.comparison import WORSE
from ops_platform.slo.canary.evidence import MOST_TERMS, Accumulated, OddsTest, ShareTest, log_mean

LIKE = OddsTest(1.5, (1.0,))
COUNTS = st.integers(0, 40)
ODDS = st.sampled_from((0.2, 0.5, 1.0, 1.5, 3.0, 10.0))


def weights(bad: int, canary: int, stable: int, odds: float) -> dict[int, float]:
    """Probabilities of the canary's bad events, from whole numbers."""
    possible = range(max(0, bad - stable), min(canary, bad) + 1)
    terms = {k: math.comb(canary, k) * math.comb(stable, bad - k) * odds**k for k in possible}
    return {k: term / math.fsum(terms.values()) for k, term in terms.items()}


@given(COUNTS, COUNTS, COUNTS, st.sampled_from((WORSE, LIKE)))
def test_each_ratio_is_that_of_the_two_probabilities(
    canary_bad: int, canary: int, stable: int, test: OddsTest
) -> None:
    canary_bad = min(canary_bad, canary)
    stable_bad = stable // 3
    bad = canary_bad + stable_bad
    for alternative, log in zip(
        test.alternatives, test.logs(canary_bad, canary, stable_bad, stable), strict=True
    ):
        expected = (
            weights(bad, canary, stable, alternative)[canary_bad]
            / weights(bad, canary, stable, test.null)[canary_bad]
        )
        assert math.exp(log) == pytest.approx(expected, rel=1e-9)


@given(COUNTS, COUNTS, COUNTS, ODDS)
def test_where_the_canary_is_no_worse_a_ratio_is_one_at_most_on_average(
    bad: int, canary: int, stable: int, odds: float
) -> None:
    bad = min(bad, canary + stable)
    chances = weights(bad, canary, stable, min(odds, 1.0))
    for number in range(len(WORSE.alternatives)):
        average = math.fsum(
            chance * math.exp(WORSE.logs(k, canary, bad - k, stable)[number]) for k, chance in chances.items()
        )
        assert average <= 1 + 1e-9


@given(COUNTS, COUNTS, COUNTS, ODDS)
def test_where_it_is_beyond_the_tolerance_so_is_the_other_one(
    bad: int, canary: int, stable: int, odds: float
) -> None:
    bad = min(bad, canary + stable)
    chances = weights(bad, canary, stable, max(odds, LIKE.null))
    average = math.fsum(
        chance * math.exp(LIKE.logs(k, canary, bad - k, stable)[0]) for k, chance in chances.items()
    )
    assert average <= 1 + 1e-9


@given(st.integers(0, 60), st.floats(0.01, 0.3), st.floats(1.0, 3.0))
def test_a_share_at_or_above_the_allowed_one_gives_one_at_most_on_average(
    total: int, allowed: float, factor: float
) -> None:
    test = ShareTest(allowed, (allowed / 2, allowed / 16))
    true = min(allowed * factor, 0.95)
    for number in range(2):
        average = math.fsum(
            math.comb(total, bad)
            * true**bad
            * (1 - true) ** (total - bad)
            * math.exp(test.logs(bad, total)[number])
            for bad in range(total + 1)
        )
        assert average <= 1 + 1e-9


def test_large_counts_keep_their_digits() -> None:
    canary, stable, bad = 1_000_000, 9_000_000, 2_000
    expected = canary / (canary + stable) * bad
    [log] = OddsTest(1.5, (1.0,)).logs(200, canary, 1_800, stable)
    # The normal distribution of so many events, at its middle and as far off as 1.5 is.
    share = 1.5 * canary / (1.5 * canary + stable)
    shift = bad * share - expected
    assert log == pytest.approx(shift**2 / (2 * bad * share * (1 - share)), rel=0.1)


@pytest.mark.parametrize(
    ("canary_bad", "canary", "stable_bad", "stable"),
    [
        (0, 0, 3, 100),
        (3, 100, 0, 0),
        (0, 100, 0, 900),
        (100, 100, 900, 900),
        (MOST_TERMS, 10 * MOST_TERMS, MOST_TERMS, 10 * MOST_TERMS),
    ],
    ids=["no canary", "no stable release", "nothing bad", "all bad", "too many to sum up"],
)
def test_what_tells_nothing_is_no_evidence(
    canary_bad: int, canary: int, stable_bad: int, stable: int
) -> None:
    assert set(WORSE.logs(canary_bad, canary, stable_bad, stable)) == {0.0}


def test_evidence_multiplies_over_intervals_and_averages_over_alternatives() -> None:
    product = Accumulated(2)
    product.add((math.log(2), math.log(8)))
    product.add((math.log(3), math.log(0.5)))
    assert math.exp(product.log) == pytest.approx((6 + 4) / 2)
    assert math.exp(log_mean((math.log(1), math.log(3)))) == pytest.approx(2)
    assert log_mean((-1e6, 5_000.0)) == pytest.approx(5_000 - math.log(2))
    assert evidence.log_mean((0.0,)) == 0
