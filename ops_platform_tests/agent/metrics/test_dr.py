"""Exercises: milliseconds as recorded are shown as seconds, an exercise that never was is no zero."""

from __future__ import annotations

from datetime import UTC, datetime

from ops_platform.agent.metrics import ExerciseState
from ops_platform_tests.agent.metrics.scraping import NOW, PRODUCT, empty, full, scrape

EXERCISE = (("scenario", "performance"), ("stanza", "product"))


def test_values_are_as_given() -> None:
    samples = scrape(full())
    assert samples[("dr_exercise_rto_seconds", EXERCISE)] == 4
    assert samples[("dr_exercise_rpo_seconds", EXERCISE)] == 53.5
    assert samples[("dr_exercise_last_failed", EXERCISE)] == 0
    assert samples[("dr_predicted_rto_seconds", PRODUCT)] == 1075.5
    assert samples[("dr_rto_target_seconds", PRODUCT)] == 1800


def test_a_scenario_that_was_never_exercised_is_only_expected() -> None:
    known = empty()
    since = datetime.fromtimestamp(NOW - 100, UTC)
    known.dr.exercises.put({("product", "performance"): ExerciseState(since)})
    samples = scrape(known)
    assert {name: samples[name, labels] for name, labels in samples if labels == EXERCISE} == {
        "dr_exercise_expected_since_timestamp_seconds": NOW - 100
    }
    assert ("dr_predicted_rto_seconds", PRODUCT) not in samples
