"""What an SLO measures: its SLI, taken apart to counters or a gauge, and its budgeting method."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import TypeVar

from ops_platform.errors import ConfigurationError
from ops_platform.slo.objectives import promql
from ops_platform.slo.objectives.documents import written_period
from ops_platform.slo.objectives.documents.document_schema import (
    DataSource,
    Metric,
    Ratio,
    Sli,
    SliSpec,
    Slo,
    Target,
)
from ops_platform.slo.objectives.documents.written_object import Objects, Written
from ops_platform.slo.objectives.model import AnyIndicator, GaugeIndicator, Indicator, Slicing
from ops_platform.slo.objectives.promql import Events, Mean
from ops_platform.slo.objectives.selector import Selector

T = TypeVar("T")
PROMETHEUS = ("prometheus", "thanos", "mimir", "cortex")
"""Types of sources that answer Prometheus' queries."""


def indicator(slo: Written[Slo], target: Written[Target], objects: Objects, notes: list[str]) -> AnyIndicator:
    """Read what one of an SLO's objectives measures. Raises ConfigurationError, with file and line."""
    sli = _sli(slo, target, objects)
    ratio, threshold = sli.value.ratioMetric, sli.value.thresholdMetric
    if (ratio is None) == (threshold is None):
        raise ConfigurationError(f"{sli.at()}: give exactly one of ratioMetric and thresholdMetric")
    reader = _Reader(objects, notes)
    slicing = _slicing(slo, target)
    given = target.value
    if ratio is not None:
        if given.value is not None or given.op in ("lt", "lte"):
            raise ConfigurationError(
                f"{target.at()}: only a thresholdMetric has op and value: leave them out"
            )
        if given.op is not None:
            notes.append(f"{target.at('op')}: op is not read: a ratioMetric is good from its target on")
        measured = reader.ratio(sli.part(ratio, "ratioMetric"))
        return replace(measured, slicing=slicing)
    assert threshold is not None  # noqa: S101 - one of the two is given
    if given.op is None or given.value is None:
        raise ConfigurationError(f"{target.at()}: a thresholdMetric needs op and value")
    metric = sli.part(threshold, "thresholdMetric")
    measured_gauge = reader.query(metric, "thresholdMetric", promql.gauge)
    return GaugeIndicator(
        measured_gauge,
        given.op,
        Fraction(given.value),
        slicing=slicing,
        source=threshold.metricSource.metricSourceRef,
    )


def _sli(slo: Written[Slo], target: Written[Target], objects: Objects) -> Written[SliSpec]:
    spec, given = slo.value.spec, target.value
    if given.indicator is not None or given.indicatorRef is not None or given.compositeWeight is not None:
        raise ConfigurationError(
            f"{target.at()}: a composite of objectives with indicators of their own is not computed: "
            "state each one by itself"
        )
    if (spec.indicator is None) == (spec.indicatorRef is None):
        raise ConfigurationError(f"{slo.at('spec')}: give exactly one of indicator and indicatorRef")
    if spec.indicator is not None:
        return slo.part(spec.indicator.spec, "spec", "indicator", "spec")
    sli = objects.referred(Sli, str(spec.indicatorRef), slo.at("spec", "indicatorRef"))
    return sli.part(sli.value.spec, "spec")


def _slicing(slo: Written[Slo], target: Written[Target]) -> Slicing | None:
    method, given = slo.value.spec.budgetingMethod, target.value
    if method == "Occurrences":
        if given.timeSliceTarget is not None or given.timeSliceWindow is not None:
            raise ConfigurationError(
                f"{target.at()}: Occurrences count events, no time slices: use budgetingMethod Timeslices, "
                "or leave timeSliceTarget and timeSliceWindow out"
            )
        return None
    length = None if given.timeSliceWindow is None else written_period.seconds(given.timeSliceWindow)
    if not length or 3600 % length:
        raise ConfigurationError(
            f"{target.at('timeSliceWindow')}: {method} needs a timeSliceWindow of minutes that divide an "
            f"hour, as 1m, 5m or 1h, not {given.timeSliceWindow}"
        )
    if method == "RatioTimeslices":
        if given.timeSliceTarget is not None:
            raise ConfigurationError(
                f"{target.at('timeSliceTarget')}: RatioTimeslices average the slices' shares: leave it out"
            )
        return Slicing(length)
    if given.timeSliceTarget is None:
        raise ConfigurationError(f"{target.at()}: Timeslices need a timeSliceTarget")
    return Slicing(length, Fraction(given.timeSliceTarget))


class _Reader:
    """Reads the queries of one SLI."""

    def __init__(self, objects: Objects, notes: list[str]) -> None:
        self._objects = objects
        self._notes = notes

    def ratio(self, ratio: Written[Ratio]) -> AnyIndicator:
        """Read a ratioMetric: good or bad of total, or a raw ratio."""
        given = ratio.value
        if given.raw is not None:
            return self._raw(ratio, given.raw)
        if given.rawType is not None:
            raise ConfigurationError(f"{ratio.at('rawType')}: only a raw ratio has a rawType")
        if given.total is None or (given.good is None) == (given.bad is None):
            raise ConfigurationError(f"{ratio.at()}: give exactly one of good and bad, and total")
        if given.counter is False:
            raise ConfigurationError(
                f"{ratio.at('counter')}: values that are no counter count no events: use a thresholdMetric"
            )
        if given.counter is None:
            self._notes.append(
                f"{ratio.at()}: does not say counter: true; its metrics are taken for counters"
            )
        total = self._events(ratio.part(given.total, "total"), "total")
        if total.less is not None:
            raise ConfigurationError(f"{ratio.at('total')}: total: is a difference, and must be one counter")
        name = "good" if given.good is not None else "bad"
        metric = given.good or given.bad
        assert metric is not None  # noqa: S101 - one of the two is given
        part = self._events(ratio.part(metric, name), name)
        sources = {each.metricSource.metricSourceRef for each in (metric, given.total)}
        if len(sources) > 1:
            raise ConfigurationError(f"{ratio.at()}: {name} and total must have one metricSourceRef")
        return self._of(ratio, part, total.counter, bad=name == "bad", source=sources.pop())

    def _raw(self, ratio: Written[Ratio], raw: Metric) -> AnyIndicator:
        if ratio.value.rawType is None or ratio.value.total or ratio.value.good or ratio.value.bad:
            raise ConfigurationError(f"{ratio.at()}: a raw ratio has a rawType, and no good, bad or total")
        said = ratio.value.counter
        shared = self.query(
            ratio.part(raw, "raw"), "raw", functools.partial(promql.share, counter=said is True)
        )
        bad = (ratio.value.rawType == "failure") != shared.inverted
        source = raw.metricSource.metricSourceRef
        if isinstance(shared, Mean):
            return GaugeIndicator(promql.Gauge(shared.gauge), inverted=bad, source=source)
        if said is False:
            raise ConfigurationError(
                f"{ratio.at('counter')}: a ratio of two metrics that are no counters counts no events: "
                "record it as one gauge that is a share, or use a thresholdMetric"
            )
        return self._of(ratio, shared.part, shared.total, bad=bad, source=source)

    def _of(
        self, ratio: Written[Ratio], part: Events, total: Selector, *, bad: bool, source: str | None
    ) -> Indicator:
        if part.less is not None:
            if part.counter != total:
                raise ConfigurationError(
                    f"{ratio.at()}: a difference must take its events from all of them: "
                    f"{part.counter} is not {total}"
                )
            # All events but the others.
            bad, counted = not bad, part.less
        else:
            counted = part.counter
        for selector in (counted, total):
            if not selector.is_counter_by_name:
                self._notes.append(
                    f"{ratio.at()}: {selector.metric} is taken for a counter, as it is used; "
                    "its name does not say so"
                )
        if bad:
            return Indicator(total, bad=counted, source=source)
        return Indicator(total, good=counted, source=source)

    def _events(self, metric: Written[Metric], name: str) -> Events:
        return self.query(metric, name, promql.events)

    def query(self, metric: Written[Metric], name: str, take_apart: Callable[[str], T]) -> T:
        """Take a metric's query apart. Raises ConfigurationError for one that is not Prometheus'."""
        source = metric.value.metricSource
        self._prometheus(metric)
        query = source.spec.get("query")
        inside = ("metricSource", "spec")
        if not isinstance(query, str):
            raise ConfigurationError(f"{metric.at(*inside)}: {name}: spec has no query")
        for key in source.spec:
            if key != "query":
                self._notes.append(
                    f"{metric.at(*inside, key)}: {key} is not read: a query is all that is asked"
                )
        try:
            return take_apart(query)
        except ValueError as error:
            plain = " ".join(query.split())
            raise ConfigurationError(f"{metric.at(*inside, 'query')}: {name}: {plain} {error}") from None

    def _prometheus(self, metric: Written[Metric]) -> None:
        source = metric.value.metricSource
        found = (
            None if source.metricSourceRef is None else self._objects.find(DataSource, source.metricSourceRef)
        )
        kind = source.type or (None if found is None else found.value.spec.type)
        if kind is not None and kind.lower() not in PROMETHEUS:
            raise ConfigurationError(
                f"{metric.at('metricSource')}: is of {kind}: only Prometheus, and what answers "
                "its queries, is asked here"
            )
