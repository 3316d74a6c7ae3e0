"""Everything that objectives' windows are counted from, read from Prometheus in one go."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

import numpy as np

from ops_platform.clients.prometheus import Prometheus
from ops_platform.slo.counting import deduplication, lookback, range_query, targets
from ops_platform.slo.counting.lookback import LastShown
from ops_platform.slo.counting.range_query import milliseconds, times_of
from ops_platform.slo.counting.samples import Labels, Series, Times, no_times, show
from ops_platform.slo.counting.scrapes import FOREVER, HORIZON, NEVER, Scrapes, Unknown, around, overlapping
from ops_platform.slo.counting.targets import Targets
from ops_platform.slo.objectives import Selector

COUNTERS = ("counter", "histogram", "summary")


@dataclass(frozen=True)
class Reading:
    """The series of each selector in (``since``, ``until``], in milliseconds, and their targets."""

    since: int
    until: int
    series: Mapping[Selector, tuple[Series, ...]]
    doubts: Mapping[Selector, tuple[Unknown, ...]]
    """The times at which the stored samples cannot be counted."""
    jobs: Mapping[Selector, Mapping[str, int]]
    """The jobs that have such series, and from when on, in milliseconds."""
    targets: Targets
    """All targets of these jobs."""
    overridden: Mapping[Selector, Mapping[str, frozenset[str]]] = field(default_factory=dict)
    """By job, the labels of targets of which earlier series had values of their own."""
    formerly: Mapping[Selector, frozenset[Labels]] = field(default_factory=dict)
    """The earlier series of gauges whose targets fail or show none, by their labels."""
    last_shown: Mapping[Selector, Mapping[Labels, LastShown]] = field(default_factory=dict)
    """By target, when it last showed any of a gauge's series, where it shows none at the beginning."""


def read(
    source: Prometheus,
    selectors: Iterable[Selector],
    since: datetime,
    until: datetime,
    gauges: Iterable[Selector] = (),
) -> Reading:
    """Read all series of ``selectors``, which are counters, and of ``gauges``.

    Raises Unavailable when Prometheus is away or its answer may be partial.
    """
    counters = set(selectors := list(selectors))
    distinct = list(dict.fromkeys([*selectors, *gauges]))
    raw = {selector: range_query.read(source, selector.query, since, until) for selector in distinct}
    jobs = {
        selector: lookback.jobs_with(source, selector, since)
        | {dict(labels).get("job", "") for labels in raw[selector]}
        for selector in distinct
    }
    read_targets = targets.read(
        source, sorted({job for names in jobs.values() for job in names}), since, until
    )
    types: dict[str, frozenset[str]] = {}
    first_samples = {selector: _first_samples(raw[selector]) for selector in distinct}
    series: dict[Selector, tuple[Series, ...]] = {}
    doubts: dict[Selector, tuple[Unknown, ...]] = {}
    for selector in distinct:
        if selector not in counters:
            series[selector], doubts[selector] = _gauges(source, raw.pop(selector), read_targets, since)
            continue
        # Given away: of many series there is no room for both forms.
        parsed, flawed = _parsed(source, selector, raw.pop(selector), read_targets)
        series[selector] = _with_earlier(source, parsed, read_targets, since)
        gauge = _is_gauge(source, selector, types)
        doubts[selector] = (
            *([Unknown(milliseconds(since), milliseconds(until), gauge)] if gauge else []),
            *flawed,
            *deduplication.doubled(parsed),
        )
    jobs_since, overridden, formerly, last_shown = {}, {}, {}, {}
    for selector in distinct:
        first = first_samples[selector]
        # The index is asked only where the answer matters.
        failing = [
            target
            for target, scrapes in read_targets.scrapes.items()
            if (job := dict(target).get("job", "")) in jobs[selector]
            and (
                (scrapes.bad < first.get(job, FOREVER)).any()
                or (scrapes.bad.size and not (selector in counters and targets.in_scope(selector, target)))
            )
        ]
        silent = (
            [] if selector in counters else _silent(series[selector], jobs[selector], read_targets, since)
        )
        earlier = {
            job: lookback.series_of(source, selector, job, since)
            for job in sorted({dict(target).get("job", "") for target in (*failing, *silent)})
        }
        jobs_since[selector] = {
            job: NEVER if earlier.get(job) else first.get(job, FOREVER) for job in jobs[selector]
        }
        if selector not in counters:
            formerly[selector] = frozenset(labels for found in earlier.values() for labels in found)
            last_shown[selector] = _last_shown(
                source, selector, silent, formerly[selector], read_targets, since
            )
        overridden[selector] = {
            job: frozenset[str]().union(*(read_targets.overridden(labels, former) for labels in found))
            for job, found in earlier.items()
            for former in [lookback.targets_of(source, job, since)]
        }
    return Reading(
        milliseconds(since),
        milliseconds(until),
        series,
        doubts,
        jobs_since,
        read_targets,
        overridden,
        formerly,
        last_shown,
    )


def _silent(
    series: Sequence[Series], jobs: Collection[str], read_targets: Targets, since: datetime
) -> list[Labels]:
    """Select the targets of ``jobs`` that are scraped well, and show none of the series at the beginning."""
    soon = milliseconds(since) + HORIZON
    showing = {gauge.target for gauge in series if gauge.times.size and int(gauge.times[0]) <= soon}
    return [
        target
        for target, scrapes in read_targets.scrapes.items()
        if scrapes.good.size and dict(target).get("job", "") in jobs and target not in showing
    ]


def _last_shown(
    source: Prometheus,
    selector: Selector,
    silent: Sequence[Labels],
    formerly: Collection[Labels],
    read_targets: Targets,
    since: datetime,
) -> dict[Labels, LastShown]:
    """Read when the targets that are ``silent`` last showed a series, where they ever did."""
    found = {}
    for target in silent:
        own = {labels for labels in formerly if read_targets.target_of(labels) == target}
        shown = lookback.last_shown(source, selector, target, own, since) if own else None
        if shown is not None:
            found[target] = shown
    return found


def _gauges(
    source: Prometheus, raw: range_query.Raw, read_targets: Targets, since: datetime
) -> tuple[tuple[Series, ...], tuple[Unknown, ...]]:
    """Keep every sample of gauges, of the replica that counts: another one's are taken at other moments.

    Also says when there were samples of what is called a replica, and is none.
    """
    names = frozenset(source.replica_labels)
    strange = deduplication.strangers(raw, names, read_targets.turns, read_targets.target_of)
    chosen = deduplication.merge_replicas(raw, names, read_targets.turns, read_targets.target_of)
    series = [
        replace(Series.of_gauge(labels, samples), scraped=read_targets.target_of(labels))
        for labels, samples in sorted(chosen.items())
    ]
    begin = milliseconds(since)
    appearing = [gauge for gauge in series if gauge.times.size and int(gauge.times[0]) - begin > HORIZON]
    known = lookback.known_before(source, appearing, since)
    return (
        tuple(replace(gauge, known=gauge.labels in known) for gauge in series),
        tuple(stretch for stretches in strange.values() for stretch in stretches),
    )


def _parsed(
    source: Prometheus, selector: Selector, raw: range_query.Raw, read_targets: Targets
) -> tuple[list[Series], list[Unknown]]:
    """Parse the series that count events, and the times at which stored values do not. Empties ``raw``."""
    names = frozenset(source.replica_labels)
    differing = deduplication.differences(raw, names, read_targets.turns, read_targets.target_of)
    flawed = [stretch for stretches in differing.values() for stretch in stretches]
    joined: range_query.Raw = {}
    chosen = deduplication.merge_replicas(raw, names, read_targets.turns, read_targets.target_of)
    for labels, samples in sorted(chosen.items()):
        own = lookback.canonical(labels) if selector.bound is not None else labels
        if own in joined:
            # One spelling after the other is an update; both at once are two counters.
            flawed += overlapping(
                times_of(joined[own]),
                times_of(samples),
                f"{show(own)} is stored in two spellings: every event would count twice",
            )
            others = samples[~np.isin(samples[:, 0], joined[own][:, 0])]
            samples = range_query.joined([joined[own], others])
        joined[own] = samples
    raw.clear()
    chosen.clear()
    parsed = []
    same_times: dict[bytes, Times] = {}
    for labels in list(joined):
        counter, flaws = Series.parse(labels, joined.pop(labels))
        flawed += [stretch for flaw in flaws for stretch in around(flaw.times, flaw.reason)]
        # Of one target all series are scraped at the same times.
        times = same_times.setdefault(counter.times.tobytes(), counter.times)
        parsed.append(replace(counter, times=times, scraped=read_targets.target_of(labels)))
    return parsed, flawed


def _with_earlier(
    source: Prometheus, series: Sequence[Series], read_targets: Targets, since: datetime
) -> tuple[Series, ...]:
    """Add, to the series that begin within the reading, what they were before."""
    begin = milliseconds(since)
    appearing = [
        counter for counter in series if counter.times.size and int(counter.times[0]) - begin > HORIZON
    ]
    known = lookback.known_before(source, appearing, since)
    return tuple(
        counter.with_earlier(
            lookback.last_sample(source, counter, since)
            if _matters(counter, read_targets.scrapes.get(counter.target, Scrapes(no_times())), begin)
            else None
        )
        if counter.labels in known
        else counter
        for counter in series
    )


def _matters(counter: Series, scrapes: Scrapes, since: int) -> bool:
    """Tell whether an earlier value matters: not to a value of 0, nor in a process that started since."""
    if int(counter.values[0]) == 0:
        return False
    started = scrapes.process_start(int(counter.times[0]))
    return started is None or not since < started <= int(counter.times[0])


def _first_samples(raw: range_query.Raw) -> dict[str, int]:
    """Find when (ms) each job first showed such a series in the reading."""
    first: dict[str, int] = {}
    for labels, samples in raw.items():
        job = dict(labels).get("job", "")
        first[job] = min(first.get(job, FOREVER), int(times_of(samples[:1])[0]))
    return first


def _is_gauge(source: Prometheus, selector: Selector, types: dict[str, frozenset[str]]) -> str | None:
    """Say why Prometheus knows that a metric is no counter; None: it is one, or its type is not known.

    ``types``: those that were asked for already, by name.
    """
    # Of a histogram and of OpenMetrics counters the family is known, not each of its series.
    for name in (selector.metric, selector.metric.rpartition("_")[0]):
        if name not in types:
            types[name] = frozenset(source.metric_types(name))
        kinds = types[name] - {"unknown", "untyped"}
        if kinds & set(COUNTERS):
            # A gauge may be called like its family: go_memstats_alloc_bytes, and the same with _total.
            return None
        if kinds:
            return (
                f"{selector.metric} is a {', '.join(sorted(kinds))}: an objective needs a counter of events"
            )
    return None
