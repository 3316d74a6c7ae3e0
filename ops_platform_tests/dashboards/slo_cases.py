"""Cases of slo.yml: each objective at a pace that pages, at one that only makes a ticket, and at none."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from ops_platform import files
from ops_platform.slo import openslo, rules
from ops_platform.slo.objective import Objective
from ops_platform_tests.dashboards.rule_case import Case
from ops_platform_tests.slo.burning import burning

MINUTES = 100


def cases(one: Objective) -> Iterator[Case]:
    def fires(severity: str) -> tuple[dict[str, str], ...]:
        own = {"sloth_id": one.id, "sloth_service": one.service, "sloth_slo": one.name}
        return ({"severity": severity, "service": one.service, "slo": one.name, **own},)

    def burns(share: Fraction) -> dict[str, str]:
        return burning(one, share, MINUTES)

    def shown(share: Fraction) -> str:
        return f"{float(share * 100):.4g}%"

    none = Fraction(0)
    yield Case(rules.FAST, f"{one.id}: all is good", MINUTES, burns(none))
    if one.target == 1:
        share = Fraction(1, 1000)
        yield Case(
            rules.FAST, f"{one.id}: a bad event", MINUTES, burns(share), fires("critical"), shown(share)
        )
        return
    fast, slow = min(15 * one.budget, Fraction(9, 10)), 4 * one.budget
    yield Case(rules.FAST, f"{one.id}: burns fast", MINUTES, burns(fast), fires("critical"), shown(fast))
    yield Case(rules.FAST, f"{one.id}: burns slowly", MINUTES, burns(slow))
    yield Case(rules.SLOW, f"{one.id}: burns slowly", MINUTES, burns(slow), fires("warning"), shown(slow))
    yield Case(rules.SLOW, f"{one.id}: half as fast as allowed", MINUTES, burns(one.budget / 2))


SLO = tuple(
    case for one in openslo.load_directory(files.default_config_dir() / "objectives") for case in cases(one)
)
