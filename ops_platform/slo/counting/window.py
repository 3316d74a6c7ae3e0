"""Good and all events of an objective in windows of time, with what their completeness is known by."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np

from ops_platform.slo.counting import counter_deltas as counters
from ops_platform.slo.counting import counter_starts as births
from ops_platform.slo.counting.range_query import milliseconds, moment
from ops_platform.slo.counting.reader import Reading
from ops_platform.slo.counting.samples import Labels, Series, Times, fingerprint, none, show
from ops_platform.slo.counting.scrapes import HORIZON, NEVER, VIEW, Scrapes, Unknown, gaps, merged, touching
from ops_platform.slo.objectives import Indicator, Selector

SURROUNDINGS = timedelta(milliseconds=VIEW)
"""What must be read before and behind the windows to be counted."""
REASON_LENGTH = 300
RULES = "2"
"""Of what is counted how: changes when these modules do, so that what they say anew is not taken for less."""


@dataclass(frozen=True)
class WindowCount:
    """Events seen in (``start``, ``start`` + ``seconds``].

    ``good`` and ``total`` are None when they cannot be known; ``reason`` says why. ``fingerprint``
    changes with any sample or scrape within VIEW of it.
    """

    start: datetime
    seconds: int
    good: int | None
    total: int | None
    reason: str | None
    fingerprint: str
    scrapes_expected: int
    scrapes_seen: int
    resets: int
    adjusted_good: int | None = None
    adjusted_total: int | None = None
    """Without what is excluded; None: not looked at, or unknown."""

    @property
    def state(self) -> str:
        """``ok``, ``no_data`` (nothing happened) or ``source_missing``."""
        if self.total is None:
            return "source_missing"
        return "ok" if self.total else "no_data"

    @property
    def bad(self) -> int | None:
        return None if self.total is None or self.good is None else self.total - self.good


def count(indicator: Indicator, reading: Reading, bounds: Sequence[datetime]) -> list[WindowCount]:
    """The windows between ``bounds``, which ``reading`` must surround by SURROUNDINGS."""
    edges = np.array([milliseconds(one) for one in bounds], np.int64)
    if edges[0] - VIEW < reading.since or edges[-1] + VIEW > reading.until:
        raise AssertionError("windows are counted from what lies around them too")
    scrapes = _of_jobs(reading, indicator)
    pulse = np.unique(np.concatenate([none(), *(t for one in scrapes.values() for t in (one.good, one.bad))]))
    fell = _fell(reading, indicator)
    lines = {
        one: counters.timeline(reading.series[one], scrapes, fell, pulse, reading.since, reading.until)
        for one in indicator.selectors
    }
    # What says most comes first.
    lost = [
        *(one for selector in indicator.selectors for one in reading.doubts[selector]),
        *(one for target in scrapes for one in reading.targets.doubled.get(target, ())),
        *(one for line in lines.values() for one in line.unknown),
        *_unknown(indicator, reading),
    ]
    events = {one: line.events(edges) for one, line in lines.items()}
    resets = lines[indicator.total].resets_in(edges)
    interval = _interval(list(scrapes.values()))
    found = []
    for number in range(len(edges) - 1):
        start, end = int(edges[number]), int(edges[number + 1])
        total = int(events[indicator.total][number])
        if indicator.bad is not None:
            good = total - int(events[indicator.bad][number])
        else:
            good = int(events[_good(indicator)][number])
        reason = _reason(lost, start, end)
        if reason is None and not 0 <= good <= total:
            reason = f"{total - good} of {total} events would be bad: are good or bad not among all of them?"
        expected, seen = _completeness(list(scrapes.values()), interval, start, end)
        found.append(
            WindowCount(
                start=moment(start),
                seconds=(end - start) // 1000,
                good=None if reason else good,
                total=None if reason else total,
                reason=reason,
                fingerprint=_fingerprint(indicator, reading, scrapes, start, end),
                scrapes_expected=expected,
                scrapes_seen=seen,
                resets=int(resets[number]),
            )
        )
    return found


def _fell(reading: Reading, indicator: Indicator) -> dict[Labels, Times]:
    """By target: when any of the indicator's counters began anew. Those of others decide nothing here."""
    by: dict[Labels, list[Series]] = defaultdict(list)
    for selector in indicator.selectors:
        for one in reading.series[selector]:
            by[one.target].append(one)
    return {target: births.falls(series) for target, series in by.items()}


def _good(indicator: Indicator) -> Selector:
    assert indicator.good is not None  # noqa: S101 - one of the two is given
    return indicator.good


def _unknown(indicator: Indicator, reading: Reading) -> list[Unknown]:
    """Where the series themselves are not all there."""
    total = reading.series[indicator.total]
    every = np.unique(np.concatenate([none(), *(one.times for one in total)]))
    found = [
        Unknown(after, until, f"there is no series of {indicator.total}")
        for after, until in gaps(every, reading.since, reading.until)
    ]
    for selector in indicator.selectors:
        if selector.bound is not None:
            found += _without_bucket(selector, reading.series[selector], total)
    return found


def _without_bucket(selector: Selector, buckets: Sequence[Series], total: Sequence[Series]) -> list[Unknown]:
    """Every instance must have the bucket in every scrape, or some of its good events are not seen."""
    of_group: dict[Labels, Times] = {}
    for bucket in buckets:
        # In one spelling, or after an update in another.
        group = _but_bound(bucket)
        of_group[group] = np.union1d(of_group.get(group, none()), bucket.times)
    found = []
    for one in total:
        # Of errors, which are not good however fast they are, no bucket is asked for.
        if not all(each.fits(one.label(each.name)) for each in selector.matchers):
            continue
        lacking = np.setdiff1d(one.times, of_group.get(_but_bound(one), none()))
        before = np.concatenate(([NEVER], lacking[:-1])) if lacking.size else lacking
        found += merged(
            np.where(lacking - before <= HORIZON, before, lacking - 1),
            lacking,
            f"there is no bucket {selector} at {show(one.target)}",
        )
    return found


def _reason(lost: Iterable[Unknown], start: int, end: int) -> str | None:
    """Why the window's counts cannot be known."""
    one = touching(lost, start, end)
    if one is None:
        return None
    since, until = moment(max(one.after, start)), moment(min(one.until, end))
    return f"{since:%H:%M:%S} to {until:%H:%M:%S} UTC: {one.reason}"[:REASON_LENGTH]


def _but_bound(one: Series) -> Labels:
    return tuple(pair for pair in one.labels if pair[0] not in ("__name__", "le"))


def _of_jobs(reading: Reading, indicator: Indicator) -> dict[Labels, Scrapes]:
    """Of the targets that could have such series; what failed in a job before it ever had one is no loss."""
    known: dict[str, int] = {}
    for selector in indicator.selectors:
        for job, since in reading.jobs[selector].items():
            known[job] = min(known.get(job, since), since)
    found = {}
    for target, seen in reading.targets.scrapes.items():
        job = dict(target).get("job", "")
        if job in known:
            found[target] = replace(seen, bad=seen.bad[seen.bad >= known[job]])
    return found


def _interval(scrapes: Sequence[Scrapes]) -> int:
    """Milliseconds between scrapes: the median, in whole seconds."""
    steps = np.concatenate([none(), *(np.diff(one.good) for one in scrapes)])
    return round(float(np.median(steps)) / 1000) * 1000 if steps.size else 0


def _completeness(scrapes: Sequence[Scrapes], interval: int, start: int, end: int) -> tuple[int, int]:
    """How many scrapes were to be expected of the targets that were there, and how many were good."""
    expected = seen = 0
    for one in scrapes:
        times = np.sort(np.concatenate([one.good, one.bad]))
        low, high = np.searchsorted(one.good, [start, end], side="right")
        near = np.searchsorted(times, [start - HORIZON, end + HORIZON], side="right")
        if not interval or near[1] == near[0]:
            continue
        first, last = int(times[near[0]]), int(times[near[1] - 1])
        expected += max(0, round((min(end, last) - max(start, first - interval)) / interval))
        seen += int(high - low)
    return expected, seen


def _fingerprint(
    indicator: Indicator, reading: Reading, scrapes: Mapping[Labels, Scrapes], start: int, end: int
) -> str:
    """Of the samples and scrapes in and around the window, and of what is counted."""
    digest = hashlib.sha256(f"{RULES} {indicator.version}".encode())
    after, until = start - VIEW, end + VIEW
    for selector in indicator.selectors:
        digest.update(fingerprint(reading.series[selector], after, until).encode())
    for target, seen in sorted(scrapes.items(), key=lambda item: item[0]):
        for times, values in ((seen.good, seen.good), (seen.bad, seen.bad), (seen.told, seen.started)):
            low, high = np.searchsorted(times, [after, until], side="right")
            if high > low:
                digest.update(repr(target).encode())
                digest.update(times[low:high].astype("<i8").tobytes())
                digest.update(values[low:high].astype("<i8").tobytes())
    return digest.hexdigest()[:32]
