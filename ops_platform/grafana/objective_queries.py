"""PromQL of objectives: the exact figures (``slo_...``) and the recording rules (``slo:...``).

Every result has the labels ``service`` and ``slo``, however many agents export it, under whatever names.
"""

from __future__ import annotations

from typing import Literal

CHOSEN = 'service=~"$service",slo=~"$slo"'
RULE = '{sloth_service=~"$service",sloth_slo=~"$slo"}'

How = Literal["min", "max"]
OWN = "own"
"""In place of a window: each objective's own period."""


def exact(metric: str, window: str | None = None, how: How = "max", **only: str) -> str:
    """Select an exact figure of one window, or by window when none is given."""
    if window == OWN:
        own = f" and on (service, slo, window) slo_period_info{{{CHOSEN}}}"
        return _figure(metric, "service, slo", how, own, **only)
    if window is not None:
        return _figure(metric, "service, slo", how, window=window, **only)
    return _figure(metric, "service, slo, window", how, **only)


def plain(metric: str) -> str:
    """Select a metric that has no window."""
    return _figure(metric, "service, slo", "max")


def _figure(metric: str, keys: str, how: How, among: str = "", **only: str) -> str:
    inside = ",".join([CHOSEN, *(f'{name}="{text}"' for name, text in only.items())])
    return f"{how} by ({keys}) ({metric}{{{inside}}}{among})"


def achieved(window: str | None = None) -> str:
    """Round the achievement, in percent, down to the three decimals shown.

    100 % minus a hair must not read as 100 %. The 1e-6 makes up for the error of floats, without which
    64.1 would become 64.099.
    """
    return f"floor({exact('slo_achievement_percentage', window, 'min')} * 1000 + 1e-6) / 1000"


def budget_left(window: str | None = None) -> str:
    """Select the error budget left, in percent."""
    return exact("slo_error_budget_remaining", window, "min")


def state(window: str | None = None) -> str:
    """Encode the state: 0 ok, 1 no_data, 2 source_missing, 4 bounded."""
    bounded, missing, nothing = (
        exact("slo_state", window, "max", state=name) for name in ("bounded", "source_missing", "no_data")
    )
    return f"4 * {bounded} + 2 * {missing} + {nothing}"


def verdict(window: str | None = None) -> str:
    """Encode the verdict: 0 met, 1 at risk, 2 breached, 4 undecided."""
    undecided, breached, at_risk = (
        exact("slo_verdict", window, "max", verdict=name) for name in ("undecided", "breached", "at risk")
    )
    return f"4 * {undecided} + 2 * {breached} + {at_risk}"


def rule(expr: str) -> str:
    """Relabel a rule's value with the labels of the exact figures."""
    named = f'label_replace({expr}, "service", "$1", "sloth_service", "(.*)")'
    return f'max by (service, slo) (label_replace({named}, "slo", "$1", "sloth_slo", "(.*)"))'


def burn(window: str) -> str:
    """Compute the burn rate over a window: how many times faster than allowed the budget is spent.

    An objective of 100 % has no budget to burn: no value, instead of a division by zero.
    """
    budget = rule(f"slo:error_budget:ratio{RULE}")
    return f"{rule(f'slo:sli_error:ratio_rate{window}{RULE}')} / ({budget} > 0)"


def seconds_to_exhaustion() -> str:
    """Compute the seconds until the budget is spent: 0 when it is, no value while nothing burns."""
    left = rule(f"slo:period_error_budget_remaining:ratio{RULE}")
    days = rule(f"slo:time_period:days{RULE}")
    return f"clamp_min({left}, 0) * {days} * 86400 / ({burn('6h')} > 0)"


def budget_left_by_rules() -> str:
    """Compute the budget left, in percent, of objectives with a rolling period.

    Of a calendar's periods the rules know only the last days, as many as it has as a rule.
    """
    left = rule(f"slo:period_error_budget_remaining:ratio{RULE}")
    return f'100 * ({left} and on (service, slo) slo_period_info{{{CHOSEN},window!~"month|.* .*"}})'


def age() -> str:
    """Compute the seconds since the end of the newest hour with figures."""
    return f"time() - {plain('slo_measured_timestamp_seconds')}"
