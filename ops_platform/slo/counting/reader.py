"""Reading Prometheus: all that objectives' windows are counted from, in one go."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from ops_platform.clients.prometheus import Prometheus
from ops_platform.slo.counting import deduplication as replicas
from ops_platform.slo.counting import lookback as past
from ops_platform.slo.counting import range_query as ranges
from ops_platform.slo.counting import targets
from ops_platform.slo.counting.range_query import milliseconds, times_of
from ops_platform.slo.counting.samples import Labels, Series, none, show
from ops_platform.slo.counting.scrapes import FOREVER, HORIZON, NEVER, Scrapes, Unknown, around, overlapping
from ops_platform.slo.counting.targets import Targets
from ops_platform.slo.objectives import Selector

COUNTERS = ("counter", "histogram", "summary")


@dataclass(frozen=True)
class Reading:
    """What there is in (``since``, ``until``], in milliseconds, of each selector, and of its targets."""

    since: int
    until: int
    series: Mapping[Selector, tuple[Series, ...]]
    doubts: Mapping[Selector, tuple[Unknown, ...]]
    """Where what is stored cannot be counted."""
    jobs: Mapping[Selector, Mapping[str, int]]
    """Who has such series, and from when on."""
    targets: Targets
    """All targets of these jobs."""


def read(source: Prometheus, selectors: Iterable[Selector], since: datetime, until: datetime) -> Reading:
    """Raises Unavailable when Prometheus is away or its answer may be partial."""
    wanted = list(dict.fromkeys(selectors))
    raw = {one: ranges.read(source, one.query, since, until) for one in wanted}
    jobs = {
        one: past.jobs(source, one, since) | {dict(labels).get("job", "") for labels in raw[one]}
        for one in wanted
    }
    found = targets.read(source, sorted({job for each in jobs.values() for job in each}), since, until)
    series: dict[Selector, tuple[Series, ...]] = {}
    doubts: dict[Selector, tuple[Unknown, ...]] = {}
    for selector in wanted:
        parsed, wrong = _parsed(source, selector, raw[selector], found)
        series[selector] = _with_past(source, parsed, found, since)
        gauge = _is_gauge(source, selector)
        doubts[selector] = (
            *([Unknown(milliseconds(since), milliseconds(until), gauge)] if gauge else []),
            *wrong,
            *_doubled(parsed),
        )
    since_when = {one: _jobs(source, one, jobs[one], raw[one], found, since) for one in wanted}
    return Reading(milliseconds(since), milliseconds(until), series, doubts, since_when, found)


def _parsed(
    source: Prometheus, selector: Selector, raw: ranges.Raw, found: Targets
) -> tuple[list[Series], list[Unknown]]:
    """The series that count events, and where values are stored that do not."""
    chosen = replicas.chosen(raw, frozenset(source.replica_labels), found.turns)
    wrong: list[Unknown] = []
    joined: dict[Labels, list[tuple[float, float]]] = {}
    for labels, samples in sorted(chosen.items()):
        own = past.canonical(labels) if selector.bound is not None else labels
        if own in joined:
            # One spelling after the other is an update; both at once are two counters.
            wrong += overlapping(
                times_of(joined[own]),
                times_of(samples),
                f"{show(own)} is stored in two spellings: every event would count twice",
            )
            seen = {time for time, _ in joined[own]}
            samples = sorted([*joined[own], *(one for one in samples if one[0] not in seen)])
        joined[own] = samples
    parsed = []
    for labels, samples in joined.items():
        one, flaws = Series.parse(labels, samples)
        wrong += [lost for flaw in flaws for lost in around(flaw.times, flaw.reason)]
        parsed.append(one)
    return parsed, wrong


def _with_past(
    source: Prometheus, series: Sequence[Series], found: Targets, since: datetime
) -> tuple[Series, ...]:
    """Those that begin within the reading know what they were before."""
    begin = milliseconds(since)
    beginning = [one for one in series if one.times.size and int(one.times[0]) - begin > HORIZON]
    known = past.known(source, beginning, since)
    return tuple(
        one.after(
            past.last_sample(source, one, since)
            if _matters(one, found.scrapes.get(one.target, Scrapes(none())), begin)
            else None
        )
        if one.labels in known
        else one
        for one in series
    )


def _matters(one: Series, seen: Scrapes, since: int) -> bool:
    """Whether what it showed before decides: of nothing, or a process that began since, it does not."""
    if int(one.values[0]) == 0:
        return False
    started = seen.start_told(int(one.times[0]))
    return started is None or not since < started <= int(one.times[0])


def _jobs(
    source: Prometheus,
    selector: Selector,
    jobs: Iterable[str],
    raw: ranges.Raw,
    found: Targets,
    since: datetime,
) -> dict[str, int]:
    """From when on each has such series: one that cannot be scraped for days is missing all the same."""
    first: dict[str, int] = {}
    for labels, samples in raw.items():
        job = dict(labels).get("job", "")
        first[job] = min(first.get(job, FOREVER), round(samples[0][0] * 1000))
    failing = {
        dict(target).get("job", "")
        for target, seen in found.scrapes.items()
        if (seen.bad < first.get(dict(target).get("job", ""), FOREVER)).any()
    }
    return {
        # Asked only where it decides something.
        job: NEVER if job in failing and past.had(source, selector, job, since) else first.get(job, FOREVER)
        for job in jobs
    }


def _is_gauge(source: Prometheus, selector: Selector) -> str | None:
    """What Prometheus knows against a metric's being a counter; often it knows nothing."""
    # Of a histogram and of OpenMetrics counters the family is known, not each of its series.
    for name in (selector.metric, selector.metric.rpartition("_")[0]):
        kinds = set(source.metric_types(name)) - {"unknown", "untyped"}
        if kinds & set(COUNTERS):
            # A gauge may be called like its family: go_memstats_alloc_bytes, and the same with _total.
            return None
        if kinds:
            return (
                f"{selector.metric} is a {', '.join(sorted(kinds))}: an objective needs a counter of events"
            )
    return None


def _doubled(series: Sequence[Series]) -> list[Unknown]:
    """One counter that is stored twice would count every event twice."""
    found: list[Unknown] = []
    alike: dict[Labels, list[Series]] = {}
    for one in series:
        others = alike.setdefault(tuple(pair for pair in one.labels if pair[0] != "job"), [])
        for other in others:
            found += overlapping(
                other.times,
                one.times,
                f"{show(other.labels)} and {show(one.labels)} are the same counter: every event would "
                "count twice; name one job in the selector",
            )
        others.append(one)
    return found
