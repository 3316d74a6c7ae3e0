"""Reading Prometheus: all that objectives' windows are counted from, in one go."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from ops_platform.clients.prometheus import Prometheus
from ops_platform.slo import past, ranges, replicas, targets
from ops_platform.slo.ranges import milliseconds
from ops_platform.slo.samples import Flaw, Labels, Series, none, show
from ops_platform.slo.scrapes import HORIZON, NEVER, Scrapes, Unknown, around, overlapping
from ops_platform.slo.selector import Selector
from ops_platform.slo.targets import Targets

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
    known = {one: past.label_sets(source, one, since) for one in wanted}
    jobs = {one: _jobs(known[one], raw[one]) for one in wanted}
    found = targets.read(source, sorted({job for each in jobs.values() for job in each}), since, until)
    names = frozenset(source.replica_labels)
    series: dict[Selector, tuple[Series, ...]] = {}
    doubts: dict[Selector, tuple[Unknown, ...]] = {}
    for selector in wanted:
        parsed: list[Series] = []
        flaws: list[Flaw] = []
        for labels, samples in sorted(replicas.chosen(raw[selector], names, found.turns).items()):
            one, wrong = Series.parse(labels, samples)
            flaws += wrong
            scrapes = found.scrapes.get(one.target, Scrapes(none()))
            if labels in known[selector] and _comes_back(one, scrapes, milliseconds(since)):
                one = one.after(past.last_sample(source, one, since))
            parsed.append(one)
        series[selector] = tuple(parsed)
        gauge = _is_gauge(source, selector)
        doubts[selector] = (
            *([Unknown(milliseconds(since), milliseconds(until), gauge)] if gauge else []),
            *(lost for flaw in flaws for lost in around(flaw.times, flaw.reason)),
            *_doubled(selector, parsed),
        )
    return Reading(milliseconds(since), milliseconds(until), series, doubts, jobs, found)


def _jobs(known: Iterable[Labels], raw: ranges.Raw) -> dict[str, int]:
    """A job that cannot be scraped for days has no series in them, and is missing all the same."""
    found: dict[str, int] = {}
    for labels, samples in raw.items():
        job = dict(labels).get("job", "")
        found[job] = min(found.get(job, round(samples[0][0] * 1000)), round(samples[0][0] * 1000))
    return found | {dict(labels).get("job", ""): NEVER for labels in known}


def _comes_back(one: Series, seen: Scrapes, since: int) -> bool:
    """Whether it matters what it showed before: of a process that has begun since then it does not."""
    if not one.times.size or int(one.times[0]) - since <= HORIZON or int(one.values[0]) == 0:
        return False
    started = seen.start_told(int(one.times[0]))
    return started is None or not since < started <= int(one.times[0])


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


def _doubled(selector: Selector, series: Sequence[Series]) -> list[Unknown]:
    """One counter that is stored twice would count every event twice."""
    # Of a bucket, every spelling of its bound.
    left_out = ("job", "le") if selector.bound is not None else ("job",)
    found: list[Unknown] = []
    alike: dict[Labels, list[Series]] = {}
    for one in series:
        others = alike.setdefault(tuple(pair for pair in one.labels if pair[0] not in left_out), [])
        for other in others:
            found += overlapping(
                other.times,
                one.times,
                f"{show(other.labels)} and {show(one.labels)} are the same counter: every event would "
                "count twice; name one job in the selector",
            )
        others.append(one)
    return found
