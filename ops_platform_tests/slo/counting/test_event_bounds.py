"""Bounds of what cannot be counted contain the truth, which generated histories know; and how wide they are.

A history is an hour and more of one or two targets, scraped every minute: scrapes that fail, a Prometheus
that is away, restarts with and without a reported start, crash loops, dips, labels that are born late or
vanish for a while. What happens while nobody looks is no busier than what is seen: that is what bounds by
capacity assume.

A second proof assumes nothing: however time is cut, the bounds of all parts together hold what the counter of
one process shows between two samples, also when more happened while nobody looked than ever before.
"""

from __future__ import annotations

import bisect
import itertools
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ops_platform.slo.bounds import Bounds
from ops_platform.slo.counting.range_query import moment
from ops_platform.slo.counting.reader import Reading
from ops_platform.slo.counting.samples import Labels, Mask, Series, Values
from ops_platform.slo.counting.scrapes import HORIZON, NEVER, VIEW, Scrapes
from ops_platform.slo.counting.targets import Targets
from ops_platform.slo.counting.window import WindowCount, count
from ops_platform.slo.objectives.model import Indicator
from ops_platform.slo.objectives.selector import Selector
from ops_platform_tests import hypothesis_profile

MINUTE = 60_000
TICKS = 80
EDGES = (VIEW, VIEW + 30 * MINUTE, VIEW + 60 * MINUTE)
TOTAL, BAD, GOOD = (
    Selector.parse(text) for text in ("events_total", 'events_total{code="500"}', 'events_total{code!="500"}')
)


@dataclass
class Life:
    """One target: what its processes did in each minute, and what scrapes showed of it."""

    target: Labels
    at: np.ndarray[tuple[int], np.dtype[np.int64]]
    good: np.ndarray[tuple[int], np.dtype[np.int64]]
    bad: np.ndarray[tuple[int], np.dtype[np.int64]]
    process: np.ndarray[tuple[int], np.dtype[np.int64]]
    """The number of the process that runs."""
    scraped: list[str]
    """good, bad, or away, by tick."""
    tells: bool
    started: list[int]
    """By process."""
    dips: dict[int, int]
    initialised: bool
    hidden: frozenset[tuple[str, int]] = frozenset()
    """Codes and ticks of good scrapes that do not show them."""
    born: bool = False
    """It began within the history: what its first scrape shows happened in it, too."""

    def samples(self, code: str) -> dict[int, int]:
        events = self.bad if code == "500" else self.good
        shown: dict[int, int] = {}
        value = 0
        for tick in range(len(self.scraped)):
            if tick and self.process[tick] != self.process[tick - 1]:
                value = 0
            value += int(events[tick])
            visible = self.scraped[tick] == "good" and (code, tick) not in self.hidden
            if visible and (value or self.initialised):
                lower = self.dips.get(tick, 0)
                # One that is cut off at zero shows late what happened meanwhile.
                shown[int(self.at[tick])] = value - lower if value >= lower else value
        return shown

    def series(self) -> list[Series]:
        lines = []
        for code in ("200", "500"):
            shown = self.samples(code)
            labels = (("__name__", "events_total"), ("code", code), *self.target)
            if shown:
                times = np.array(list(shown), np.int64)
                lines.append(Series(labels, times, np.array(list(shown.values()), np.int64)))
        return lines

    def scrapes(self) -> Scrapes:
        good = np.array([how == "good" for how in self.scraped])
        bad = np.array([how == "bad" for how in self.scraped])
        told = good if self.tells else np.zeros(len(self.scraped), np.bool_)
        starts = np.array(self.started, np.int64)[self.process]
        return Scrapes(self.at[good], self.at[bad], self.at[told], starts[told])

    @property
    def deceives(self) -> bool:
        """Tell whether a restart shows as much as there was: without a reported start nobody can see it."""
        if self.tells:
            return False
        well = [tick for tick in range(len(self.scraped)) if self.scraped[tick] == "good"]
        both = [self.samples(code) for code in ("200", "500")]
        return any(
            self.process[before] != self.process[after]
            and not any(
                int(self.at[after]) in shown
                and shown[int(self.at[after])] < shown.get(int(self.at[before]), 0)
                for shown in both
            )
            for before, after in itertools.pairwise(well)
            if self.at[after] - self.at[before] <= HORIZON
        )

    def truth(self, start: int, end: int) -> tuple[int, int]:
        """Count good and bad events in (start, end], each when a scrape showed it, or when it happened.

        What a process did between its last scrape and its end is counted by nobody, unless no scrape came
        for longer than HORIZON.
        """
        good = bad = 0
        for good_at, more_good, bad_at, more_bad in self.events():
            good += more_good if start < good_at <= end else 0
            bad += more_bad if start < bad_at <= end else 0
        return good, bad

    def events(self) -> Iterator[tuple[int, int, int, int]]:
        """Say of each tick when its good events are counted and how many they are, and its bad ones."""
        well = [tick for tick in range(len(self.scraped)) if self.scraped[tick] == "good"]
        if self.born:
            for tick in range(well[0] + 1):
                if self.process[tick] == self.process[well[0]]:
                    at = int(self.at[well[0]])
                    yield at, int(self.good[tick]), at, int(self.bad[tick])
        # A history begins and ends with scrapes: what lies outside is in no window.
        for tick in range(well[0] + 1, well[-1] + 1):
            position = bisect.bisect_left(well, tick)
            before, after = well[position - 1], well[position]
            shown = self.process[after] == self.process[tick]
            began = max(int(self.at[before]), self.started[self.process[tick]])
            if int(self.at[after]) - int(self.at[before]) <= HORIZON and not shown:
                continue
            near = int(self.at[after]) - began <= HORIZON
            good, bad = int(self.good[tick]), int(self.bad[tick])
            if not (shown and near):
                yield int(self.at[tick]), good, int(self.at[tick]), bad
                continue
            yield self._shown_at("200", after), good, self._shown_at("500", after), bad

    def _shown_at(self, code: str, tick: int) -> int:
        """Find when (ms) what a scrape at ``tick`` would show is shown."""
        while (code, tick) in self.hidden:
            tick += 1
        return int(self.at[tick])

    def proven(self, random: np.random.Generator) -> Iterator[tuple[str, int, int, int]]:
        """Choose pairs of samples of one process that says so: code, the two times, and what was counted."""
        for code in ("200", "500"):
            shown = self.samples(code)
            ticks = [tick for tick, at in enumerate(self.at) if int(at) in shown and tick not in self.dips]
            for _ in range(8 if self.tells and len(ticks) > 1 else 0):
                first, last = sorted(random.choice(ticks, 2, replace=False).tolist())
                if self.process[first] == self.process[last]:
                    low, high = int(self.at[first]), int(self.at[last])
                    yield code, low, high, shown[high] - shown[low]


def generated(seed: int, bursts: bool = False) -> list[Life]:
    random = np.random.default_rng(seed)
    at = np.arange(1, TICKS + 1, dtype=np.int64) * MINUTE
    away = set[int]()
    if random.random() < 0.4:
        begin = int(random.integers(12, 60))
        away = set(range(begin, begin + int(random.integers(1, 15))))
    lives = [_life(random, name, at, away) for name in "ab"[: int(random.integers(1, 3))]]
    return [_with_burst(random, life) for life in lives] if bursts else lives


def _with_burst(random: np.random.Generator, life: Life) -> Life:
    """Let more happen in a gap between scrapes than ever was seen."""
    unseen = [tick for tick in range(TICKS) if life.scraped[tick] != "good"]
    if not unseen:
        return life
    bad = life.bad.copy()
    bad[random.choice(unseen)] += int(random.integers(1_000, 100_000))
    return replace(life, bad=bad)


def _life(
    random: np.random.Generator, name: str, at: np.ndarray[tuple[int], np.dtype[np.int64]], away: set[int]
) -> Life:
    rate = int(random.integers(1, 40))
    scraped = ["away" if tick in away else "good" for tick in range(TICKS)]
    if random.random() < 0.5 and not away:
        begin = int(random.integers(12, 60))
        for tick in range(begin, begin + int(random.integers(1, 15))):
            scraped[tick] = "bad" if scraped[tick] == "good" else scraped[tick]
    restarts = set(random.integers(12, 68, int(random.integers(0, 3))).tolist())
    if random.random() < 0.3:
        begin = int(random.integers(12, 45))
        restarts |= set(range(begin, begin + 20, int(random.integers(1, 4))))
    process = np.cumsum([tick in restarts for tick in range(TICKS)])
    started = [-VIEW * 9] + [int(at[tick]) - int(random.integers(1, 50_000)) for tick in sorted(restarts)]
    # No busier unseen than seen; and what a process had begun when it was seen for the first time.
    total = np.array([rate if how == "good" else int(random.integers(0, rate + 1)) for how in scraped])
    bad = np.minimum(total, random.poisson(rate * random.choice([0, 0.01, 0.3]), TICKS))
    total[0] += int(random.integers(0, 10_000))
    dips, hidden = dict[int, int](), frozenset[tuple[str, int]]()
    if random.random() < 0.5:
        begin = int(random.integers(12, 66))
        # A dip that coincides with a restart hides events for good; one that is over unseen, or that ends
        # above where it began, shows them late.
        around = range(begin - 8, min(begin + 20, TICKS))
        if not restarts & set(around) and all(scraped[tick] == "good" for tick in around):
            lower = 9 * rate + int(random.integers(1, 500))
            dips = dict.fromkeys(range(begin, begin + int(random.integers(1, 9))), lower)
    if not dips and random.random() < 0.4:
        begin, length = int(random.integers(12, 55)), int(random.integers(1, 16))
        around = range(begin - 8, min(begin + length + 8, TICKS))
        if not restarts & set(around) and all(scraped[tick] == "good" for tick in around):
            codes = [["200"], ["500"], ["200", "500"]][int(random.integers(0, 3))]
            hidden = frozenset((code, tick) for code in codes for tick in range(begin, begin + length))
    return Life(
        (("instance", name), ("job", "product")),
        at,
        total - bad,
        bad,
        process,
        scraped,
        bool(random.random() < 0.5),
        started,
        dips,
        bool(random.random() < 0.7),
        hidden,
    )


def reading_of(history: list[Life], part: Selector) -> tuple[Indicator, Reading]:
    series = [counter for life in history for counter in life.series()]
    targets = Targets({life.target: life.scrapes() for life in history}, {}, {})
    return indicated(series, targets, part, TICKS * MINUTE)


def indicated(
    series: list[Series], targets: Targets, part: Selector, until: int
) -> tuple[Indicator, Reading]:
    chosen = {
        selector: tuple(
            counter
            for counter in series
            if all(matcher.fits(counter.label(matcher.name)) for matcher in selector.matchers)
        )
        for selector in (TOTAL, part)
    }
    indicator = Indicator(TOTAL, bad=part) if part == BAD else Indicator(TOTAL, good=part)
    jobs = {selector: {"product": NEVER} for selector in chosen}
    return indicator, Reading(0, until, chosen, dict.fromkeys(chosen, ()), jobs, targets)


def windows(history: list[Life], part: Selector, edges: Sequence[int] = EDGES) -> list[WindowCount]:
    return count(*reading_of(history, part), [moment(edge) for edge in edges], with_evidence=False)


def bounds_of(window: WindowCount) -> Bounds | None:
    known = window.good is not None and window.bad is not None
    return Bounds.exactly(window.good or 0, window.bad or 0) if known else window.bounds


def cut(reading: Reading, since: int, until: int) -> Reading:
    """Read only from ``since`` to ``until``, and what each series last was before."""

    def inside(counter: Series) -> Series:
        part = counter.between(since, until)
        low = int(np.searchsorted(counter.times, since, side="right"))
        earlier = (int(counter.times[low - 1]), int(counter.values[low - 1])) if low else None
        return replace(part, known=low > 0, earlier=earlier)

    def within(scrapes: Scrapes) -> Scrapes:
        told = (since < scrapes.reported_at) & (scrapes.reported_at <= until)
        return Scrapes(
            scrapes.good[(since < scrapes.good) & (scrapes.good <= until)],
            scrapes.bad[(since < scrapes.bad) & (scrapes.bad <= until)],
            scrapes.reported_at[told],
            scrapes.reported_starts[told],
        )

    return replace(
        reading,
        since=since,
        until=until,
        series={
            selector: tuple(part for part in map(inside, series) if part.times.size)
            for selector, series in reading.series.items()
        },
        targets=Targets(
            {target: within(scrapes) for target, scrapes in reading.targets.scrapes.items()}, {}, {}
        ),
    )


def outside(seed: int) -> tuple[list[str], int]:
    """Say which windows of a history do not contain the truth; count those that are bounded."""
    history = [life for life in generated(seed) if not life.deceives]
    if not history:
        return [], 0
    faults, bounded = [], 0
    for window, start, end in zip(
        windows(history, BAD if seed % 2 else GOOD), EDGES, EDGES[1:], strict=False
    ):
        good, bad = (sum(pair) for pair in zip(*(life.truth(start, end) for life in history), strict=True))
        bounds = bounds_of(window)
        if bounds is None:
            continue
        bounded += window.good is None
        if not bounds.good_least <= good <= bounds.good_most:
            faults.append(f"{seed}, until {end // MINUTE}: good {good} not in {bounds} ({window.reason})")
        if not bounds.bad_least <= bad <= bounds.bad_most:
            faults.append(f"{seed}, until {end // MINUTE}: bad {bad} not in {bounds} ({window.reason})")
    return faults, bounded


def unproven(seed: int) -> list[str]:
    """Say which differences that one counter shows are not within the bounds of the windows around them."""
    random = np.random.default_rng(seed)
    history = generated(seed, bursts=True)
    cuts = random.integers(EDGES[0] // MINUTE, EDGES[-1] // MINUTE, int(random.integers(0, 5)))
    edges = sorted({*EDGES, *(int(cut) * MINUTE + int(random.integers(0, MINUTE)) for cut in cuts)})
    found = [bounds_of(window) for window in windows(history, BAD if seed % 2 else GOOD, edges)]
    faults = []
    for life in history:
        for code, low, high, counted in life.proven(random):
            most = least = 0
            known = edges[0] <= low and high <= edges[-1]
            for bounds, start, end in zip(found, edges, edges[1:], strict=False):
                if start < high and low < end:
                    if bounds is None:
                        known = False
                        break
                    most += bounds.bad_most if code == "500" else bounds.good_most
                    if low <= start and end <= high and len(history) == 1:
                        least += bounds.bad_least if code == "500" else bounds.good_least
            if known and not least <= counted <= most:
                faults.append(f"{seed}: {counted} of {code} from {low} to {high}, not {least} to {most}")
    return faults


def test_bounds_contain_what_one_counter_shows() -> None:
    @settings(max_examples=hypothesis_profile.examples(200), deadline=None)
    @given(st.integers(0, 2**32 - 1))
    def contained(seed: int) -> None:
        assert unproven(seed) == []

    contained()


def test_bounds_contain_the_truth() -> None:
    @settings(max_examples=hypothesis_profile.examples(200), deadline=None)
    @given(st.integers(0, 2**32 - 1))
    def contained(seed: int) -> None:
        assert outside(seed)[0] == []

    contained()


def test_a_backfill_gives_what_each_run_gave() -> None:
    @settings(max_examples=hypothesis_profile.examples(60), deadline=None)
    @given(st.integers(0, 2**32 - 1))
    def same(seed: int) -> None:
        indicator, reading = reading_of(generated(seed), BAD)
        together = count(indicator, reading, [moment(edge) for edge in EDGES])
        for window, start, end in zip(together, EDGES, EDGES[1:], strict=False):
            alone = cut(reading, start - VIEW, end + VIEW)
            [found] = count(indicator, alone, [moment(start), moment(end)])
            assert (found.good, found.total, found.bounds) == (window.good, window.total, window.bounds)

    same()


# --- how wide: an hour of one event a second --------------------------------------------------------------

STEP = 15_000
HOUR_END = VIEW + 3_600_000
TIMES = np.arange(STEP, HOUR_END + VIEW + 1, STEP, dtype=np.int64)
SECONDS = TIMES // 1000
HALF = int(np.searchsorted(TIMES, VIEW + 1_800_000))
TARGET: Labels = (("instance", "a"), ("job", "product"))


def hour(good: Values, bad: Values, scrapes: Scrapes, kept: Mask) -> WindowCount:
    series = [
        Series((("__name__", "events_total"), ("code", code), *TARGET), TIMES[kept], values[kept])
        for code, values in (("200", good), ("500", bad))
    ]
    indicator, reading = indicated(series, Targets({TARGET: scrapes}, {}, {}), BAD, HOUR_END + VIEW)
    [window] = count(indicator, reading, [moment(VIEW), moment(HOUR_END)])
    return window


def told(starts: Values | int) -> Scrapes:
    return Scrapes(TIMES, reported_at=TIMES, reported_starts=np.broadcast_to(starts, TIMES.shape))


def test_a_dip_leaves_bounds_and_no_million() -> None:
    """One sample 22 lower, and both counters together: counted before as 1,011,685, and 1,032,464."""
    good, bad = 1_006_000 + SECONDS, 20_000 + SECONDS // 15
    good[HALF] -= 22
    bad[HALF] -= 2
    window = hour(good, bad, told(-5_000_000), TIMES > 0)
    assert window.state == "bounded"
    bounds = window.bounds
    assert bounds is not None
    assert bounds.good_least == 3600 <= bounds.good_most <= 4000
    assert bounds.bad_least == 240 <= bounds.bad_most <= 600


@pytest.mark.parametrize(
    ("starts", "widest"),
    [
        pytest.param(-5_000_000, 0, id="the same process before and after"),
        pytest.param("restart", 500, id="another process began in the gap"),
        pytest.param(None, 800, id="nobody says"),
    ],
)
def test_a_gap_of_six_minutes(starts: int | str | None, widest: int) -> None:
    end = HALF + 24
    kept = (np.arange(TIMES.size) < HALF) | (np.arange(TIMES.size) >= end)
    good, bad = SECONDS.copy(), SECONDS // 15
    scrapes = Scrapes(TIMES[kept], TIMES[~kept])
    if starts == "restart":
        began = int(TIMES[end]) - 60_000
        good[end:], bad[end:] = SECONDS[end:] - began // 1000, (SECONDS[end:] - began // 1000) // 15
        reported = np.where(began > TIMES, -5_000_000, began)[kept]
        scrapes = Scrapes(TIMES[kept], TIMES[~kept], TIMES[kept], reported)
    elif starts is not None:
        scrapes = Scrapes(TIMES[kept], TIMES[~kept], TIMES[kept], np.full(int(kept.sum()), starts))
    bounds = hour(good, bad, scrapes, kept).bounds
    assert bounds is not None
    assert bounds.good_least <= 3600 <= bounds.good_most
    assert bounds.bad_least <= 240 <= bounds.bad_most
    assert bounds.bad_most - bounds.bad_least <= widest


@pytest.mark.full
@pytest.mark.timeout(900)
def test_many_histories() -> None:
    """As many as ``OPS_TEST_HISTORIES`` says; 10,000 take five minutes."""
    histories, bounded = int(os.environ.get("OPS_TEST_HISTORIES", "2500")), 0
    for seed in range(histories):
        faults, of_history = outside(seed)
        assert faults == []
        assert unproven(seed) == []
        bounded += of_history
    # The histories are such that this is worth something.
    assert bounded > histories // 2
