"""Cases of slo.yml: each objective at a pace that pages, at one that only makes a ticket, and at none.

And the alerts on exact figures, of all objectives at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction

from ops_platform import files
from ops_platform.slo.objectives import alert_rules as rules
from ops_platform.slo.objectives import openslo
from ops_platform.slo.objectives.model import Objective
from ops_platform.slo.reporting import VERDICTS
from ops_platform_tests.dashboards.rule_case import DAY, HOUR, Case
from ops_platform_tests.slo.burning import burning

MINUTES = 70
"""More than the hour of the alerts that page."""
STEP = 2
"""promtool evaluates all rules at every step of every case; of five minutes, a rate needs two samples."""


def fires(one: Objective, severity: str, told: str | None = None) -> dict[str, str]:
    own = {"sloth_id": one.id, "sloth_service": one.service, "sloth_slo": one.name}
    burn = {} if told is None else {"sloth_severity": told}
    return {"severity": severity, "service": one.service, "slo": one.name, **own, **burn}


def cases(one: Objective) -> Iterator[Case]:
    def paged() -> tuple[dict[str, str], ...]:
        return (fires(one, "critical", "page"),)

    def ticket() -> tuple[dict[str, str], ...]:
        return (fires(one, "warning", "ticket"),)

    def burns(share: Fraction) -> dict[str, str]:
        return burning(one, share, MINUTES)

    def shown(share: Fraction) -> str:
        return f"{float(share * 100):.4g}%"

    def case(
        alert: str, why: str, share: Fraction, fired: tuple[dict[str, str], ...] = (), value: str = ""
    ) -> Case:
        return Case(alert, f"{one.id}: {why}", MINUTES, burns(share), fired, value, step=STEP, groups=one.id)

    none = Fraction(0)
    yield case(rules.FAST, "all is good", none)
    if one.target == 1:
        share = Fraction(1, 1000)
        yield case(rules.FAST, "a bad event", share, paged(), shown(share))
        return
    fast, slow = min(15 * one.budget, Fraction(9, 10)), 4 * one.budget
    yield case(rules.FAST, "burns fast", fast, paged(), shown(fast))
    yield case(rules.FAST, "burns slowly", slow)
    yield case(rules.SLOW, "burns slowly", slow, ticket(), shown(slow))
    yield case(rules.SLOW, "half as fast as allowed", one.budget / 2)


def figure(metric: str, one: Objective, values: str, **more: str) -> dict[str, str]:
    """An exact figure over the objective's own period, as the agent exports it."""
    labels = {"service": one.service, "slo": one.name, "window": str(one.period), "job": "agent", **more}
    inside = ",".join(f'{name}="{text}"' for name, text in labels.items())
    return {f"{metric}{{{inside}}}": values}


def on_figures(every: Sequence[Objective]) -> Iterator[Case]:
    def verdicts(verdict: str, length: int, of: Sequence[Objective] = every) -> dict[str, str]:
        return {
            key: value
            for one in of
            for other in VERDICTS
            for key, value in figure(
                "slo_verdict", one, f"{int(other == verdict)}x{length}", verdict=other
            ).items()
        }

    def unknown(of: Sequence[Objective], values: str) -> dict[str, str]:
        return {key: value for one in of for key, value in figure("slo_unknown_hours", one, values).items()}

    warned = tuple(fires(one, "warning") for one in every)
    yield Case(rules.SPENT, "every budget is spent", 10, verdicts("breached", 10), warned)
    yield Case(rules.SPENT, "little is left", 10, verdicts("at risk", 10))
    minute, half_hours = DAY + 2 * HOUR, 52
    yield Case(
        rules.UNDECIDED,
        "three hours were lost",
        minute,
        verdicts("undecided", half_hours) | unknown(every, f"3x{half_hours}"),
        warned,
        "3",
    )
    yield Case(
        rules.UNDECIDED,
        "some are new, and of each an hour more is known every hour; some are met, whatever was lost",
        minute,
        verdicts("met", half_hours)
        | verdicts("undecided", half_hours, every[2:])
        | unknown(every[:2], f"3x{half_hours}")
        | unknown(every[2:], f"720-0.5x{half_hours}"),
    )
    yield Case(rules.ABSENT, "nothing", 20, {}, tuple(fires(one, "critical") for one in every))
    there = {name: values for one in every for name, values in burning(one, Fraction(0), 20).items()}
    yield Case(rules.ABSENT, "all is there", 20, there)


def unseen_by_rate(one: Objective, perfect: Objective) -> Iterator[Case]:
    """First values, which ``rate`` does not see, and too few events to call anybody."""

    def responses(code: int, values: str) -> dict[str, str]:
        return {f'product_api_responses_total{{code="{code}",job="product",instance="a:1"}}': values}

    def case(why: str, series: dict[str, str], value: str = "") -> Case:
        fired = (fires(one, "critical", "page"),) if value else ()
        return Case(rules.FAST, f"{one.id}: {why}", MINUTES, series, fired, value, step=STEP, groups=one.id)

    well = responses(200, "1000+2000x35")
    # All of 5,000 bad events in a series' first sample, three minutes ago: three fifths of them yet.
    yield case(
        "errors that begin with a burst", well | responses(500, "_x34 5000x1"), f"{100 * 3000 / 63000:.4g}%"
    )
    yield case(
        "a series that was hidden for half an hour",
        well | responses(500, "5000x9 _x23 5000x3"),
    )
    yield case(
        "a series that has another name now",
        responses(200, "1000+2000x35") | responses(503, "5000x31 stale") | responses(500, "_x32 5000x3"),
    )
    night = responses(200, "100x10 101x10 102x13") | responses(500, "0x30 1x4")
    yield case("one bad event of three at night", night)
    deliveries = 'product_webhook_deliveries_total{{signature="{}",job="product",instance="a:1"}}'
    yield Case(
        rules.FAST,
        f"{perfect.id}: the first bad event, in a series of its own",
        MINUTES,
        {deliveries.format("valid"): "9+2x35", deliveries.format("invalid"): "_x33 1x2"},
        (fires(perfect, "critical", "page"),),
        f"{100 / 6:.4g}%",
        step=STEP,
        groups=perfect.id,
    )


EVERY = openslo.load_directory(files.default_config_dir() / "objectives")
[_AVAILABILITY] = [one for one in EVERY if one.id == "api-availability"]
[_PERFECT] = [one for one in EVERY if one.id == "webhooks-signatures"]
SLO = (
    *(case for one in EVERY for case in cases(one)),
    *on_figures(EVERY),
    *unseen_by_rate(_AVAILABILITY, _PERFECT),
)
