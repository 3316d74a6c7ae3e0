"""Counts from a real Prometheus: to the last event, or not known, with the reason."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray

from ops_platform import files
from ops_platform.cli import cli
from ops_platform.clients.prometheus import Prometheus
from ops_platform.errors import CheckFailed, ConfigurationError
from ops_platform.slo.counting import event_count as counting
from ops_platform.slo.counting.samples import Values
from ops_platform.slo.objectives import GaugeIndicator, Period, Slicing, event_rates, openslo, promql
from ops_platform.slo.objectives.model import Indicator, Objective
from ops_platform.slo.objectives.selector import Selector
from ops_platform.slo.reporting.error_budget import Tally
from ops_platform_tests.slo.recorded import prometheus_with

pytestmark = pytest.mark.services

START = (datetime.now(UTC) - timedelta(hours=12)).replace(minute=0, second=0, microsecond=0)
END = START + timedelta(hours=6)
STEP = 15.0
TARGET = 'instance="a:1",job="product"'


def objectives() -> dict[str, Objective]:
    return {one.name: one for one in openslo.load_directory(files.default_config_dir() / "objectives")}


def ticks(since: float = -1800, until: float = 6 * 3600 + 1800) -> NDArray[np.float64]:
    """Scrapes with a little jitter, always the same."""
    steps = np.arange(since, until, STEP)
    jitter = np.random.default_rng(7).uniform(-1.5, 1.5, steps.size)
    return np.round(START.timestamp() + steps + 7 + jitter, 3)


class Life:
    """The series of one target, and what truly happened in each hour as far as scrapes can tell."""

    def __init__(self) -> None:
        self.times = ticks()
        self.recorded: dict[str, list[tuple[float, float]]] = {}

    def counter(self, series: str, per_scrape: Values, reset: int = -1) -> None:
        values = np.cumsum(per_scrape)
        if reset >= 0:
            values[reset:] -= values[reset - 1]
        self.recorded[series] = list(zip(self.times.tolist(), values.tolist(), strict=True))

    def by_hour(self, per_scrape: Values) -> list[int]:
        edges = [START.timestamp() + 3600 * hour for hour in range(7)]
        low = np.searchsorted(self.times, edges, side="right")
        return [int(per_scrape[a:b].sum()) for a, b in itertools.pairwise(low)]


@pytest.fixture(scope="module")
def truth() -> dict[str, list[int]]:
    return {}


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory, truth: dict[str, list[int]]) -> Iterator[Prometheus]:
    life, random = Life(), np.random.default_rng(11)
    size = life.times.size
    good, failed = random.integers(0, 20, size), random.integers(0, 2, size)
    # An hour's last event is seen by the next hour's first scrape; a deploy at 02:30.
    edge = int(np.searchsorted(life.times, START.timestamp() + 3600, side="right"))
    good[edge - 3 : edge + 3] = [0, 0, 0, 100, 0, 0]
    deploy = int(np.searchsorted(life.times, START.timestamp() + 2.5 * 3600))
    life.counter(f'product_publishing_attempts_total{{result="success",{TARGET}}}', good, deploy)
    life.counter(f'product_publishing_attempts_total{{result="failure",{TARGET}}}', failed, deploy)
    life.counter(f'product_api_responses_total{{code="200",{TARGET}}}', good)
    life.counter(f'product_api_responses_total{{code="500",{TARGET}}}', failed)
    slow = random.integers(0, 2, size)
    life.counter(f'product_publishing_duration_seconds_bucket{{le="10.0",{TARGET}}}', good)
    life.counter(f"product_publishing_duration_seconds_count{{{TARGET}}}", good + slow)
    # One instance has no such bucket from 04:00 on.
    late = life.times >= START.timestamp() + 4 * 3600
    bucket = life.recorded[f'product_publishing_duration_seconds_bucket{{le="10.0",{TARGET}}}']
    other = 'instance="b:1",job="product"'
    life.counter(f"product_publishing_duration_seconds_count{{{other}}}", good)
    life.recorded[f'product_publishing_duration_seconds_bucket{{le="10",{other}}}'] = [
        sample for sample, gone in zip(bucket, late.tolist(), strict=True) if not gone
    ]
    life.recorded[f"up{{{TARGET}}}"] = [(time, 1) for time in life.times.tolist()]
    life.recorded[f"up{{{other}}}"] = [(time, 1) for time in life.times.tolist()]
    # Transcoding: nothing scraped from it between 03:10 and 03:40, which fails all the while.
    third = 'instance="c:1",job="media"'
    away = (life.times > START.timestamp() + 3 * 3600 + 600) & (
        life.times < START.timestamp() + 3 * 3600 + 2400
    )
    for series in (
        f'product_media_transcoding_duration_seconds_bucket{{le="300.0",{third}}}',
        f"product_media_transcoding_duration_seconds_count{{{third}}}",
    ):
        life.counter(series, good)
        life.recorded[series] = [
            sample for sample, gone in zip(life.recorded[series], away.tolist(), strict=True) if not gone
        ]
    life.recorded[f"up{{{third}}}"] = [
        (time, 0 if gone else 1) for time, gone in zip(life.times.tolist(), away.tolist(), strict=True)
    ]
    life.counter(f'product_webhook_deliveries_total{{signature="valid",{TARGET}}}', np.zeros(size, np.int64))
    for code, seen in (("200", good), ("500", failed)):
        life.counter(f'answers_seconds_bucket{{le="10.0",code="{code}",{TARGET}}}', seen)
        life.counter(f'answers_seconds_count{{code="{code}",{TARGET}}}', seen)
    life.recorded[f"probe_success{{{TARGET}}}"] = list(
        zip(life.times.tolist(), (random.random(size) < 0.9).astype(int).tolist(), strict=True)
    )
    for part in ("1", "2"):
        life.recorded[f'lag{{part="{part}",{TARGET}}}'] = list(
            zip(life.times.tolist(), random.normal(50, 20, size).tolist(), strict=True)
        )
    # One says no time at which its process began, and shows no number before it shows one.
    odd = 'instance="odd:1",job="odd"'
    shown = [time for time in life.times.tolist() if not 0 < time - START.timestamp() < 1800]
    life.recorded[f"up{{{odd}}}"] = [(time, 1) for time in life.times.tolist()]
    life.recorded[f"process_start_time_seconds{{{odd}}}"] = [(time, math.nan) for time in life.times.tolist()]
    life.recorded[f"odd_total{{{odd}}}"] = [
        (time, math.inf if time < START.timestamp() else 5) for time in shown
    ]
    life.recorded[f"fractional_total{{{TARGET}}}"] = [(time, 0.5) for time in life.times.tolist()]
    life.recorded[f"negative_total{{{TARGET}}}"] = [(time, -1) for time in life.times.tolist()]
    for labels in (TARGET, 'instance="a:1",job="again"'):
        life.recorded[f"doubled_total{{{labels}}}"] = [
            (time, number) for number, time in enumerate(life.times.tolist())
        ]
    # At the deploy the first scrape shows what was counted since it began.
    truth["good"], truth["failed"] = life.by_hour(good), life.by_hour(failed)
    truth["slow"] = life.by_hour(slow)
    with prometheus_with(life.recorded, tmp_path_factory.mktemp("recorded")) as client:
        yield client


def count(
    prometheus: Prometheus, name: str, start: datetime = START, end: datetime = END
) -> list[tuple[object, ...]]:
    one = objectives()[name]
    found = counting.count(prometheus, [one], counting.hours(start, end), datetime.now(UTC))[one]
    return [(each.good, each.total) for each in found]


def test_every_event_is_in_its_hour(prometheus: Prometheus, truth: dict[str, list[int]]) -> None:
    expected = [(good, good + bad) for good, bad in zip(truth["good"], truth["failed"], strict=True)]
    assert count(prometheus, "success") == expected
    assert count(prometheus, "availability") == expected


def test_increase_loses_what_this_counts(prometheus: Prometheus, truth: dict[str, list[int]]) -> None:
    whole = "sum(increase(product_publishing_attempts_total[6h]))"
    [answer] = prometheus.query(whole, at=END).series
    assert answer.value != sum(truth["good"]) + sum(truth["failed"])
    parts = sum(
        prometheus.query(
            "sum(increase(product_publishing_attempts_total[1h]))", at=START + timedelta(hours=n)
        )
        .series[0]
        .value
        for n in range(1, 7)
    )
    assert parts < sum(truth["good"]) + sum(truth["failed"]) - 50


def test_an_hour_without_scrapes_is_unknown_and_says_since_when(
    prometheus: Prometheus, truth: dict[str, list[int]]
) -> None:
    one = objectives()["transcoding"]
    found = counting.count(prometheus, [one], counting.hours(START, END), datetime.now(UTC))[one]
    assert [each.state for each in found] == ["ok", "ok", "ok", "bounded", "ok", "ok"]
    assert [each.total for each in found if each.total is not None] == [
        good for hour, good in enumerate(truth["good"]) if hour != 3
    ]
    since = START + timedelta(hours=3, minutes=9)
    assert (found[3].reason or "").startswith(f"{since:%H:%M}")
    assert "cannot be scraped" in (found[3].reason or "")
    assert (found[2].scrapes_seen, found[2].scrapes_expected) == (240, 240)
    assert found[3].scrapes_seen == 120
    assert found[3].scrapes_expected == 240
    assert Tally.of(found).total is None


def test_a_bucket_that_an_instance_lacks_is_missed(
    prometheus: Prometheus, truth: dict[str, list[int]]
) -> None:
    found = count(prometheus, "latency")
    assert found[:4] == [
        (2 * good, 2 * good + slow) for good, slow in zip(truth["good"][:4], truth["slow"][:4], strict=True)
    ]
    assert found[4:] == [(None, None)] * 2


def test_no_bucket_is_asked_for_of_what_is_not_good_however_fast(
    prometheus: Prometheus, truth: dict[str, list[int]]
) -> None:
    good, total = 'answers_seconds_bucket{le="10",code!~"5.."}', "answers_seconds_count"
    indicator = Indicator(good=Selector.parse(good), total=Selector.parse(total))
    one = replace(objectives()["latency"], indicator=indicator)
    found = counting.count(prometheus, [one], counting.hours(START, END), datetime.now(UTC))[one]
    assert [(each.good, each.bad) for each in found] == list(zip(truth["good"], truth["failed"], strict=True))


def test_no_traffic_is_no_data(prometheus: Prometheus) -> None:
    one = objectives()["signatures"]
    found = counting.count(prometheus, [one], counting.hours(START, END), datetime.now(UTC))[one]
    assert {each.state for each in found} == {"no_data"}


def test_before_anything_was_recorded_all_is_unknown(prometheus: Prometheus) -> None:
    assert (
        count(prometheus, "success", START - timedelta(hours=20), START - timedelta(hours=18))
        == [(None, None)] * 2
    )


def test_counting_again_gives_the_same_and_a_day_is_its_hours(prometheus: Prometheus) -> None:
    every = list(objectives().values())
    bounds = counting.hours(START, END)
    first = counting.count(prometheus, every, bounds, datetime.now(UTC))
    assert counting.count(prometheus, every, bounds, datetime.now(UTC)) == first
    for hour, (start, end) in enumerate(itertools.pairwise(bounds)):
        alone = counting.count(prometheus, every, [start, end], datetime.now(UTC))
        assert {one: found[0] for one, found in alone.items()} == {one: first[one][hour] for one in every}
    whole = counting.count(prometheus, every, [START, END], datetime.now(UTC))
    for one in every:
        tally = Tally.of(first[one])
        assert (tally.good, tally.total) == (whole[one][0].good, whole[one][0].total)


@pytest.mark.parametrize(
    ("metric", "says"),
    [("fractional_total", "fractional"), ("negative_total", "negative"), ("doubled_total", "same counter")],
)
def test_what_counts_no_events_is_unknown_and_nothing_else_is(
    prometheus: Prometheus, truth: dict[str, list[int]], tmp_path: Path, metric: str, says: str
) -> None:
    text = (files.default_config_dir() / "objectives" / "webhook-signatures.yaml").read_text()
    (tmp_path / "one.yaml").write_text(text.replace("product_webhook_deliveries_total", metric))
    [one] = openslo.load_directory(tmp_path)
    other = objectives()["success"]
    found = counting.count(prometheus, [one, other], counting.hours(START, END), datetime.now(UTC))
    assert {each.state for each in found[one]} == {"source_missing"}
    assert says in (found[one][0].reason or "")
    assert [each.good for each in found[other]] == truth["good"]


def test_a_process_that_shows_no_number_stops_no_other_objective(
    prometheus: Prometheus, truth: dict[str, list[int]]
) -> None:
    odd = Selector("odd_total", ())
    one = replace(objectives()["success"], name="odd", indicator=Indicator(good=odd, total=odd))
    other = objectives()["success"]
    found = counting.count(prometheus, [one, other], counting.hours(START, END), datetime.now(UTC))
    assert "no numbers" in (found[one][0].reason or "")
    assert [each.good for each in found[other]] == truth["good"]


def test_a_window_that_is_not_over_is_refused(prometheus: Prometheus) -> None:
    with pytest.raises(CheckFailed, match="can be counted from"):
        counting.count(prometheus, [], [START, END], END + timedelta(minutes=4))
    with pytest.raises(ConfigurationError, match="not a full hour"):
        counting.hours(START + timedelta(minutes=1), END)


def test_the_command_line_needs_nothing_but_prometheus(
    prometheus: Prometheus, truth: dict[str, list[int]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("OPS_STATE_DIR", str(tmp_path))
    url = prometheus.url
    span = ["slo", "compute", "--from", START.isoformat(), "--to", END.isoformat(), "--prometheus", url]
    done = CliRunner().invoke(cli, [*span, "--json"])
    assert done.exit_code == 1  # an hour is unknown
    found = {one["slo"]: one for one in json.loads(done.stdout)}
    assert found["success"]["good_events"] == sum(truth["good"])
    assert found["transcoding"]["state"] == "bounded"
    assert found["transcoding"]["verdict"] in ("met", "undecided")
    assert (found["transcoding"]["windows_known"], found["transcoding"]["windows_expected"]) == (5, 6)
    done = CliRunner().invoke(cli, span)
    assert "publishing-success" in done.stdout
    assert "cannot be scraped" in done.stderr


def test_gauges_and_slices_are_what_prometheus_makes_of_the_samples(prometheus: Prometheus) -> None:
    """By its own functions, hour by hour and minute by minute."""
    probe = GaugeIndicator(promql.gauge("probe_success"), "gte", Fraction(1))
    lag = promql.gauge("sum(min_over_time(lag[2m]))")
    slow = GaugeIndicator(lag, "lt", Fraction(45), slicing=Slicing(60, Fraction(1)))
    sliced = replace(probe, slicing=Slicing(300, Fraction(9, 10)))
    made = {
        name: Objective("s", name, "", "", Fraction(9, 10), indicator, Period("rolling", 30))
        for name, indicator in (("probe", probe), ("slow", slow), ("sliced", sliced))
    }
    hours = [START + timedelta(hours=number) for number in range(3)]
    counts = counting.count(prometheus, list(made.values()), hours, datetime.now(UTC))
    for number, end in enumerate(hours[1:]):

        def asked(query: str, at: datetime = end) -> float:
            return prometheus.query(query, at=at).series[0].value

        probes = counts[made["probe"]][number]
        assert probes.total == asked("count_over_time(probe_success[1h])")
        assert probes.good == asked("sum_over_time(probe_success[1h])")
        minutes = [hours[number] + timedelta(minutes=minute) for minute in range(1, 61)]
        slices = counts[made["slow"]][number]
        assert slices.good == sum(asked(str(lag), minute) < 45 for minute in minutes)
        assert (slices.total, slices.state) == (60, "ok")
        assert 0 < (slices.good or 0) < 60
        fives = counts[made["sliced"]][number]
        assert fives.good == sum(
            asked("avg_over_time(probe_success[5m])", minute) >= 0.9 for minute in minutes[4::5]
        )
        assert fives.total == 12
        for objective in made.values():
            # What the rules record is evaluated without a fault, and says about the same.
            both, bad = event_rates.all_events(objective), event_rates.bad_events(objective)
            assert 0 <= asked(bad) <= asked(both)
