"""Months with one thing in them that hides events: the truth is within the bounds, and how wide these are.

A month is 720 hours of a service with 60 events a minute, one in 2,000 of them bad, scraped every minute. Of
its promise of 99.9 % half of the budget is left. What nobody saw may not make that undecided.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from ops_platform.slo.counting.range_query import moment
from ops_platform.slo.counting.scrapes import VIEW
from ops_platform.slo.counting.targets import Targets
from ops_platform.slo.counting.window import WindowCount, count
from ops_platform.slo.reporting.error_budget import Tally, remaining_bounds, verdict
from ops_platform_tests.slo.counting.test_event_bounds import BAD, MINUTE, Life, cut, indicated
from ops_platform_tests.slo.stored import SIGNATURES

HOURS = 720
RATE = 60
FIRST, LAST = VIEW, VIEW + HOURS * 60 * MINUTE
TICKS = (LAST + VIEW) // MINUTE
Random = np.random.Generator
PROMISED = replace(SIGNATURES, target=Fraction(999, 1000))


def life(random: Random, name: str, begin: int = 1, end: int = TICKS + 1, *, tells: bool = True) -> Life:
    """Live undisturbed from the minute ``begin`` to before ``end``; born in the month if not at its begin."""
    at = np.arange(begin, end, dtype=np.int64) * MINUTE
    bad = random.poisson(RATE / 2000, at.size).astype(np.int64)
    total = random.integers(RATE // 2, RATE + RATE // 2 + 1, at.size)
    return Life(
        (("instance", name), ("job", "product")),
        at,
        np.maximum(total - bad, 0),
        bad,
        np.zeros(at.size, np.int64),
        ["good"] * at.size,
        tells,
        [int(at[0]) - (1 if begin > 1 else 9 * VIEW)],
        {},
        True,
        born=begin > 1,
    )


def restarted(life: Life, ticks: set[int]) -> None:
    """Let another process begin shortly before each of these scrapes."""
    life.process = np.cumsum([tick in ticks for tick in range(life.at.size)])
    life.started += [int(life.at[tick]) - 20_000 for tick in sorted(ticks)]


def gap(random: Random, *, tells: bool, another: bool = True) -> list[Life]:
    """Scrapes fail for six minutes; another process began meanwhile, or the same goes on."""
    whole = life(random, "a", tells=tells)
    begin = int(random.integers(600, TICKS - 600))
    for tick in range(begin, begin + 6):
        whole.scraped[tick] = "bad"
        whole.good[tick] = int(random.integers(0, RATE + 1))
        whole.bad[tick] = min(whole.bad[tick], 1)
    if another:
        restarted(whole, {begin + int(random.integers(1, 6))})
    return [whole]


def pause(random: Random, *, tells: bool) -> list[Life]:
    """Scrapes fail for six minutes, and the process goes on."""
    return gap(random, tells=tells, another=False)


def crash_loop(random: Random, *, tells: bool) -> list[Life]:
    """A process ends every one to three minutes for two hours, and most scrapes in between fail."""
    whole = life(random, "a", tells=tells)
    begin = int(random.integers(600, TICKS - 600))
    restarted(whole, set(range(begin, begin + 120, int(random.integers(1, 4)))))
    for tick in range(begin, begin + 120):
        whole.scraped[tick] = "bad" if random.random() < 0.6 else "good"
        # It answers less than it did.
        whole.good[tick] = int(random.integers(0, RATE // 2))
        whole.bad[tick] = min(whole.bad[tick], 1)
    return [whole]


def deploys(random: Random, *, tells: bool) -> list[Life]:
    """Another pod of another name every hour, a minute before the former one ends."""
    starts = [1, *(hour * 60 + int(random.integers(2, 58)) for hour in range(1, TICKS // 60))]
    ends = [*(start + 1 for start in starts[1:]), TICKS + 1]
    pods = zip(starts, ends, strict=True)
    return [life(random, f"pod-{begin}", begin, end, tells=tells) for begin, end in pods]


def restarts(random: Random, *, tells: bool) -> list[Life]:
    """Another process under the same address every hour: its counters fall."""
    whole = life(random, "a", tells=tells)
    restarted(whole, {hour * 60 + int(random.integers(2, 58)) for hour in range(1, TICKS // 60)})
    return [whole]


@pytest.mark.full
@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("happens", "tells", "widest"),
    [
        pytest.param(pause, True, 0, id="a six-minute gap"),
        pytest.param(gap, True, 0.2, id="a six-minute gap in which it began anew"),
        pytest.param(gap, False, 0.3, id="the same without start times"),
        pytest.param(crash_loop, True, 0.2, id="a crash loop of two hours"),
        pytest.param(deploys, False, 0.05, id="hourly deploys without start times"),
        pytest.param(restarts, False, 0.05, id="hourly restarts without start times"),
    ],
)
def test_a_month_is_decided_whatever_one_incident_hid(
    happens: Callable[..., list[Life]], tells: bool, widest: float
) -> None:
    """``widest``: between least and most that is left, as a share of the budget."""
    lives = happens(np.random.default_rng(7), tells=tells)
    tally = Tally.of(counted(lives), HOURS)
    bounds = tally.known
    assert bounds is not None
    good, bad = truth(lives)
    assert bounds.good_least <= good <= bounds.good_most
    assert bounds.bad_least <= bad <= bounds.bad_most
    left = remaining_bounds(tally, PROMISED.target)
    assert left is not None
    assert left[0] <= 1 - Fraction(bad) / ((1 - PROMISED.target) * (good + bad)) <= left[1]
    assert left[1] - left[0] <= widest
    assert verdict(tally, PROMISED) in ("met", "at risk")


def counted(lives: list[Life]) -> Iterator[WindowCount]:
    """Count the month a day at a time, as a backfill does, from what is read for that day."""
    series = {each.target: each.series() for each in lives}
    scrapes = {each.target: each.scrapes() for each in lives}
    for day in range(0, HOURS, 24):
        edges = [FIRST + hour * 60 * MINUTE for hour in range(day, day + 25)]
        since, until = edges[0] - VIEW, edges[-1] + VIEW
        near = [each for each in lives if each.at[0] <= until and each.at[-1] > since]
        targets = Targets({each.target: scrapes[each.target] for each in near}, {}, {})
        shown = [counter for each in near for counter in series[each.target]]
        indicator, reading = indicated(shown, targets, BAD, until)
        yield from count(indicator, cut(reading, since, until), [moment(edge) for edge in edges])


def truth(lives: list[Life]) -> tuple[int, int]:
    """Count what happened in the month, good and bad."""
    good = bad = 0
    for each in lives:
        for good_at, more_good, bad_at, more_bad in each.events():
            good += more_good if FIRST < good_at <= LAST else 0
            bad += more_bad if FIRST < bad_at <= LAST else 0
    return good, bad
