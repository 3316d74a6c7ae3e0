"""Counters of a product that keeps or breaks an objective, in promtool's notation."""

from __future__ import annotations

from fractions import Fraction

from ops_platform.slo.objectives.model import Objective
from ops_platform.slo.objectives.selector import Selector


def burning(one: Objective, share: Fraction, minutes: int) -> dict[str, str]:
    """1000 events a minute, ``share`` of them bad: series -> values, one a minute."""
    bad = round(1000 * share)

    def steps(selector: Selector, label: str, count: int) -> dict[str, str]:
        inside = {matcher.name: matcher.value for matcher in selector.matchers if matcher.operator == "="}
        inside["part"] = label
        if selector.bound is not None:
            inside["le"] = f"{selector.bound:g}"
        if "code" in {matcher.name for matcher in selector.matchers}:
            inside["code"] = "500"
        labels = ",".join(f'{name}="{value}"' for name, value in inside.items())
        return {f"{selector.metric}{{{labels}}}": f"0+{count}x{minutes}"}

    good, total = one.indicator.good, one.indicator.total
    if good is None:
        assert one.indicator.bad is not None
        return steps(total, "good", 1000 - bad) | steps(one.indicator.bad, "bad", bad)
    if good.metric == total.metric:
        return steps(good, "good", 1000 - bad) | steps(total, "bad", bad)
    return steps(good, "all", 1000 - bad) | steps(total, "all", 1000)
