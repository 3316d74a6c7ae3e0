"""Cases of slo.yml: each objective at a pace that pages, at one that only makes a ticket, and at none."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from ops_platform import files
from ops_platform.slo.objectives import openslo
from ops_platform.slo.objectives import prometheus_rules as rules
from ops_platform.slo.objectives.model import Objective
from ops_platform_tests.dashboards.rule_case import Case
from ops_platform_tests.slo.burning import burning

MINUTES = 70
"""More than the hour of the alerts that page."""
STEP = 2
"""promtool evaluates all rules at every step of every case; of five minutes, a rate needs two samples."""


def cases(one: Objective) -> Iterator[Case]:
    def fires(severity: str) -> tuple[dict[str, str], ...]:
        own = {"sloth_id": one.id, "sloth_service": one.service, "sloth_slo": one.name}
        return ({"severity": severity, "service": one.service, "slo": one.name, **own},)

    def burns(share: Fraction) -> dict[str, str]:
        return burning(one, share, MINUTES)

    def shown(share: Fraction) -> str:
        return f"{float(share * 100):.4g}%"

    def case(
        alert: str, why: str, share: Fraction, fired: tuple[dict[str, str], ...] = (), value: str = ""
    ) -> Case:
        return Case(alert, f"{one.id}: {why}", MINUTES, burns(share), fired, value, step=STEP)

    none = Fraction(0)
    yield case(rules.FAST, "all is good", none)
    if one.target == 1:
        share = Fraction(1, 1000)
        yield case(rules.FAST, "a bad event", share, fires("critical"), shown(share))
        return
    fast, slow = min(15 * one.budget, Fraction(9, 10)), 4 * one.budget
    yield case(rules.FAST, "burns fast", fast, fires("critical"), shown(fast))
    yield case(rules.FAST, "burns slowly", slow)
    yield case(rules.SLOW, "burns slowly", slow, fires("warning"), shown(slow))
    yield case(rules.SLOW, "half as fast as allowed", one.budget / 2)


SLO = tuple(
    case for one in openslo.load_directory(files.default_config_dir() / "objectives") for case in cases(one)
)
