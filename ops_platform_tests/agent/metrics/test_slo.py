"""Objectives: a figure that is not known has a state and no number."""

from __future__ import annotations

from ops_platform_tests.agent.metrics.scraping import full, scrape


def test_an_objective_whose_events_are_not_known_has_a_state_and_no_number() -> None:
    samples = scrape(full())
    known, unknown = (
        (("service", "api"), ("slo", "availability"), ("window", window)) for window in ("1d", "30d")
    )
    assert samples[("slo_achievement_percentage", known)] == 99.9
    assert samples[("slo_good_events", known)] == 999
    assert samples[("slo_total_events", known)] == 1000
    assert samples[("slo_error_budget_remaining", known)] == 0
    own = (("service", "webhooks"), ("slo", "signatures"), ("window", "28d"))
    assert samples[("slo_period_info", own)] == 1
    assert {name for name, labels in samples if labels == unknown} == {"slo_period_info"}

    def states(window: tuple[tuple[str, str], ...]) -> dict[str, float]:
        return {
            dict(labels)["state"]: value
            for (name, labels), value in samples.items()
            if name == "slo_state" and set(window) < set(labels)
        }

    assert states(known) == {"ok": 1, "no_data": 0, "source_missing": 0, "bounded": 0}
    assert states(unknown) == {"ok": 0, "no_data": 0, "source_missing": 1, "bounded": 0}
    # Of a month with an hour that is bounded: the least and the most, and no number that is neither.
    bounded = {
        dict(labels)["bound"]: value
        for (name, labels), value in samples.items()
        if name == "slo_achievement_percentage" and ("window", "7d") in labels
    }
    assert bounded == {"least": 99.81, "most": 99.95}
    seven_days = (("service", "api"), ("slo", "availability"), ("window", "7d"))
    assert samples[("slo_unknown_hours", seven_days)] == 1
    assert samples[("slo_verdict", (*seven_days[:2], ("verdict", "undecided"), seven_days[2]))] == 1
    assert samples[("slo_verdict", (*seven_days[:2], ("verdict", "met"), seven_days[2]))] == 0
    new = (("service", "webhooks"), ("slo", "signatures"))
    assert samples[("slo_exclusion_active", new)] == 1
    assert samples[("slo_target_percentage", new)] == 100
    assert ("slo_measured_timestamp_seconds", new) not in samples
