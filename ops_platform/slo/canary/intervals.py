"""The events of canary and stable release in each interval, counted exactly from raw samples.

An interval is counted once, a pace's ``settled`` after its end, and then stays as it was counted. What shows
only later, as a target that vanished without a word, leaves its last events out: they are no evidence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import promql_parser

from ops_platform.clients.prometheus import Prometheus
from ops_platform.errors import ConfigurationError
from ops_platform.slo.canary.comparison import Interval, Side
from ops_platform.slo.objectives import Indicator, Matcher, Objective, Selector

if TYPE_CHECKING:
    from ops_platform.slo.counting.window import WindowCount


@dataclass(frozen=True)
class Pace:
    """The length of an interval, and the time after its end at which its last scrapes are there."""

    step: timedelta = timedelta(minutes=1)
    settled: timedelta = timedelta(minutes=1)

    def __post_init__(self) -> None:
        """Raise ConfigurationError for intervals that end between samples, or are no stretch of time."""
        if not timedelta(seconds=1) <= self.step <= timedelta(hours=1) or self.step % timedelta(seconds=1):
            raise ConfigurationError("the intervals of a comparison are of 1 to 3600 whole seconds")
        if not timedelta(0) <= self.settled <= timedelta(minutes=10):
            raise ConfigurationError("scrapes are waited for from 0 to 600 seconds")

    def floor(self, at: datetime) -> datetime:
        """Find the last boundary between intervals up to ``at``."""
        return at - (at - datetime.fromtimestamp(0, UTC)) % self.step

    def ceil(self, at: datetime) -> datetime:
        """Find the first boundary from ``at`` on."""
        return -((datetime.fromtimestamp(0, UTC) - at) // self.step) * self.step + datetime.fromtimestamp(
            0, UTC
        )


@dataclass(frozen=True)
class Releases:
    """The two releases: the labels by which their series are told apart."""

    canary: tuple[Matcher, ...]
    stable: tuple[Matcher, ...]

    @classmethod
    def parse(cls, canary: str, stable: str) -> Releases:
        """Read two selectors, as ``track="canary"`` or ``{track="stable",region=~"eu.*"}``.

        Raises ConfigurationError for what is no list of matchers, and where both are the same.
        """
        releases = cls(_matchers("--canary", canary), _matchers("--stable", stable))
        if releases.canary == releases.stable:
            raise ConfigurationError(
                "--canary and --stable select the same series: name the label that differs"
            )
        return releases


def count(
    source: Prometheus,
    objective: Objective,
    releases: Releases,
    pace: Pace,
    since: datetime,
    until: datetime,
) -> list[Interval]:
    """Count each interval from ``since`` to ``until``. Raises Unavailable, and ConfigurationError.

    A ConfigurationError: the objective counts no events, or series are selected by both selectors.
    """
    from ops_platform.slo.counting import reader, window

    indicator = objective.indicator
    if not isinstance(indicator, Indicator) or indicator.slicing is not None:
        raise ConfigurationError(
            f"{objective.id} counts {indicator.unit}: a canary is compared by events of counters"
        )
    canary, stable = _of(indicator, releases.canary), _of(indicator, releases.stable)
    bounds = [since + pace.step * number for number in range((until - since) // pace.step + 1)]
    reading = reader.read(
        source,
        [*canary.selectors, *stable.selectors],
        since - window.SURROUNDINGS,
        until + pace.settled,
    )
    both = {series.labels for series in reading.series[canary.total]} & {
        series.labels for series in reading.series[stable.total]
    }
    if both:
        raise ConfigurationError(
            f"{len(both)} series of {indicator.total} are of both: --canary and --stable must exclude "
            "each other"
        )
    ahead = round(pace.settled.total_seconds() * 1000)
    counts = [
        window.count(of_release, reading, bounds, with_evidence=False, ahead=ahead)
        for of_release in (canary, stable)
    ]
    return [Interval(its.start, _side(its), _side(others)) for its, others in zip(*counts, strict=True)]


def _of(indicator: Indicator, matchers: Sequence[Matcher]) -> Indicator:
    return replace(
        indicator,
        total=_with(indicator.total, matchers),
        good=None if indicator.good is None else _with(indicator.good, matchers),
        bad=None if indicator.bad is None else _with(indicator.bad, matchers),
    )


def _with(selector: Selector, matchers: Sequence[Matcher]) -> Selector:
    return replace(selector, matchers=tuple(sorted({*selector.matchers, *matchers}, key=str)))


def _side(count: WindowCount) -> Side:
    if count.bad is not None:
        return Side(count.bad, count.total, count.bad)
    return Side(None, None, None if count.bounds is None else count.bounds.bad_most, count.reason)


def _matchers(option: str, text: str) -> tuple[Matcher, ...]:
    inside = text.strip()
    inside = inside if inside.startswith("{") else f"{{{inside}}}"
    try:
        parsed = promql_parser.parse(f"events_total{inside}")
        if not isinstance(parsed, promql_parser.VectorSelector):
            raise ValueError
        matchers = Selector.of(parsed).matchers
        if not matchers:
            raise ValueError
    except ValueError:
        raise ConfigurationError(
            f"{option} {text!r} selects nothing: write matchers of labels, as 'track=\"canary\"'"
        ) from None
    return matchers
