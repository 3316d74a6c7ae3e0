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
from ops_platform.slo.counting.kinds import gauge_moments, unseen_samples
from ops_platform.slo.counting.kinds.scores import Scores
from ops_platform.slo.counting.range_query import milliseconds, moment
from ops_platform.slo.counting.reader import Reading
from ops_platform.slo.counting.samples import Labels, Mask, Series, Times, Values, no_times, show
from ops_platform.slo.counting.scrapes import VIEW, Scrapes, Unknown, gaps
from ops_platform.slo.counting.window import REASON_LENGTH, WindowCount
from ops_platform.slo.objectives import PARTS, GaugeIndicator


def count(
    indicator: GaugeIndicator,
    reading: Reading,
    bounds: Sequence[datetime],
    whole: Sequence[datetime] | None = None,
) -> list[tuple[Scores, WindowCount]]:
    """Count the samples in the windows between ``bounds``, each with the scores that it is made of.

    ``reading`` must surround the windows by ``window.SURROUNDINGS``; more of it than that changes nothing.
    ``whole``: the bounds of the windows that these are parts of. A part is seen as its window is.
    """
    selector = indicator.gauge.selector
    relevant = window.relevant_scrapes(reading, indicator)
    known_since = unseen_samples.known_since(reading, selector)
    # Replicas that are none, or processes that nobody can tell apart: no sample is sure.
    doubts = [
        *reading.doubts[selector],
        *(stretch for target in relevant for stretch in reading.targets.differing.get(target, ())),
    ]
    edges = [milliseconds(bound) for bound in (whole or bounds)]
    counts = []
    for first, last in itertools.pairwise(bounds):
        start, end = milliseconds(first), milliseconds(last)
        since = max(edge for edge in edges if edge <= start) - VIEW
        until = min(edge for edge in edges if edge >= end) + VIEW
        series = tuple(_between(gauge, since, until) for gauge in reading.series[selector])
        near = replace(
            reading,
            since=since,
            until=until,
            series={selector: tuple(gauge for gauge in series if gauge.times.size)},
        )
        scrapes = {target: _scrapes_between(each, since, until) for target, each in relevant.items()}
        sizes = unseen_samples.sizes(known_since, near.series[selector], scrapes, until)
        near = replace(near, last_shown={selector: unseen_samples.last_shown(reading, selector, since)})
        if indicator.gauge.computed:
            scores = gauge_moments.scores(indicator, near, scrapes, sizes, score)
        else:
            scores = sample_scores(indicator, near, scrapes, sizes)
        scores = replace(scores, missing=[*doubts, *scores.missing])
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
    return replace(
        gauge,
        times=gauge.times[low:high],
        values=gauge.values[low:high],
        known=gauge.known or bool(low > 0),
    )


def _scrapes_between(scrapes: Scrapes, after: int, until: int) -> Scrapes:
    def cut(times: Times, values: Times) -> Times:
        return values[np.searchsorted(times, after, "right") : np.searchsorted(times, until, "right")]

    return Scrapes(
        cut(scrapes.good, scrapes.good),
        cut(scrapes.bad, scrapes.bad),
        cut(scrapes.reported_at, scrapes.reported_at),
        cut(scrapes.reported_at, scrapes.reported_starts),
    )


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


def sample_scores(
    indicator: GaugeIndicator,
    reading: Reading,
    scrapes: Mapping[Labels, Scrapes],
    sizes: Mapping[Labels, int],
) -> Scores:
    """Score every sample of every series. ``sizes``: how many series each target could show."""
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
    missing = window.missing_series(indicator, reading)
    gone = [(stretch.after, stretch.until) for stretch in missing]
    shown_at = unseen_samples.shown_by(series)
    lost_at: dict[Labels, Times] = {}
    for gauge in series:
        seen = scrapes.get(gauge.target)
        lost = lost_at[gauge.labels] = unseen_samples.hidden(
            gauge, seen, shown_at[gauge.target], reading.since
        )
        stretches = away if seen is not None else gaps(gauge.times, *_span(gauge, reading))
        for after, until in stretches:
            if any(low <= after and until <= high for low, high in gone):
                continue
            lost = np.concatenate((lost, unseen_samples.within(gauge, seen, after, until)))
            reasons.append(Unknown(after, until, f"there are no samples of {show(gauge.labels)}"))
        reasons += _at(lost, f"a scrape of {show(gauge.target)} shows no {show(gauge.labels)}")
        unseen.append(lost)
    for target, last in reading.last_shown[indicator.gauge.selector].items():
        if target in scrapes:
            own = np.concatenate([no_times(), *(lost_at[each.labels] for each in by_target.get(target, []))])
            without = unseen_samples.vanished(
                last, scrapes[target], shown_at.get(target, no_times()), np.sort(own)
            )
            reasons += _at(np.unique(without), f"{show(target)} no longer shows {indicator.gauge.selector}")
            unseen.append(without)
    for target, target_scrapes in scrapes.items():
        size = sizes.get(target, 0)
        unseen.append(unseen_samples.of_failed(target_scrapes, by_target.get(target, []), size))
        reasons += _at(target_scrapes.bad, f"{show(target)} cannot be scraped")
    order = np.argsort(every := np.concatenate(times), kind="stable")
    for stretch in missing:
        # Near its edges the samples are counted that there would have been; further away nobody can tell.
        for gauge in series:
            if unseen_samples.alive(gauge, np.array([stretch.after, stretch.until])).any():
                seen = scrapes.get(gauge.target)
                unseen.append(unseen_samples.within(gauge, seen, stretch.after, stretch.until))
        reasons.append(stretch)
    return Scores(
        every[order],
        np.concatenate(good)[order],
        parts,
        np.sort(np.concatenate(unseen)),
        reasons,
        gauge_moments.far(missing, reading),
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
