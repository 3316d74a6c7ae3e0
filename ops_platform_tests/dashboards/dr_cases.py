"""Cases of dr.yml."""

from __future__ import annotations

from collections.abc import Mapping

from ops_platform_tests.dashboards.rule_case import DAY, HOUR, PRODUCT, Case, gauge


def recovery(severity: str, **labels: str) -> tuple[Mapping[str, str], ...]:
    return ({"severity": severity, "service": "dr", "stanza": "product", **labels},)


def succeeded(minute: int, **labels: str) -> dict[str, str]:
    """The last good exercise, by its minute; before the start, as promtool works through all after it."""
    return gauge("dr_exercise_last_success_timestamp_seconds", 60 * minute, **labels)


def expected_since(minute: int, **labels: str) -> dict[str, str]:
    return gauge("dr_exercise_expected_since_timestamp_seconds", 60 * minute, **labels)


LATEST = {"stanza": "product", "scenario": "latest"}
STOLEN = {"stanza": "product", "scenario": "stolen_key"}
DR = (
    Case(
        "DrExerciseFailed",
        "the newest exercise was no success",
        1,
        gauge("dr_exercise_last_failed", 1, **LATEST),
        recovery("critical", scenario="latest"),
    ),
    Case(
        "DrExerciseFailed",
        "a later one succeeded",
        2,
        {'dr_exercise_last_failed{scenario="latest"}': "1 0 0"},
    ),
    Case(
        "DrExerciseOverdue",
        "35 days and an hour since the last good one",
        HOUR,
        succeeded(-35 * DAY, **LATEST) | expected_since(-35 * DAY, **LATEST),
        recovery("warning", scenario="latest", cadence="monthly"),
        "35d 1h 0m 0s",
    ),
    Case(
        "DrExerciseOverdue",
        "never a good one since the first backup",
        HOUR,
        expected_since(-35 * DAY, **LATEST),
        recovery("warning", scenario="latest", cadence="monthly"),
        "35d 1h 0m 0s",
    ),
    Case(
        "DrExerciseOverdue",
        "the first backup is old, the last good exercise is not",
        HOUR,
        succeeded(2 * HOUR - 35 * DAY, **LATEST) | expected_since(-35 * DAY, **LATEST),
    ),
    Case(
        "DrExerciseOverdue",
        "the stolen key is exercised quarterly",
        HOUR,
        succeeded(HOUR - 99 * DAY, **STOLEN),
    ),
    Case(
        "DrExerciseOverdue",
        "100 days and an hour since the last stolen key",
        HOUR,
        succeeded(-100 * DAY, **STOLEN),
        recovery("warning", scenario="stolen_key", cadence="quarterly"),
        "100d 1h 0m 0s",
        says="quarterly",
    ),
    Case(
        "DrPredictedRtoHigh",
        "more than 80 % of the promise",
        1,
        gauge("dr_predicted_rto_seconds", 1441, **PRODUCT) | gauge("dr_rto_target_seconds", 1800, **PRODUCT),
        recovery("warning"),
        "24m 1s",
    ),
    Case(
        "DrPredictedRtoHigh",
        "80 % of the promise to the second",
        1,
        gauge("dr_predicted_rto_seconds", 1440, **PRODUCT) | gauge("dr_rto_target_seconds", 1800, **PRODUCT),
    ),
)
