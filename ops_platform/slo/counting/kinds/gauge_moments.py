"""The values of a computed gauge, such as ``sum(min_over_time(lag[2m]))``, at every full minute.

A value is known where every target that could have a part in it was scraped well in the time that it looks
back on, and shows something.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ops_platform.slo.counting import window
from ops_platform.slo.counting.kinds import unseen_samples
from ops_platform.slo.counting.kinds.scores import Scores
from ops_platform.slo.counting.reader import Reading
from ops_platform.slo.counting.samples import Labels, Mask, Series, Times, Values, no_times, show
from ops_platform.slo.counting.scrapes import HORIZON, VIEW, Scrapes, Unknown
from ops_platform.slo.objectives import GaugeIndicator
from ops_platform.slo.objectives.promql import Gauge

MINUTE = 60_000
Floats = NDArray[np.float64]
Scorer = Callable[[GaugeIndicator, Floats], tuple[Values, Mask]]
_FUNCTIONS: Mapping[str, Callable[[Floats], float]] = {
    "min": lambda values: float(values.min()),
    "max": lambda values: float(values.max()),
    "avg": lambda values: float(values.mean()),
    "sum": lambda values: float(values.sum()),
    "count": lambda values: float(values.size),
    "last": lambda values: float(values[-1]),
}


def scores(
    indicator: GaugeIndicator,
    reading: Reading,
    scrapes: Mapping[Labels, Scrapes],
    sizes: Mapping[Labels, int],
    score: Scorer,
) -> Scores:
    """Score the gauge at every full minute of the reading; one score for each series without an aggregate.

    ``sizes``: how many series each target could show.
    """
    gauge = indicator.gauge
    series = reading.series[gauge.selector]
    first = -(-(reading.since + HORIZON) // MINUTE)
    moments = np.arange(first, reading.until // MINUTE + 1, dtype=np.int64) * MINUTE
    times: list[int] = []
    values: list[float] = []
    unseen: list[int] = []
    reasons: list[Unknown] = []
    hidden, vanished = _hidden(gauge, reading, scrapes, moments)
    lacking = _lacking(series, scrapes, sizes)
    for at in moments.tolist():
        doubt = _doubt(gauge, scrapes, at) or hidden.get(at)
        found = [
            value
            for each in series
            if (value := _value(gauge, each, scrapes.get(each.target), at)) is not None
        ]
        if doubt is None and not found:
            doubt = f"there is no series of {gauge.selector}"
        if doubt is not None:
            back = at - (gauge.range_ms or HORIZON)
            there = (
                len(series)
                + vanished.get(at, 0)
                + sum(int(most[(times > back) & (times <= at)].max(initial=0)) for times, most in lacking)
            )
            unseen += [at] * (1 if gauge.aggregate is not None else max(1, there))
            reasons.append(Unknown(at - MINUTE, at, doubt))
            continue
        if gauge.aggregate is not None:
            found = [_FUNCTIONS[gauge.aggregate](np.array(found))]
        values += found
        times += [at] * len(found)
    scored, has = score(indicator, np.array(values, np.float64))
    at_times = np.array(times, np.int64)
    reasons += [Unknown(at - MINUTE, at, f"{gauge} is no number") for at in at_times[~has].tolist()]
    lost = np.sort(np.concatenate((np.array(unseen, np.int64), at_times[~has])))
    # An aggregate is one value, whatever it is made of.
    missing = [] if gauge.aggregate is not None else far(window.missing_series(indicator, reading), reading)
    return Scores(at_times[has], scored[has], 1, lost, reasons, missing)


def far(missing: Sequence[Unknown], reading: Reading) -> list[Unknown]:
    """Cut stretches without any series down to what is further than VIEW from one: nothing bounds that."""
    cut = []
    for stretch in missing:
        after = stretch.after + (VIEW if stretch.after > reading.since else 0)
        until = stretch.until - (VIEW if stretch.until < reading.until else 0)
        if after < until:
            cut.append(replace(stretch, after=after, until=until))
    return cut


def _hidden(
    gauge: Gauge, reading: Reading, scrapes: Mapping[Labels, Scrapes], moments: Times
) -> tuple[dict[int, str], dict[int, int]]:
    """Say at which moments a series has a part in the value that a scrape did not show.

    And how many of these are none of the reading's: their target shows them no longer.
    """
    series = reading.series[gauge.selector]
    shown_at = unseen_samples.shown_by(series)
    of_target = Counter(each.target for each in series)
    doubted: dict[int, str] = {}
    vanished: Counter[int] = Counter()
    for each in series:
        seen = scrapes.get(each.target)
        lost = unseen_samples.hidden(each, seen, shown_at[each.target], reading.since)
        if seen is not None and lost.size:
            reason = f"a scrape of {show(each.target)} shows no {show(each.labels)}"
            doubted |= dict.fromkeys(_touched(gauge, seen, lost, moments), reason)
    for target, last in reading.last_shown[gauge.selector].items():
        if target in scrapes:
            seen = scrapes[target]
            lost = unseen_samples.vanished(last, seen, shown_at.get(target, no_times()), no_times())
            reason = f"{show(target)} no longer shows {gauge.selector}"
            touched = _touched(gauge, seen, lost, moments)
            doubted |= dict.fromkeys(touched, reason)
            vanished.update(dict.fromkeys(touched, max(0, last.series - of_target[target])))
    return doubted, vanished


def _touched(gauge: Gauge, seen: Scrapes, lost: Times, moments: Times) -> list[int]:
    """Select the moments whose value looks back on one of the ``lost`` scrapes."""
    newest = np.searchsorted(lost, moments, side="right")
    # Without a range the newest scrape counts; a range lacks the samples of every one.
    since_then = moments - (gauge.range_ms or HORIZON)
    if not gauge.range_ms and seen.good.size:
        good = np.searchsorted(seen.good, moments, side="right")
        since_then = np.maximum(since_then, seen.good[np.maximum(good - 1, 0)] - 1)
    touched: list[int] = moments[newest > np.searchsorted(lost, since_then, side="right")].tolist()
    return touched


def _lacking(
    series: Sequence[Series], scrapes: Mapping[Labels, Scrapes], sizes: Mapping[Labels, int]
) -> list[tuple[Times, Times]]:
    """List by target the times of its failed scrapes, and how many series each of them does not show."""
    by_target: dict[Labels, list[Series]] = defaultdict(list)
    for each in series:
        by_target[each.target].append(each)
    return [
        np.unique(
            unseen_samples.of_failed(seen, by_target.get(target, ()), sizes[target]), return_counts=True
        )
        for target, seen in scrapes.items()
        if seen.bad.size
    ]


def _doubt(gauge: Gauge, scrapes: Mapping[Labels, Scrapes], at: int) -> str | None:
    """Say which target may lack in the value at a moment; None: none does."""
    back = gauge.range_ms or HORIZON
    tried = not scrapes
    for target, seen in scrapes.items():
        if _between_scrapes(seen, at - back, at):
            return f"{show(target)} was not scraped"
        bad = int(np.searchsorted(seen.bad, at, side="right"))
        good = int(np.searchsorted(seen.good, at, side="right"))
        failed = int(seen.bad[bad - 1]) if bad else None
        well = int(seen.good[good - 1]) if good else None
        tried = tried or max(failed or 0, well or 0) > at - back
        if failed is None or failed <= at - back:
            continue
        # Without a range the newest scrape counts; a range lacks the samples of every one that failed.
        if gauge.range_ms or well is None or well < failed:
            return f"{show(target)} cannot be scraped"
    return None if tried else "nothing was scraped"


def _between_scrapes(scrapes: Scrapes, after: int, until: int) -> bool:
    """Tell whether nobody tried from ``after`` to ``until``, though somebody did before and afterwards."""
    tried = np.sort(np.concatenate((scrapes.good, scrapes.bad)))
    low, high = np.searchsorted(tried, [after, until], side="right").tolist()
    return bool(
        low == high and 0 < low < tried.size and tried[low - 1] > after - VIEW and tried[low] <= until + VIEW
    )


def _value(gauge: Gauge, series: Series, scrapes: Scrapes | None, at: int) -> float | None:
    """Compute the value of one series at a moment; None: it has none."""
    low, high = np.searchsorted(series.times, [at - (gauge.range_ms or HORIZON), at], side="right")
    if high <= low:
        return None
    if gauge.over is not None:
        return _FUNCTIONS[gauge.over](series.gauge_values[low:high])
    newest = int(series.times[high - 1])
    if scrapes is not None:
        good = scrapes.good
        # A good scrape that does not show it has ended it.
        later = int(np.searchsorted(good, at, side="right") - np.searchsorted(good, newest, side="right"))
        if later > 0:
            return None
    return float(series.gauge_values[high - 1])
