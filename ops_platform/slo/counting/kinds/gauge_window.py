"""Samples of gauges in windows of time, good or not by their value, and how many of them nobody saw.

Every scrape takes a sample of each series that its target shows. One that failed took none, and so did one
that does not show a series which is there before and after: such a sample may have been good or bad.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from ops_platform.slo.counting import window
from ops_platform.slo.counting.kinds import gauge_moments
from ops_platform.slo.counting.kinds.scores import Scores
from ops_platform.slo.counting.range_query import milliseconds, moment
from ops_platform.slo.counting.reader import Reading
from ops_platform.slo.counting.samples import Labels, Mask, Series, Times, Values, no_times, show
from ops_platform.slo.counting.scrapes import HORIZON, VIEW, Scrapes, Unknown, gaps
from ops_platform.slo.counting.window import REASON_LENGTH, WindowCount
from ops_platform.slo.objectives import PARTS, GaugeIndicator

USUAL_INTERVAL = 60_000
"""Milliseconds between samples of a series that shows only one nearby."""


def count(
    indicator: GaugeIndicator, reading: Reading, bounds: Sequence[datetime]
) -> list[tuple[Scores, WindowCount]]:
    """Count the samples in the windows between ``bounds``, each with the scores that it is made of.

    ``reading`` must surround the windows by ``window.SURROUNDINGS``; more of it than that changes nothing.
    """
    selector = indicator.gauge.selector
    relevant = window.relevant_scrapes(reading, indicator)
    counts = []
    for first, last in itertools.pairwise(bounds):
        start, end = milliseconds(first), milliseconds(last)
        since, until = start - VIEW, end + VIEW
        series = tuple(_between(gauge, since, until) for gauge in reading.series[selector])
        near = replace(
            reading,
            since=since,
            until=until,
            series={selector: tuple(gauge for gauge in series if gauge.times.size)},
        )
        scrapes = {target: _scrapes_between(each, since, until) for target, each in relevant.items()}
        if indicator.gauge.computed:
            scores = gauge_moments.scores(indicator, near, scrapes, score)
        else:
            scores = sample_scores(indicator, near, scrapes)
        reason, within = scores.reason(start, end), scores.bounds(start, end)
        known = reason is None
        good, total = scores.known(start, end)
        tried = list(scrapes.values())
        expected, seen = window.completeness(tried, window.interval_of(tried), start, end)
        counts.append(
            (
                scores,
                WindowCount(
                    start=moment(start),
                    seconds=(end - start) // 1000,
                    good=good if known else None,
                    total=total if known else None,
                    reason=None if reason is None else reason[:REASON_LENGTH],
                    fingerprint=window.fingerprint_of(indicator, near, scrapes, start, end),
                    scrapes_expected=expected,
                    scrapes_seen=seen,
                    resets=0,
                    bounds=None if known else within,
                ),
            )
        )
    return counts


def _between(gauge: Series, after: int, until: int) -> Series:
    low, high = np.searchsorted(gauge.times, [after, until], side="right")
    return replace(gauge, times=gauge.times[low:high], values=gauge.values[low:high])


def _scrapes_between(scrapes: Scrapes, after: int, until: int) -> Scrapes:
    cut = [
        times[np.searchsorted(times, after, "right") : np.searchsorted(times, until, "right")]
        for times in (scrapes.good, scrapes.bad)
    ]
    return Scrapes(cut[0], cut[1])


def score(indicator: GaugeIndicator, values: NDArray[np.float64]) -> tuple[Values, Mask]:
    """Score values, and tell which have a score: what is no number, or no share, has none."""
    if indicator.operator is None:
        has = np.isfinite(values) & (values >= 0) & (values <= 1)
        shares = np.where(has, 1 - values if indicator.inverted else values, 0)
        # Rounded down; the little more is for the error of floats, which would take a millionth of 0.64.
        return np.floor(shares * PARTS + 1e-6).astype(np.int64), has
    compare = {"lt": np.less, "lte": np.less_equal, "gt": np.greater, "gte": np.greater_equal}
    good = compare[indicator.operator](values, float(indicator.value))
    return good.astype(np.int64), ~np.isnan(values)


def sample_scores(indicator: GaugeIndicator, reading: Reading, scrapes: Mapping[Labels, Scrapes]) -> Scores:
    """Score every sample of every series."""
    series = reading.series[indicator.gauge.selector]
    parts = PARTS if indicator.operator is None else 1
    times, good, unseen = [no_times()], [no_times()], [no_times()]
    reasons: list[Unknown] = []
    by_target: dict[Labels, list[Series]] = defaultdict(list)
    for gauge in series:
        by_target[gauge.target].append(gauge)
        scored, has = score(indicator, gauge.gauge_values)
        times.append(gauge.times[has])
        good.append(scored[has])
        unseen.append(gauge.times[~has])
        reasons += _at(gauge.times[~has], f"{show(gauge.labels)} is no {'share' if parts > 1 else 'number'}")
    attempts = np.unique(np.concatenate([no_times(), *(_tried(each) for each in scrapes.values())]))
    # Nobody scraped anything: Prometheus was away.
    away = gaps(attempts, reading.since, reading.until) if scrapes else []
    gone = [(stretch.after, stretch.until) for stretch in window.missing_series(indicator, reading)]
    for gauge in series:
        seen = scrapes.get(gauge.target)
        lost = _hidden(gauge, seen)
        stretches = away if seen is not None else gaps(gauge.times, *_span(gauge, reading))
        for after, until in stretches:
            if any(low <= after and until <= high for low, high in gone):
                continue
            lost = np.concatenate((lost, _within(gauge, seen, after, until)))
            reasons.append(Unknown(after, until, f"there are no samples of {show(gauge.labels)}"))
        reasons += _at(lost, f"a scrape of {show(gauge.target)} shows no {show(gauge.labels)}")
        unseen.append(lost)
    for target, target_scrapes in scrapes.items():
        shown = by_target.get(target, [])
        failed = target_scrapes.bad
        for gauge in shown:
            unseen.append(failed[_alive(gauge, failed)])
        if not shown:
            # It could show some, as others of its job do.
            unseen.append(failed)
        reasons += _at(failed, f"{show(target)} cannot be scraped")
    order = np.argsort(every := np.concatenate(times), kind="stable")
    missing = []
    for stretch in window.missing_series(indicator, reading):
        # Near its edges the samples are counted that there would have been; further away nobody can tell.
        near = [gauge for gauge in series if _alive(gauge, np.array([stretch.after, stretch.until])).any()]
        for gauge in near:
            seen = scrapes.get(gauge.target)
            unseen.append(_within(gauge, seen, stretch.after, stretch.until))
        reasons.append(stretch)
        after = stretch.after + (VIEW if stretch.after > reading.since else 0)
        until = stretch.until - (VIEW if stretch.until < reading.until else 0)
        if after < until:
            missing.append(replace(stretch, after=after, until=until))
    return Scores(
        every[order],
        np.concatenate(good)[order],
        parts,
        np.sort(np.concatenate(unseen)),
        reasons,
        missing,
    )


def _at(times: Times, reason: str) -> list[Unknown]:
    return [Unknown(time - 1, time, reason) for time in times.tolist()]


def _tried(scrapes: Scrapes) -> Times:
    return np.concatenate((scrapes.good, scrapes.bad))


def _span(gauge: Series, reading: Reading) -> tuple[int, int]:
    """Name the time in which a series without a target is expected: from VIEW before to VIEW after it."""
    if not gauge.times.size:
        return reading.since, reading.since
    return (
        max(reading.since, int(gauge.times[0]) - VIEW),
        min(reading.until, int(gauge.times[-1]) + VIEW),
    )


def _alive(gauge: Series, times: Times) -> Mask:
    """Tell at which ``times`` a series is there: VIEW before or after a sample of it."""
    before = np.concatenate(([-(2**62)], gauge.times))[np.searchsorted(gauge.times, times, side="left")]
    after = np.concatenate((gauge.times, [2**62]))[np.searchsorted(gauge.times, times, side="right")]
    return np.asarray((times - before <= VIEW) | (after - times <= VIEW))


def _hidden(gauge: Series, scrapes: Scrapes | None) -> Times:
    """Find the good scrapes that do not show a series which is there within HORIZON on both sides."""
    if scrapes is None or not gauge.times.size:
        return no_times()
    without = np.setdiff1d(scrapes.good, gauge.times)
    before = np.concatenate(([-(2**62)], gauge.times))[np.searchsorted(gauge.times, without, side="left")]
    after = np.concatenate((gauge.times, [2**62]))[np.searchsorted(gauge.times, without, side="right")]
    return without[(without - before <= HORIZON) & (after - without <= HORIZON)]


def _within(gauge: Series, scrapes: Scrapes | None, after: int, until: int) -> Times:
    """Name the times in (``after``, ``until``) at which a series would have had samples."""
    near = gauge.times[(gauge.times > after - VIEW) & (gauge.times < until + VIEW)]
    if not near.size:
        return no_times()
    steps = np.diff(near)
    usual = int(steps.min()) if steps.size else USUAL_INTERVAL
    times = np.arange(after + usual, until, max(1000, usual), dtype=np.int64)
    if scrapes is None or not scrapes.bad.size:
        return times
    # Those that failed are known one by one.
    place = np.searchsorted(scrapes.bad, times)
    before = np.concatenate(([-(2**62)], scrapes.bad))[place]
    after_it = np.concatenate((scrapes.bad, [2**62]))[place]
    return times[(times - before >= usual) & (after_it - times >= usual)]
