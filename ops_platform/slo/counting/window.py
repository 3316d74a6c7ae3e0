"""Good and all events of an objective in windows of time, with the evidence of their completeness."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np

from ops_platform.slo.bounds import Bounds
from ops_platform.slo.counting import counter_deltas, counter_falls, event_bounds
from ops_platform.slo.counting.range_query import milliseconds, moment
from ops_platform.slo.counting.reader import Reading
from ops_platform.slo.counting.samples import Labels, Series, Times, fingerprint, no_times, show
from ops_platform.slo.counting.scrapes import (
    HORIZON,
    NEVER,
    VIEW,
    Scrapes,
    Unknown,
    forgotten,
    gaps,
    merged,
    of_kind,
    touching,
)
from ops_platform.slo.counting.targets import in_scope
from ops_platform.slo.objectives import AnyIndicator, Indicator, Selector

SURROUNDINGS = timedelta(milliseconds=VIEW)
"""The time that must be read before and after the windows to be counted."""
REASON_LENGTH = 300
RULES = "8"
"""Version of the counting rules, part of every fingerprint.

It changes with these modules, so that a count by new rules is not taken for one from fewer samples.
"""


@dataclass(frozen=True, slots=True)
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
    """Counts without the excluded time; None: not counted yet, or unknown."""
    bounds: Bounds | None = None
    """Least and most events of a window that is not known; None: it is known, or nothing bounds it."""
    adjusted_bounds: Bounds | None = None
    """The same without the excluded time."""

    @property
    def state(self) -> str:
        """``ok``, ``no_data`` (nothing happened), ``bounded`` or ``source_missing``."""
        if self.total is None:
            return "source_missing" if self.bounds is None else "bounded"
        return "ok" if self.total else "no_data"

    @property
    def bad(self) -> int | None:
        """Total minus good; None when unknown."""
        return None if self.total is None or self.good is None else self.total - self.good


def count(
    indicator: Indicator,
    reading: Reading,
    bounds: Sequence[datetime],
    *,
    with_evidence: bool = True,
    ahead: int = VIEW,
) -> list[WindowCount]:
    """Count the windows between ``bounds``, which ``reading`` must surround by SURROUNDINGS.

    Without evidence the windows have no fingerprint and no number of scrapes. With less than VIEW, in
    milliseconds, read ``ahead`` of the last window, what makes it unknown may show only later.
    """
    edges = np.array([milliseconds(bound) for bound in bounds], np.int64)
    if edges[0] - VIEW < reading.since or edges[-1] + ahead > reading.until:
        raise AssertionError("windows are counted from what lies around them too")
    scrapes = relevant_scrapes(reading, indicator)
    shown = {selector: _shown(reading.series[selector]) for selector in indicator.selectors}
    scrape_times = np.unique(
        np.concatenate([no_times(), *(times for seen in scrapes.values() for times in (seen.good, seen.bad))])
    )
    resets, doubted = _resets(reading, indicator, scrapes)
    lines = {
        selector: counter_deltas.timeline(
            reading.series[selector], scrapes, resets, scrape_times, reading.since, reading.until, doubted
        )
        for selector in indicator.selectors
    }
    # The most telling reason comes first.
    unknown = [
        *(stretch for selector in indicator.selectors for stretch in reading.doubts[selector]),
        *(stretch for target in scrapes for stretch in reading.targets.differing.get(target, ())),
        *(stretch for line in lines.values() for stretch in line.unknown),
        *missing_series(indicator, reading),
        *(
            stretch
            for selector, by_target in shown.items()
            for target, times in by_target.items()
            if target in scrapes
            for stretch in forgotten(target, scrapes[target], times, str(selector))
        ),
    ]
    events = {selector: line.events(edges) for selector, line in lines.items()}
    resets_in = lines[indicator.total].resets_in(edges)
    interval = interval_of(list(scrapes.values()))
    windows = []
    for number in range(len(edges) - 1):
        start, end = int(edges[number]), int(edges[number + 1])
        total = int(events[indicator.total][number])
        if indicator.bad is not None:
            good = total - int(events[indicator.bad][number])
        else:
            good = int(events[_good_selector(indicator)][number])
        reason = _reason(unknown, start, end)
        within = (
            None if reason is None else event_bounds.bound(indicator, lines, unknown, scrapes, start, end)
        )
        if reason is None and not 0 <= good <= total:
            reason = f"{total - good} of {total} events would be bad: are good or bad not among all of them?"
        expected, seen = (
            completeness(list(scrapes.values()), interval, start, end) if with_evidence else (0, 0)
        )
        windows.append(
            WindowCount(
                start=moment(start),
                seconds=(end - start) // 1000,
                good=None if reason else good,
                total=None if reason else total,
                reason=reason,
                fingerprint=fingerprint_of(indicator, reading, scrapes, start, end) if with_evidence else "",
                scrapes_expected=expected,
                scrapes_seen=seen,
                resets=int(resets_in[number]),
                bounds=within,
            )
        )
    return windows


def _resets(
    reading: Reading, indicator: Indicator, scrapes: Mapping[Labels, Scrapes]
) -> tuple[dict[Labels, Times], dict[Labels, Times]]:
    """Collect by target when any of the indicator's counters was reset, and may have been."""
    by_target: dict[Labels, list[Series]] = defaultdict(list)
    for selector in indicator.selectors:
        for counter in reading.series[selector]:
            by_target[counter.target].append(counter)
    resets, doubted = {}, {}
    for target, series in by_target.items():
        seen = scrapes.get(target, Scrapes(no_times()))
        doubted[target] = counter_falls.doubted_times(series, seen)
        resets[target] = np.setdiff1d(counter_falls.reset_times(series, seen), doubted[target])
    return resets, doubted


def _shown(series: Iterable[Series]) -> dict[Labels, Times]:
    """Collect by target when it showed any of these series."""
    by_target: dict[Labels, list[Times]] = defaultdict(list)
    for counter in series:
        by_target[counter.target].append(counter.times)
    return {target: np.unique(np.concatenate(times)) for target, times in by_target.items()}


def _good_selector(indicator: Indicator) -> Selector:
    assert indicator.good is not None  # noqa: S101 - one of the two is given
    return indicator.good


def missing_series(indicator: AnyIndicator, reading: Reading) -> list[Unknown]:
    """Declare unknown where series are missing: all of the total, or a bucket of an instance."""
    total = reading.series[indicator.total]
    times = np.unique(np.concatenate([no_times(), *(counter.times for counter in total)]))
    stretches = [
        Unknown(after, until, f"there is no series of {indicator.total}", "absent")
        for after, until in gaps(times, reading.since, reading.until)
    ]
    for selector in indicator.selectors:
        if selector.bound is not None:
            stretches += _missing_buckets(selector, reading.series[selector], total)
    return stretches


def _missing_buckets(selector: Selector, buckets: Sequence[Series], total: Sequence[Series]) -> list[Unknown]:
    """Declare unknown where a scrape of an instance lacks the bucket: its good events are not seen."""
    bucket_times: dict[Labels, Times] = {}
    for bucket in buckets:
        # In one spelling or, after an update, in another.
        group = _labels_but_bound(bucket)
        bucket_times[group] = np.union1d(bucket_times.get(group, no_times()), bucket.times)
    stretches = []
    for counter in total:
        # No bucket is required of errors, which are not good however fast they are.
        if not all(matcher.fits(counter.label(matcher.name)) for matcher in selector.matchers):
            continue
        missing_times = np.setdiff1d(counter.times, bucket_times.get(_labels_but_bound(counter), no_times()))
        before = np.concatenate(([NEVER], missing_times[:-1])) if missing_times.size else missing_times
        stretches += of_kind(
            merged(
                np.where(missing_times - before <= HORIZON, before, missing_times - 1),
                missing_times,
                f"there is no bucket {selector} at {show(counter.target)}",
            ),
            "bucket",
        )
    return stretches


def _reason(unknown: Iterable[Unknown], start: int, end: int) -> str | None:
    """Say why the window's counts cannot be known; None: they are known."""
    stretch = touching(unknown, start, end)
    if stretch is None:
        return None
    since, until = moment(max(stretch.after, start)), moment(min(stretch.until, end))
    return f"{since:%H:%M:%S} to {until:%H:%M:%S} UTC: {stretch.reason}"[:REASON_LENGTH]


def _labels_but_bound(series: Series) -> Labels:
    return tuple(pair for pair in series.labels if pair[0] not in ("__name__", "le"))


def relevant_scrapes(reading: Reading, indicator: AnyIndicator) -> dict[Labels, Scrapes]:
    """Select the targets that could have such series, without failures before their job had any.

    Those are of a job that has some, and their labels fit the matchers: a failing target of another
    namespace or cluster hides no events of this one. Where series of the job override a label of their
    target, it says nothing of the others either.
    """
    showing = {counter.target for selector in indicator.selectors for counter in reading.series[selector]}
    known: dict[str, int] = {}
    for selector in indicator.selectors:
        for job, since in reading.jobs[selector].items():
            known[job] = min(known.get(job, since), since)
    overridden: dict[str, frozenset[str]] = {}
    scrapes = {}
    for target, target_scrapes in reading.targets.scrapes.items():
        job = dict(target).get("job", "")
        if job not in known:
            continue
        could = target in showing or any(in_scope(selector, target) for selector in indicator.selectors)
        if not could:
            if job not in overridden:
                overridden[job] = _overridden(indicator, reading, job)
            could = any(in_scope(selector, target, overridden[job]) for selector in indicator.selectors)
        if could:
            scrapes[target] = replace(
                target_scrapes, bad=target_scrapes.bad[target_scrapes.bad >= known[job]]
            )
    return scrapes


def _overridden(indicator: AnyIndicator, reading: Reading, job: str) -> frozenset[str]:
    """Name the labels of a job's targets of which its series have values of their own."""
    names = frozenset[str]()
    for selector in indicator.selectors:
        names |= reading.overridden.get(selector, {}).get(job, frozenset())
        for counter in reading.series[selector]:
            if counter.label("job") == job:
                names |= reading.targets.overridden(counter.labels)
    return names


def interval_of(scrapes: Sequence[Scrapes]) -> int:
    """Compute the median time between scrapes: milliseconds, in whole seconds."""
    steps = np.concatenate([no_times(), *(np.diff(target_scrapes.good) for target_scrapes in scrapes)])
    return round(float(np.median(steps)) / 1000) * 1000 if steps.size else 0


def completeness(scrapes: Sequence[Scrapes], interval: int, start: int, end: int) -> tuple[int, int]:
    """Count the scrapes to be expected of the targets that were there, and the good ones."""
    expected = seen = 0
    for target_scrapes in scrapes:
        times = np.sort(np.concatenate([target_scrapes.good, target_scrapes.bad]))
        low, high = np.searchsorted(target_scrapes.good, [start, end], side="right")
        around = np.searchsorted(times, [start - HORIZON, end + HORIZON], side="right")
        if not interval or around[1] == around[0]:
            continue
        first, last = int(times[around[0]]), int(times[around[1] - 1])
        expected += max(0, round((min(end, last) - max(start, first - interval)) / interval))
        seen += int(high - low)
    return expected, seen


def fingerprint_of(
    indicator: AnyIndicator, reading: Reading, scrapes: Mapping[Labels, Scrapes], start: int, end: int
) -> str:
    """Hash the samples and scrapes in and around the window, the rules and the indicator."""
    digest = hashlib.sha256(f"{RULES} {indicator.version}".encode())
    after, until = start - VIEW, end + VIEW
    for selector in indicator.selectors:
        digest.update(fingerprint(reading.series[selector], after, until).encode())
    for target, target_scrapes in sorted(scrapes.items(), key=lambda item: item[0]):
        for times, values in (
            (target_scrapes.good, target_scrapes.good),
            (target_scrapes.bad, target_scrapes.bad),
            (target_scrapes.reported_at, target_scrapes.reported_starts),
        ):
            low, high = np.searchsorted(times, [after, until], side="right")
            if high > low:
                digest.update(repr(target).encode())
                digest.update(times[low:high].astype("<i8").tobytes())
                digest.update(values[low:high].astype("<i8").tobytes())
    return digest.hexdigest()[:32]
