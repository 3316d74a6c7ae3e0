"""The dashboard of objectives: achievement, budget left, burn, and how far to trust them.

The exact figures (``slo_...``) are whole numbers counted by the hour; the recording rules (``slo:...``)
are extrapolations within seconds. Both are shown, and side by side where they should agree.
"""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.builders import prometheus
from grafana_foundation_sdk.models.dashboard import Panel

from ops_platform.grafana import objective_tables
from ops_platform.grafana.objective_queries import (
    OWN,
    RULE,
    achieved,
    age,
    budget_left,
    budget_left_by_rules,
    burn,
    exact,
    plain,
    rule,
    seconds_to_exhaustion,
    state,
    verdict,
)
from ops_platform.grafana.objective_tables import KEYS, LATE, STATES, VERDICTS
from ops_platform.grafana.page import Page
from ops_platform.grafana.panels import PanelSpec, current_table, graph, state_timeline
from ops_platform.grafana.style import GREY, PROMETHEUS, RED, YELLOW, Query

FAST, SLOW = "slo.md#errorbudgetburnfast", "slo.md#errorbudgetburnslow"
SPENT, UNDECIDED = "slo.md#errorbudgetspent", "slo.md#errorbudgetundecided"
WINDOWED = "{{service}}/{{slo}} {{window}}"
NAME = "{{service}}/{{slo}}"


def page() -> Page:
    """Lay out the dashboard."""
    return Page(
        uid="ops-slo",
        title="Objectives",
        text="Achievement, error budgets and burn of every objective, and how far to trust the figures.",
        since="now-7d",
        choices={
            "service": "label_values(slo_target_percentage, service)",
            "slo": 'label_values(slo_target_percentage{service=~"$service"}, slo)',
        },
        pages={"Runbooks": "runbooks/slo.md", "How objectives are counted": "slo.md"},
        annotations=[_exclusions()],
        rows={
            "Objectives now": _now(),
            "Achievement and budget": _achievement(),
            "Burn": _burn(),
            "Events": _events(),
            "Whether to believe it": _trust(),
        },
    )


def _now() -> list[Panel]:
    return [
        current_table(
            PanelSpec(
                "Every objective",
                "Exact figures of the newest full hour, beside the burn that the recording rules see "
                "now. An empty cell is not known, or does not apply: an objective of 100 % has no budget.",
                "none",
                (FAST, SLOW),
                24,
                9,
            ),
            KEYS,
            *objective_tables.now(),
        ),
        state_timeline(
            PanelSpec(
                "Verdict by window",
                "What is certain, whatever the unknown hours held. At risk: at most a quarter of it is "
                "left. Undecided: that depends on what is not known, or the window is not counted yet.",
                "none",
                (SPENT, UNDECIDED),
                24,
                9,
            ),
            Query(verdict(), WINDOWED),
            VERDICTS,
        ),
    ]


def _achievement() -> list[Panel]:
    return [
        graph(
            PanelSpec(
                "Achieved by window",
                "Share of good events in the last 1, 7 and 30 days, the calendar month (UTC) and the "
                "objective's own period, without excluded maintenance. Rounded down. Gaps: no events, or a "
                "source that was missing.",
                "percent",
                (SLOW,),
            ),
            Query(achieved(), WINDOWED),
            Query(plain("slo_target_percentage"), f"{NAME} target"),
            lowest=None,
        ),
        graph(
            PanelSpec(
                "Error budget left by window",
                "What is left of the bad events that the target allows in the window; negative when "
                "overspent. A quarter left is a warning, nothing left is a breach.",
                "percent",
                (SLOW,),
            ),
            Query(budget_left(), WINDOWED),
            lines=((0.0, RED), (25.0, YELLOW)),
            lowest=None,
        ),
    ]


def _burn() -> list[Panel]:
    return [
        graph(
            PanelSpec(
                "Burn rate over minutes and hours",
                "How many times faster than allowed the budget is spent; at 1 it lasts exactly the period. "
                "From the recording rules.",
                "none",
                (FAST,),
            ),
            *(Query(burn(window), f"{NAME} {window}") for window in ("5m", "30m", "1h", "2h")),
            lines=((1.0, YELLOW),),
        ),
        graph(
            PanelSpec(
                "Burn rate over hours and days",
                "The same over longer windows: slow leaks. 30 d only of objectives with that period.",
                "none",
                (SLOW,),
            ),
            *(Query(burn(window), f"{NAME} {window}") for window in ("6h", "1d", "3d", "30d")),
            lines=((1.0, YELLOW),),
        ),
        graph(
            PanelSpec(
                "Burn rate now and over the whole period",
                "Now: the last five minutes. The period is each objective's own, 30 days or another.",
                "none",
                (FAST, SLOW),
            ),
            Query(rule(f"slo:current_burn_rate:ratio{RULE}"), f"{NAME} now"),
            Query(rule(f"slo:period_burn_rate:ratio{RULE}"), f"{NAME} period"),
            lines=((1.0, YELLOW),),
        ),
        graph(
            PanelSpec(
                "Time until the budget is spent",
                "At the burn of the last six hours: budget left x period / burn. 0 when it is spent, "
                "nothing while nothing is burnt. What the window forgets meanwhile is not counted in.",
                "s",
                (FAST,),
            ),
            Query(seconds_to_exhaustion(), NAME),
        ),
    ]


def _events() -> list[Panel]:
    return [
        current_table(
            PanelSpec(
                "Events by window",
                "The whole numbers that every percentage is made of, without excluded maintenance.",
                "none",
                (),
                24,
                9,
            ),
            {**KEYS, "window": "Window"},
            *objective_tables.by_window(),
        ),
        graph(
            PanelSpec("Good events by window", "Counted from raw samples, to the last event.", "short"),
            Query(exact("slo_good_events"), WINDOWED),
        ),
        graph(
            PanelSpec("All events by window", "Good and bad ones; 0 is true: nothing happened.", "short"),
            Query(exact("slo_total_events"), WINDOWED),
        ),
    ]


def _trust() -> list[Panel]:
    return [
        state_timeline(
            PanelSpec(
                "State by window",
                "no data: all is known, and nothing happened. source missing: part of the window is not "
                "known, and nothing is claimed of it; it heals when the samples arrive.",
                "none",
                (),
                24,
                9,
            ),
            Query(state(), WINDOWED),
            STATES,
        ),
        graph(
            PanelSpec(
                "Error budget left, ledger and rules",
                "The exact figure over each objective's own period and what the recording rules say of it; "
                "of a calendar month they say nothing.",
                "percent",
            ),
            Query(budget_left(OWN), f"{NAME} ledger"),
            Query(budget_left_by_rules(), f"{NAME} rules"),
            lowest=None,
        ),
        graph(
            PanelSpec(
                "Ledger minus rules",
                "Percentage points. A few are extrapolation, the unfinished hour and excluded maintenance, "
                "which rules know nothing of; many are lost samples.",
                "percent",
            ),
            Query(f"{budget_left(OWN)} - {budget_left_by_rules()}", NAME),
            lowest=None,
        ),
        graph(
            PanelSpec(
                "Age of the newest figure",
                "Figures are made each hour, twelve minutes after its end: up to about 75 minutes is normal.",
                "s",
                ("system.md#dagsterdaemondown",),
                24,
            ),
            Query(age(), NAME),
            lines=LATE,
        ),
    ]


def _exclusions() -> build.AnnotationQuery:
    expr = plain("slo_exclusion_active") + " == 1"
    return (
        build.AnnotationQuery()
        .name("Excluded maintenance")
        .datasource(PROMETHEUS)
        .enable(True)
        .icon_color(GREY)
        .expr(expr)
        .step("60s")
        .title_format("Excluded maintenance")
        .text_format(NAME)
        .tag_keys("service,slo")
        .target(prometheus.Dataquery().datasource(PROMETHEUS).expr(expr).ref_id("Anno"))
    )
