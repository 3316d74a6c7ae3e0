"""What only Prometheus' memory of earlier days tells: who was there before, and is missing now."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from ops_platform import files
from ops_platform.clients.prometheus import Prometheus
from ops_platform.slo.counting import event_count as counting
from ops_platform.slo.counting.event_count import HOUR
from ops_platform.slo.objectives import openslo
from ops_platform.slo.objectives.model import Indicator, Objective
from ops_platform.slo.objectives.selector import Selector
from ops_platform_tests.slo.recorded import prometheus_with

pytestmark = pytest.mark.services

END = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=2)
START = END - 6 * HOUR
DAYS = 3
STEP = 60.0


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    times = np.arange(END.timestamp() - DAYS * 86400, END.timestamp() + 900, STEP) + 3
    counted = np.arange(times.size, dtype=np.int64)

    def part(low: datetime, high: datetime, values: object = counted) -> list[tuple[float, float]]:
        inside = (times > low.timestamp()) & (times <= high.timestamp())
        return list(zip(times[inside].tolist(), np.asarray(values)[inside].tolist(), strict=True))

    first, last = END - timedelta(days=DAYS), END + HOUR
    a, b = 'instance="a:1",job="product"', 'instance="b:1",job="batch"'
    c, anew = 'instance="c:1",job="again"', START + 2 * HOUR
    hidden, back = END - timedelta(days=2), START + 2.5 * HOUR
    lost = END - timedelta(hours=40)
    responses = "product_api_responses_total"
    recorded = {
        f"up{{{a}}}": part(first, last, np.ones_like(counted)),
        # One series is dropped by a rule for relabelling for more than a day; its counter goes on.
        f'{responses}{{code="200",{a}}}': part(first, last, 2 * counted),
        f'{responses}{{code="500",{a}}}': part(first, hidden) + part(back, last),
        # Of two jobs that publish, one cannot be scraped since long before the day that is looked at.
        f'product_publishing_attempts_total{{result="success",{a}}}': part(first, last),
        f'product_publishing_attempts_total{{result="success",{b}}}': part(first, lost),
        # A process that has begun anew shows one of its series again half an hour later.
        f"up{{{c}}}": part(first, last, np.ones_like(counted)),
        f"process_start_time_seconds{{{c}}}": part(anew, last, np.full_like(counted, int(anew.timestamp()))),
        f'{responses}{{code="200",{c}}}': part(first, hidden, 2 * counted) + part(back, last, 2 * counted),
        f"up{{{b}}}": part(first, lost, np.ones_like(counted)) + part(lost, last, np.zeros_like(counted)),
    }
    with prometheus_with(recorded, tmp_path_factory.mktemp("memory")) as client:
        yield client


def states(prometheus: Prometheus, name: str) -> list[str]:
    every = openslo.load_directory(files.default_config_dir() / "objectives")
    [one] = [each for each in every if each.name == name]
    bounds = counting.hours(START, END)
    found = counting.count(prometheus, [one], bounds, datetime.now(UTC))[one]
    # However the hours are read.
    assert [alone(prometheus, one, start) for start, _ in itertools.pairwise(bounds)] == found
    return [each.state for each in found]


def alone(prometheus: Prometheus, one: Objective, start: datetime) -> object:
    [found] = counting.count(prometheus, [one], [start, start + HOUR], datetime.now(UTC))[one]
    return found


def test_a_series_that_was_hidden_does_not_count_its_whole_life(prometheus: Prometheus) -> None:
    assert states(prometheus, "availability") == ["ok", "ok", "bounded", "ok", "ok", "ok"]


def test_a_job_that_is_down_for_days_is_still_missed(prometheus: Prometheus) -> None:
    assert states(prometheus, "success") == ["source_missing"] * 6


class Counting(Prometheus):
    asked = 0

    def query(self, *arguments: Any, **named: Any) -> Any:
        self.asked += 1
        return super().query(*arguments, **named)


def test_the_past_is_not_asked_for_of_a_process_that_has_begun_since(prometheus: Prometheus) -> None:
    again = Selector.parse('product_api_responses_total{job="again"}')
    every = openslo.load_directory(files.default_config_dir() / "objectives")
    one = replace(every[0], indicator=Indicator(good=again, total=again))
    asking = Counting(prometheus.url)
    hour = [START + 2 * HOUR, START + 3 * HOUR]
    [found] = counting.count(asking, [one], hour, datetime.now(UTC))[one]
    assert found.state == "bounded"
    assert asking.asked == 3  # the series, up, process_start_time_seconds
    asking.close()
