"""The row of exercises: measured against promised RTO and RPO, and the last success."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Panel

from ops_platform.grafana.panels import Column, PanelSpec, current_table, graph
from ops_platform.grafana.stanza_queries import CHOSEN, age, by_scenario, by_stanza, share_of_target
from ops_platform.grafana.style import GREEN, RED, YELLOW, Query, value_mappings

SCENARIO = "{{stanza}} {{scenario}}"
DAY = 86400.0
OVERDUE = ((31 / 35, YELLOW), (1.0, RED))
"""Shares of the time after which an exercise is overdue."""
TERMS = {"!=": 35 * DAY, "=": 100 * DAY}
"""By the matcher of the scenario ``stolen_key``: monthly exercises, and the quarterly one."""
NEAR = ((0.8, YELLOW), (1.0, RED))
"""Shares of a target: so close to it that a larger cluster would miss it, and missed."""
RTO, RPO = by_scenario("dr_exercise_rto_seconds"), by_scenario("dr_exercise_rpo_seconds")


def panels() -> list[Panel]:
    """Build the panels of the row."""
    return [
        current_table(
            PanelSpec(
                "Every exercise",
                "Restores beside production, each month; of a stolen key, each quarter. Overdue after 35 "
                "and 100 days: nobody knows any more that a restore works.",
                "none",
                ("exercises.md#drexercisefailed", "exercises.md#drexerciseoverdue"),
                24,
                8,
            ),
            {"stanza": "Stanza", "scenario": "Scenario"},
            *_exercises(),
        ),
        graph(
            PanelSpec(
                "Time to recover (RTO) by scenario",
                "From the declared disaster to the first transaction, of the newest exercise.",
                "s",
                ("exercises.md#drexercisefailed",),
                8,
            ),
            Query(RTO, SCENARIO),
            Query(by_stanza("dr_rto_target_seconds", how="min"), "{{stanza}} target"),
        ),
        graph(
            PanelSpec(
                "Data loss (RPO) by scenario",
                "From the newest heartbeat recovered to the disaster, of the newest exercise.",
                "s",
                ("exercises.md#drexercisefailed",),
                8,
            ),
            Query(RPO, SCENARIO),
            Query(by_stanza("backup_rpo_target_seconds", how="min"), "{{stanza}} target"),
        ),
        graph(
            PanelSpec(
                "Predicted time to recover production",
                "At the size declared in backups.yaml; more than 80 % of the promise is an alert.",
                "s",
                ("exercises.md#drpredictedrtohigh",),
                8,
            ),
            Query(by_stanza("dr_predicted_rto_seconds"), "{{stanza}}"),
            Query(by_stanza("dr_rto_target_seconds", how="min"), "{{stanza}} target"),
        ),
    ]


def _exercises() -> list[Column]:
    return [
        Column(
            "Last success",
            age("dr_exercise_last_success_timestamp_seconds", "stanza, scenario"),
            "dtdurations",
        ),
        Column("of the term", _share_of_term(), "percentunit", 0, steps=OVERDUE, start=GREEN),
        Column(
            "Could be exercised for",
            age("dr_exercise_expected_since_timestamp_seconds", "stanza, scenario"),
            "dtdurations",
        ),
        Column(
            "Newest exercise",
            by_scenario("dr_exercise_last_failed"),
            "none",
            mappings=value_mappings({0: ("succeeded", GREEN), 1: ("failed", RED)}),
        ),
        Column("RTO", RTO, "s", 1),
        Column(
            "of the promised RTO",
            share_of_target("dr_rto_target_seconds", RTO),
            "percentunit",
            0,
            steps=NEAR,
            start=GREEN,
        ),
        Column("RPO", RPO, "s", 1),
        Column(
            "of the promised RPO",
            share_of_target("backup_rpo_target_seconds", RPO),
            "percentunit",
            0,
            steps=NEAR,
            start=GREEN,
        ),
    ]


def _share_of_term() -> str:
    """Compute the share of a scenario's term that has passed since its last success."""
    return " or ".join(
        "(time() - max by (stanza, scenario) (dr_exercise_last_success_timestamp_seconds"
        f'{{{CHOSEN},scenario{matcher}"stolen_key"}})) / {term}'
        for matcher, term in TERMS.items()
    )
