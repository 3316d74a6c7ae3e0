"""The values of a computed gauge, such as ``sum(min_over_time(lag[2m]))``, at every full minute.

A value is known where every target that could have a part in it was scraped well in the time that it looks
back on, and shows something.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from ops_platform.slo.counting.kinds.scores import Scores
from ops_platform.slo.counting.reader import Reading
from ops_platform.slo.counting.samples import Labels, Mask, Series, Values, show
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
    indicator: GaugeIndicator, reading: Reading, scrapes: Mapping[Labels, Scrapes], score: Scorer
) -> Scores:
    """Score the gauge at every full minute of the reading; one score for each series without an aggregate."""
    gauge = indicator.gauge
    series = reading.series[gauge.selector]
    first = -(-(reading.since + HORIZON) // MINUTE)
    moments = np.arange(first, reading.until // MINUTE + 1, dtype=np.int64) * MINUTE
    times: list[int] = []
    values: list[float] = []
    unseen: list[int] = []
    reasons: list[Unknown] = []
    for at in moments.tolist():
        doubt = _doubt(gauge, scrapes, at)
        found = [
            value
            for each in series
            if (value := _value(gauge, each, scrapes.get(each.target), at)) is not None
        ]
        if doubt is None and not found:
            doubt = f"there is no series of {gauge.selector}"
        if doubt is not None:
            unseen += [at] * (1 if gauge.aggregate is not None else max(1, len(found)))
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
    return Scores(at_times[has], scored[has], 1, lost, reasons, ())


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
