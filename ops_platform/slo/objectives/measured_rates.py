"""PromQL of what is measured a second, good and bad, by indicators that are no counters of events.

Samples are looked at every SAMPLE seconds, time slices every minute, each over the time before it: for alerts
within minutes. The figures that are kept are counted exactly (``counting.kinds``).
"""

from __future__ import annotations

from ops_platform.slo.objectives.indicator import AnyIndicator, GaugeIndicator, Indicator
from ops_platform.slo.objectives.selector import Selector

SAMPLE = 15
SLICE = 60
SHORTEST_RATE = 120
"""Seconds over which the events of a shorter slice are looked at: a rate needs two samples."""
_SIGNS = {"lt": "<", "lte": "<=", "gt": ">", "gte": ">="}


def all_measured(indicator: AnyIndicator, seconds: int) -> str:
    """Write the PromQL of what is measured a second over a window of ``seconds``."""
    return f"sum(count_over_time(({_good(indicator)})[{seconds}s:{_step(indicator)}s])) / {seconds}"


def bad_measured(indicator: AnyIndicator, seconds: int) -> str:
    """Write the PromQL of what is bad of it a second."""
    return f"sum(sum_over_time((1 - ({_good(indicator)}))[{seconds}s:{_step(indicator)}s])) / {seconds}"


def _step(indicator: AnyIndicator) -> int:
    computed = isinstance(indicator, GaugeIndicator) and indicator.gauge.computed
    return SAMPLE if indicator.slicing is None and not computed else SLICE


def _good(indicator: AnyIndicator) -> str:
    """Write the PromQL of the good share at a moment: of a sample, or of the slice that ends there."""
    slicing = indicator.slicing
    if isinstance(indicator, Indicator):
        assert slicing is not None  # noqa: S101 - counters of events are in event_rates
        share = _events_share(indicator, max(slicing.seconds, SHORTEST_RATE))
    else:
        share = _gauge_share(indicator)
        if slicing is not None:
            step = SLICE if indicator.gauge.computed else SAMPLE
            share = f"avg(avg_over_time(({share})[{slicing.seconds}s:{step}s]))"
    if slicing is None or slicing.target is None:
        return share
    return f"({share}) >= bool {float(slicing.target)!r}"


def _events_share(indicator: Indicator, seconds: int) -> str:
    def rate(selector: Selector) -> str:
        return f"sum(rate({selector.query}[{seconds}s]))"

    total = f"({rate(indicator.total)} > 0)"
    if indicator.bad is not None:
        return f"1 - ({rate(indicator.bad)} or 0 * {total}) / {total}"
    assert indicator.good is not None  # noqa: S101 - one of the two is given
    return f"({rate(indicator.good)} or 0 * {total}) / {total}"


def _gauge_share(indicator: GaugeIndicator) -> str:
    gauge = indicator.gauge
    value = gauge.selector.query
    if gauge.over is not None:
        value = f"{gauge.over}_over_time({value}[{gauge.range_ms}ms])"
    if gauge.aggregate is not None:
        value = f"{gauge.aggregate}({value})"
    if indicator.operator is None:
        return f"1 - {value}" if indicator.inverted else value
    return f"{value} {_SIGNS[indicator.operator]} bool {float(indicator.value)!r}"
