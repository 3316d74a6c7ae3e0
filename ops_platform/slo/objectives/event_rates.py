"""PromQL of the events a second, good and bad, and of their sums over windows.

The events of the shortest window are recorded, whatever the number of series; every other window adds up
those records, so that it is still a ratio of sums and costs the same for one series as for thousands.

``rate`` sees nothing of a series' first value: a counter that is born with its first burst of errors. That
value is added where the target was seen without the series before.
"""

from __future__ import annotations

from fractions import Fraction

from ops_platform.slo.objectives import burn_tiers, measured_rates
from ops_platform.slo.objectives.burn_tiers import duration, seconds
from ops_platform.slo.objectives.model import Indicator, Objective
from ops_platform.slo.objectives.selector import Selector

DAY = 1440
LONGEST = Fraction(3 * DAY)
"""Windows above, in minutes, hardly move: they are recorded every two minutes, from sparse records."""


def labels(objective: Objective) -> dict[str, str]:
    """Make the labels of everything that is recorded of an objective."""
    return {"sloth_id": objective.id, "sloth_service": objective.service, "sloth_slo": objective.name}


def own(objective: Objective) -> str:
    """Write the matchers of everything that is recorded of an objective."""
    return "{" + ", ".join(f'{name}="{value}"' for name, value in labels(objective).items()) + "}"


def shortest(objective: Objective) -> Fraction:
    """Find the window whose events are recorded, in minutes."""
    return burn_tiers.windows(objective)[0]


def counts_events(objective: Objective) -> bool:
    """Tell whether it counts the events of counters: no samples of a gauge, no slices of time."""
    return isinstance(objective.indicator, Indicator) and objective.indicator.slicing is None


def names(objective: Objective) -> tuple[str, str]:
    """Name the records of all events a second, and of bad ones."""
    window = duration(shortest(objective))
    return f"slo:events:rate{window}", f"slo:bad_events:rate{window}"


def summed_names(objective: Objective, minutes: Fraction) -> tuple[str, str]:
    """Name the records of both that are added up over a window.

    Above LONGEST they are made once in a shortest window: Prometheus decodes every record of a range, and of
    the others it makes twenty times as many.
    """
    both, bad = names(objective)
    every = f"_every{duration(shortest(objective))}" if minutes > LONGEST else ""
    return f"{both}{every}", f"{bad}{every}"


def sparse(objective: Objective) -> dict[str, str]:
    """List what is recorded once in a shortest window: the PromQL by name."""
    found = zip(summed_names(objective, LONGEST + 1), names(objective), strict=True)
    return {name: f"{dense}{own(objective)}" for name, dense in found}


def all_events(objective: Objective) -> str:
    """Write the PromQL of all events a second over the shortest window; no value without the metric."""
    total, window = objective.indicator.total, duration(shortest(objective))
    if not counts_events(objective):
        return measured_rates.all_measured(objective.indicator, seconds(shortest(objective)))
    return f"sum(rate({total.query}[{window}])) + {_first_values(objective, total)}"


def bad_events(objective: Objective) -> str:
    """Write the PromQL of bad events a second over the shortest window, from the record of all events."""
    window = duration(shortest(objective))
    both = f"{names(objective)[0]}{own(objective)}"
    if not counts_events(objective):
        return measured_rates.bad_measured(objective.indicator, seconds(shortest(objective)))

    def counted(selector: Selector) -> str:
        # Errors that never happened have no series.
        return f"(sum(rate({selector.query}[{window}])) or vector(0)) + {_first_values(objective, selector)}"

    if objective.indicator.bad is not None:
        return f"{counted(objective.indicator.bad)} and on () {both}"
    assert objective.indicator.good is not None  # noqa: S101 - one of the two is given
    return f"clamp_min(sum({both}) - ({counted(objective.indicator.good)}), 0)"


def recordings(objective: Objective) -> dict[str, str]:
    """List the events and the ratios over each window: the PromQL by the name that it is recorded under."""
    both, bad = names(objective)
    windows = sorted({*burn_tiers.windows(objective), Fraction(objective.period.days * DAY)})
    ratios = {
        f"slo:sli_error:ratio_rate{duration(window)}": error_ratio(objective, window) for window in windows
    }
    return {both: all_events(objective), bad: bad_events(objective), **sparse(objective), **ratios}


def raw_ratio(objective: Objective) -> str:
    """Write the PromQL of bad over all events of the period from raw samples; it costs what they are."""

    def rate(selector: Selector) -> str:
        return f"sum(rate({selector.query}[{objective.period.days}d]))"

    indicator = objective.indicator
    if not counts_events(objective):
        length = objective.period.days * DAY * 60
        bad = measured_rates.bad_measured(indicator, length)
        return f"{bad} / ({measured_rates.all_measured(indicator, length)} > 0)"
    if indicator.bad is not None:
        return f"({rate(indicator.bad)} or vector(0)) / ({rate(indicator.total)} > 0)"
    assert indicator.good is not None  # noqa: S101 - one of the two is given
    return f"1 - ({rate(indicator.good)} or vector(0)) / ({rate(indicator.total)} > 0)"


def _first_values(objective: Objective, selector: Selector) -> str:
    """Write the PromQL of what new series showed at first, a second; 0 where there are none.

    New is a series that was not there a window, an hour and a day ago, of a target that showed others then
    and lost none since: otherwise it may be an old one that comes back, or has other labels now.
    """
    series, total = selector.query, objective.indicator.total.query
    window, length = duration(shortest(objective)), seconds(shortest(objective))
    return (
        f"(sum(min_over_time({series}[{window}]) unless {series} offset {window} unless {series} offset 1h "
        f"unless {series} offset 1d and on (job, instance) {total} offset {window} "
        f"unless on (job, instance) ({total} offset {window} unless {total})) or vector(0)) / {length}"
    )


def error_ratio(objective: Objective, minutes: Fraction) -> str:
    """Write the PromQL of bad over all events: no value at all where there were no events, never NaN."""
    if minutes == shortest(objective):
        both, bad = names(objective)
        return f"{bad}{own(objective)} / ({both}{own(objective)} > 0)"
    return f"{_summed(objective, minutes, bad=True)} / ({_summed(objective, minutes, bad=False)} > 0)"


def count(objective: Objective, minutes: Fraction, *, bad: bool) -> str:
    """Write the PromQL of the number of events, all or bad ones, within a window."""
    if minutes == shortest(objective):
        return f"{names(objective)[bad]}{own(objective)} * {seconds(minutes)}"
    return f"{_summed(objective, minutes, bad=bad)} * {seconds(_step(objective, minutes))}"


def _summed(objective: Objective, minutes: Fraction, *, bad: bool) -> str:
    # A second less: Prometheus 2 includes a range's first moment, Prometheus 3 does not, and so both add up
    # the same records.
    record, window = f"{summed_names(objective, minutes)[bad]}{own(objective)}", f"{seconds(minutes) - 1}s"
    if minutes > LONGEST:
        return f"sum_over_time({record}[{window}])"
    return f"sum_over_time({record}[{window}:{duration(_step(objective, minutes))}])"


def _step(objective: Objective, minutes: Fraction) -> Fraction:
    """Choose how far apart the records are that are added up, in minutes.

    The shortest window itself counts every event once; within hours a fifth of it follows more closely.
    """
    shortest_window = shortest(objective)
    return shortest_window if minutes >= DAY else shortest_window / 5
