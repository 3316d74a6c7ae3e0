"""The tables of objectives: each one now, and the counts of each window."""

from __future__ import annotations

from ops_platform.grafana.objective_queries import (
    OWN,
    RULE,
    achieved,
    age,
    budget_left,
    exact,
    plain,
    rule,
    seconds_to_exhaustion,
    state,
    verdict,
)
from ops_platform.grafana.panels import Column
from ops_platform.grafana.style import GREEN, GREY, RED, YELLOW, value_mappings

STATES = value_mappings(
    {
        0: ("ok", GREEN),
        1: ("no data", GREY),
        2: ("source missing", RED),
        # Two agents disagree for the moment in which only one has looked.
        3: ("source missing", RED),
        4: ("bounded", YELLOW),
        5: ("bounded", YELLOW),
        6: ("source missing", RED),
        7: ("source missing", RED),
    }
)
VERDICTS = value_mappings(
    {
        0: ("met", GREEN),
        1: ("at risk", YELLOW),
        2: ("breached", RED),
        # Two agents disagree for the moment in which only one has looked.
        3: ("breached", RED),
        4: ("undecided", GREY),
        5: ("undecided", GREY),
        6: ("breached", RED),
        7: ("breached", RED),
    }
)
KEYS = {"service": "Service", "slo": "Objective"}
LEFT = ((0.001, YELLOW), (25.0, GREEN))
BURNING = ((1.0, YELLOW), (6.0, RED))
LATE = ((2 * 3600.0, YELLOW), (3 * 3600.0, RED))


def now() -> list[Column]:
    """List the columns of the objectives as they are now."""
    return [
        Column("Verdict, own period", verdict(OWN), "none", mappings=VERDICTS),
        Column("Target", plain("slo_target_percentage"), "percent"),
        Column("Achieved, own period", achieved(OWN), "percent", 3),
        Column(
            "Budget left, own period",
            budget_left(OWN),
            "percent",
            1,
            steps=LEFT,
            start=RED,
        ),
        Column(
            "Burn, 5 min", rule(f"slo:current_burn_rate:ratio{RULE}"), "none", 2, steps=BURNING, start=GREEN
        ),
        Column(
            "Burn, period", rule(f"slo:period_burn_rate:ratio{RULE}"), "none", 2, steps=BURNING, start=GREEN
        ),
        Column(
            "Spent in",
            seconds_to_exhaustion(),
            "dtdurations",
            steps=((259200.0, YELLOW), (864000.0, GREEN)),
            start=RED,
        ),
        Column("State, own period", state(OWN), "none", mappings=STATES),
        Column("Age of the figures", age(), "dtdurations", steps=LATE, start=GREEN),
        Column(
            "Maintenance",
            plain("slo_exclusion_active"),
            "none",
            mappings=value_mappings({0: ("no", "transparent"), 1: ("excluded now", GREY)}),
        ),
    ]


def by_window() -> list[Column]:
    """List the columns of each window's counts."""
    good, total = exact("slo_good_events"), exact("slo_total_events")
    return [
        Column("Good", good, "none", 0),
        Column("All", total, "none", 0),
        Column("Bad", f"{total} - {good}", "none", 0),
        Column("Achieved", achieved(), "percent", 3),
        Column(
            "Budget left",
            budget_left(),
            "percent",
            1,
            steps=LEFT,
            start=RED,
        ),
        Column("State", state(), "none", mappings=STATES),
    ]
