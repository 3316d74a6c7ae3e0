"""The demo product's past: the same for a plan, countable, and with something in it to look at."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from ops_platform.local.demo.history.samples import JOB, History, Key, Values, history, rhythm
from ops_platform.local.demo.history.timetable import DAY, FORGERIES, HOUR, STEP_SECONDS, HistoryPlan
from ops_platform.local.demo.product_metrics import TrafficMetrics
from ops_platform.local.demo_history import countable, day_keys, hour_keys
from ops_platform_tests import hypothesis_profile

END = 1_795_833_173
GAUGES = {"up", "product_database_up", "process_start_time_seconds"}

ends = st.integers(1_767_225_600, 1_900_000_000)
plans = st.builds(
    HistoryPlan,
    end=ends,
    days=st.integers(1, 60),
    rate=st.sampled_from([0.01, 1.0, 4.0, 100.0]),
    seed=st.integers(0, 2**32),
    instance=st.just("127.0.0.1:9000"),
)


def planned(**changes: Any) -> HistoryPlan:
    given = {"end": END, "days": 30, "rate": 4.0, "seed": 1, "instance": "127.0.0.1:9000"}
    return HistoryPlan(**{**given, **changes})


@pytest.fixture(scope="module")
def month() -> History:
    return history(planned())


def counters(past: History) -> dict[Key, Values]:
    return {key: values for key, values in past.values.items() if key[0] not in GAUGES}


def total(past: History, name: str, since: int = 0, until: int = END, **labels: str) -> int:
    """Events in (since, until] of all series with these labels."""
    low, high = np.searchsorted(past.times, [since, until], side="right")
    wanted = set(labels.items())
    return sum(
        int(events[low:high].sum())
        for (metric, pairs), events in past.events.items()
        if metric == name and wanted <= set(pairs)
    )


def bad_responses(past: History, since: int = 0, until: int = END) -> int:
    return sum(total(past, "product_api_responses_total", since, until, code=code) for code in ("500", "503"))


@given(plans)
def test_a_plan_holds_the_days_that_were_asked_for(plan: HistoryPlan) -> None:
    times = np.arange(plan.begins, plan.end + 1, STEP_SECONDS)
    assert times[-1] == plan.end
    assert plan.first_hour - plan.begins >= 2 * 300
    assert (plan.last_hour - plan.first_hour) // DAY > plan.days
    assert plan.scrapes == np.sum((times <= plan.gap[0]) | (plan.gap[1] <= times))
    assert plan.gap[0] // HOUR == plan.gap[1] // HOUR
    # Budgets over the days that were asked for know all their hours.
    assert plan.gap[1] < plan.last_hour - plan.days * DAY
    for span in (plan.incident, plan.forgery):
        assert span is None or (plan.last_hour - plan.days * DAY <= span[0] and span[1] < plan.end - 3 * DAY)


@given(plans, st.integers(0, 2 * HOUR))
def test_the_partitions_are_full_hours_and_days_that_are_over(plan: HistoryPlan, later: int) -> None:
    end = countable(plan, plan.end + later)
    assert end <= plan.last_hour
    assert end + 300 < plan.end + later
    hours, days = hour_keys(plan, end), day_keys(plan, end)
    assert hours[0] < hours[1]
    assert days[0] <= days[1]
    assert hours[0] <= f"{days[0]}-00:00"
    assert f"{days[1]}-23:00" <= hours[1]


@settings(max_examples=hypothesis_profile.examples(12))
@given(plans.filter(lambda plan: plan.days < 20))
def test_whatever_the_plan_counters_only_grow_and_buckets_add_up(plan: HistoryPlan) -> None:
    past = history(plan)
    began = np.searchsorted(past.times, plan.deploys)
    for key, values in counters(past).items():
        assert values.dtype == np.int64
        assert (values >= 0).all()
        falls = np.flatnonzero(np.diff(values) < 0) + 1
        assert set(falls) <= set(began), key
        # What Prometheus shows holds every event: differences, and all of it where it began anew.
        grown = np.diff(values, prepend=0)
        grown[began] = values[began]
        assert (grown == past.events[key]).all()
    for name in ("product_publishing_duration_seconds", "product_media_transcoding_duration_seconds"):
        buckets = [values for (metric, _), values in past.values.items() if metric == f"{name}_bucket"]
        assert all((low <= high).all() for low, high in pairwise(buckets))
        assert (buckets[-1] == past.values[f"{name}_count", ()]).all()


def test_it_has_every_series_of_the_living_product(month: History) -> None:
    living = {
        (sample.name, tuple(sorted(sample.labels.items())))
        for family in TrafficMetrics().registry.collect()
        for sample in family.samples
        if not sample.name.endswith("_created") and not sample.name.startswith("process_")
    }
    assert set(month.values) == {*living, ("up", ()), ("process_start_time_seconds", ())}
    # Nothing happened to a series that the living product does not have.
    assert set(month.events) <= set(month.values)


def test_the_same_plan_is_the_same_past_and_another_seed_another() -> None:
    plan = planned(days=1)
    one, two, other = history(plan), history(plan), history(planned(days=1, seed=2))
    assert one.values.keys() == two.values.keys()
    assert all((values == two.values[key]).all() for key, values in one.values.items())
    text = "".join(one.lines(END - HOUR, END + 1))
    assert text == "".join(two.lines(END - HOUR, END + 1))
    assert text != "".join(other.lines(END - HOUR, END + 1))


def test_text_is_what_a_scrape_would_have_shown() -> None:
    plan = planned(days=1)
    past = history(plan)
    # Cut anywhere, here around the hour without scrapes.
    start, middle, end = plan.gap[0] - HOUR // 6, plan.gap[0] + 7, plan.gap[1] + HOUR // 6
    text = "".join([*past.lines(start, middle), *past.lines(middle, end)])
    found: dict[Key, list[tuple[int, int]]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = dict(sample.labels)
            assert (labels.pop("job"), labels.pop("instance")) == (JOB, plan.instance)
            assert sample.timestamp is not None
            moment = round(float(sample.timestamp) * 1000)
            found.setdefault((sample.name, tuple(sorted(labels.items()))), []).append(
                (moment, int(sample.value))
            )
    kept = past.scraped & (past.times >= start) & (past.times < end)
    assert set(found) == set(past.values)
    for key, values in past.values.items():
        assert found[key] == list(zip(past.times[kept].tolist(), values[kept].tolist(), strict=True))


def test_each_deploy_is_a_new_process_with_new_counters(month: History) -> None:
    started = month.values["process_start_time_seconds", ()]
    changes = np.flatnonzero(np.diff(started)) + 1
    assert tuple(started[changes].tolist()) == month.plan.deploys
    assert len(changes) == 2
    responses = month.values[
        "product_api_responses_total", (("code", "200"), ("method", "GET"), ("route", "/feed"))
    ]
    for at in changes:
        assert month.times[at - 1] < started[at] <= month.times[at]
        assert responses[at] < responses[at - 1]


def test_one_hour_has_no_scrapes_and_its_neighbours_have(month: History) -> None:
    hours = month.times[month.scraped] // HOUR
    full = range(month.plan.first_hour // HOUR, month.plan.last_hour // HOUR)
    few = [hour for hour in full if (hours == hour).sum() < HOUR // STEP_SECONDS - 1]
    assert few == [month.plan.gap[0] // HOUR]


def test_the_incident_spends_budgets_and_the_last_days_are_quiet(month: History) -> None:
    since = month.plan.last_hour - 30 * DAY
    assert month.plan.incident is not None
    start, end = month.plan.incident
    api, budget = total(month, "product_api_responses_total", since), 0.001
    assert 0.3 < bad_responses(month, since) / (api * budget) < 0.75
    assert bad_responses(month, start, end) > 0.5 * bad_responses(month, since)
    attempts = total(month, "product_publishing_attempts_total", since)
    failed = total(month, "product_publishing_attempts_total", since, result="failure")
    assert 0.4 < failed / (attempts * 0.01) < 0.75
    outage = total(month, "product_api_responses_total", start, end, code="503")
    assert outage == total(month, "product_api_responses_total", code="503") > 0
    assert total(month, "product_database_losses_total", start, end) == 1
    # Not one hour of the last three days burns as fast as the slowest page (6) asks for.
    for hour in range(month.plan.last_hour - 3 * DAY, month.plan.last_hour, HOUR):
        responses = total(month, "product_api_responses_total", hour, hour + HOUR)
        assert bad_responses(month, hour, hour + HOUR) < 6 * budget * responses


def test_a_handful_of_signatures_was_invalid_once(month: History) -> None:
    assert month.plan.forgery is not None
    start, end = month.plan.forgery
    name = "product_webhook_deliveries_total"
    assert total(month, name, start, end, signature="invalid") == FORGERIES
    assert total(month, name, signature="invalid") == FORGERIES


def test_a_short_past_has_neither() -> None:
    plan = planned(days=2)
    assert (plan.incident, plan.forgery, len(plan.deploys)) == (None, None, 1)
    past = history(plan)
    assert total(past, "product_webhook_deliveries_total", signature="invalid") == 0


def test_days_and_weeks_have_a_rhythm() -> None:
    week = np.arange(0, 7 * DAY, 60, dtype=np.int64)
    busy = rhythm(week)
    assert abs(busy.mean() - 1) < 0.01
    assert (busy > 0).all()
    by_day = busy.reshape(7, -1).mean(axis=1)
    # The epoch was a Thursday.
    assert set(np.flatnonzero(by_day < 1)) == {2, 3}
    assert busy[19 * 60] > 2 * busy[7 * 60]
