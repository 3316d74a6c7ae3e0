"""What samples hide is never taken for nothing: cases that were `ok`, or bounded without the truth.

One good event a second and a bad one every 15, scraped every 15 seconds: 3,600 and 240 an hour.
"""

from __future__ import annotations

import json

import numpy as np
import pytest

from ops_platform.clients import matrix_stream
from ops_platform.slo.bounds import Bounds
from ops_platform.slo.counting.samples import Mask, Times, Values
from ops_platform.slo.counting.window import WindowCount
from ops_platform.slo.objectives.model import Indicator
from ops_platform.slo.objectives.selector import Selector
from ops_platform_tests.slo.counting.stored import BASE, EDGES, HOUR, SECONDS, TIMES, Stored, counted, stored

INDICATOR = Indicator(total=Selector.parse("x_total"), bad=Selector.parse('x_total{code="500"}'))
GOOD, BAD = 1_000_000 + SECONDS, 20_000 + SECONDS // 15
TARGET = {"job": "p", "instance": "a"}
LONG_AGO = 5
ALL: Mask = TIMES > 0


def target(times: Times = TIMES, up: Values | int = 1, told: bool = True, **labels: str) -> list[Stored]:
    of_target = {**TARGET, **labels}
    good = times[np.broadcast_to(up, times.shape) == 1]
    start = [stored("process_start_time_seconds", LONG_AGO, good, **of_target)] if told and good.size else []
    return [stored("up", up, times, **of_target), *start]


def counters(good: Values = GOOD, bad: Values = BAD, kept: Mask = ALL, **labels: str) -> list[Stored]:
    return [
        stored("x_total", values[kept], TIMES[kept], code=code, **{**TARGET, **labels})
        for code, values in (("200", good), ("500", bad))
    ]


def contains(window: WindowCount, good: int, bad: int) -> bool:
    bounds = window.bounds
    if window.good is not None and window.bad is not None:
        bounds = Bounds.exactly(window.good, window.bad)
    if bounds is None:
        return True
    return bounds.good_least <= good <= bounds.good_most and bounds.bad_least <= bad <= bounds.bad_most


def between(since: int, until: int) -> Mask:
    """Mark the times after ``since`` and up to ``until``, in milliseconds of the first hour."""
    return (EDGES[0] + since < TIMES) & (EDGES[0] + until >= TIMES)


# --- a metric that vanishes ---


@pytest.mark.parametrize("told", [True, False])
def test_a_metric_that_vanishes_has_not_counted_nothing(told: bool) -> None:
    """Its process goes on: that was taken for the proof that nothing happened, and the month was met."""
    windows = counted(INDICATOR, *target(told=told), *counters(kept=EDGES[0] + 1_200_000 >= TIMES))
    assert [window.state for window in windows] == ["bounded", "source_missing", "source_missing"]
    assert contains(windows[0], 3600, 240)


def test_a_metric_that_comes_back_shows_what_it_counted() -> None:
    away = between(1_200_000, 2 * HOUR + 600_000)
    bad = BAD + np.where(away | (EDGES[2] + 600_000 < TIMES), 10_000, 0)
    windows = counted(INDICATOR, *target(), *counters(bad=bad, kept=~away))
    assert [window.state for window in windows] == ["bounded", "source_missing", "bounded"]
    bounds = windows[2].bounds
    assert bounds is not None
    # 100 minutes and the rest of the hour, seen at once.
    assert bounds.bad_most >= 10_000 + 6600 // 15 + 3000 // 15 - 1


@pytest.mark.parametrize("codes", [("500",), ("200", "500")], ids=["its errors", "all of one instance"])
def test_what_a_running_process_no_longer_shows_is_missed(codes: tuple[str, ...]) -> None:
    """A client library does not take a counter out of a process that runs."""
    data = [
        stored("x_total", values[kept], TIMES[kept], code=code, job="p", instance="a")
        for code, values in (("200", GOOD), ("500", BAD))
        for kept in [EDGES[0] + (1_200_000 if code in codes else 9 * HOUR) > TIMES]
    ]
    windows = counted(INDICATOR, *target(), *data, *target(instance="b"), *counters(instance="b"))
    assert windows[0].state == "bounded"
    assert "its process goes on" in (windows[0].reason or "")
    # One that reports no start may have begun anew, and not counted anything since.
    data += [*target(told=False), *target(told=False, instance="b"), *counters(instance="b")]
    assert {window.state for window in counted(INDICATOR, *data)} == {"ok"}


# --- what a counter shows is no matter of capacity ---


@pytest.mark.parametrize("tried", [True, False], ids=["scrapes fail", "nobody tries"])
def test_a_difference_across_two_windows_is_in_both(tried: bool) -> None:
    """60,000 bad events while a process could not be scraped, which its counter shows afterwards."""
    away = between(HOUR - 240_000, HOUR + 240_000)
    bad = BAD + np.where(EDGES[0] + HOUR - 240_000 < TIMES, 60_000, 0)
    mine = target(up=np.where(away, 0, 1)) if tried else target(TIMES[~away])
    windows = counted(
        INDICATOR, *mine, *counters(bad=bad, kept=~away), *target(instance="b"), *counters(instance="b")
    )
    for window in windows[:2]:
        assert window.bounds is not None
        assert window.bounds.bad_most >= 60_000
    # Cut where an exclusion begins, likewise.
    cut = [EDGES[0], EDGES[1] - 60_000, EDGES[1] + 120_000, EDGES[2]]
    for window in counted(INDICATOR, *mine, *counters(bad=bad, kept=~away), edges=cut):
        assert window.bounds is not None
        assert window.bounds.bad_most >= 60_000


def test_a_fall_that_may_be_a_restart_may_be_all_new() -> None:
    """6,000 and then 3,500: after a deploy all clients try again."""
    at = EDGES[0] + 1_800_000
    bad = np.where(at >= TIMES, 6000, 3500)
    [window, *_] = counted(INDICATOR, *target(told=False), *counters(bad=bad))
    assert window.bounds is not None
    assert window.bounds.bad_most >= 3500


# --- a dip that lasts ---


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize("depth", [300_000, 600_000])
@pytest.mark.parametrize("begins", [1_800_000, HOUR - 380_000], ids=["in an hour", "over its end"])
def test_a_dip_of_minutes_is_not_counted_when_it_ends(told: bool, depth: int, begins: int) -> None:
    good = GOOD - np.where(between(begins, begins + 500_000), depth, 0)
    windows = counted(INDICATOR, *target(told=told), *counters(good=good))
    assert all(contains(window, 3600, 240) for window in windows)
    assert windows[0].state == "bounded"
    assert windows[2].state == "ok"


def test_a_restart_that_grows_again_is_known() -> None:
    """Five minutes in the life of a process, and more in that of the next one."""
    began = EDGES[0] + 420_000
    lived = (TIMES - np.where(began <= TIMES, began, EDGES[0])) // 1000
    lived = np.where(EDGES[0] > TIMES, 0, lived)
    windows = counted(INDICATOR, *target(told=False), *counters(good=lived, bad=lived // 15))
    assert [window.state for window in windows] == ["ok"] * 3


# --- series with labels of their own ---


def test_a_replica_label_of_the_application_drops_nothing() -> None:
    shard = [
        stored("x_total", values, code=code, replica="s1", job="p", instance="a")
        for code, values in (("200", SECONDS), ("500", SECONDS // 2))
    ]
    plain = stored("x_total", SECONDS, code="200", job="p", instance="a")
    for window in counted(INDICATOR, *target(), plain, *shard, replica_labels=["replica"]):
        assert window.state == "source_missing"
        assert "OPS_PROMETHEUS_REPLICA_LABELS" in (window.reason or "")
    for window in counted(INDICATOR, *target(), plain, *shard):
        assert (window.good, window.bad) == (7200, 1800)


PROD = Indicator(
    total=Selector.parse('x_total{namespace="prod"}'),
    bad=Selector.parse('x_total{namespace="prod",code="500"}'),
)
EARLIER: Times = np.arange(BASE - 2 * HOUR, BASE - HOUR, 60_000, dtype=np.int64)


def of_prod(instance: str, times: Times = TIMES) -> list[Stored]:
    seconds = times // 1000
    return [
        stored("x_total", values, times, code=code, job="k", instance=instance, namespace="prod")
        for code, values in (("200", seconds), ("500", seconds // 15))
    ]


@pytest.mark.parametrize("others", ["override", "have it themselves"])
def test_a_failing_target_whose_label_is_overridden_is_missed(others: str) -> None:
    """With ``honor_labels``: of one that is down for longer than the reading nothing is seen but its past."""
    namespace = "system" if others == "override" else "prod"
    windows = counted(
        PROD,
        stored("up", 1, job="k", instance="a", namespace=namespace),
        stored("up", 1, EARLIER, job="k", instance="b", namespace="system"),
        stored("up", 0, job="k", instance="b", namespace="system"),
        *of_prod("a"),
        *of_prod("b", EARLIER),
    )
    for window in windows:
        assert window.state == "bounded"
        assert 'instance="b"' in (window.reason or "")


def test_an_address_that_production_had_once_is_not_missed() -> None:
    windows = counted(
        PROD,
        stored("up", 1, job="k", instance="a", namespace="prod"),
        stored("up", 1, EARLIER, job="k", instance="b", namespace="prod"),
        stored("up", 0, job="k", instance="b", namespace="staging"),
        *of_prod("a"),
        *of_prod("b", EARLIER),
    )
    assert [window.state for window in windows] == ["ok"] * 3


# --- one counter that is stored twice ---


def in_clusters(of_x: Values, of_y: Values, code: str) -> list[Stored]:
    return [
        stored("x_total", values, code=code, job="k", instance="10.0.0.1:80", cluster=cluster)
        for cluster, values in (("x", of_x), ("y", of_y))
    ]


UPS = [stored("up", 1, job="k", instance="10.0.0.1:80", cluster=cluster) for cluster in "xy"]
ONE = np.ones_like(SECONDS)


def test_equal_values_that_do_not_change_count_nothing_twice() -> None:
    """Two clusters with the same private address: both have had one error, weeks ago."""
    windows = counted(
        INDICATOR, *UPS, *in_clusters(SECONDS, 9000 + 3 * SECONDS, "200"), *in_clusters(ONE, ONE, "500")
    )
    assert [(window.good, window.bad) for window in windows] == [(4 * 3600, 0)] * 3


@pytest.mark.parametrize("shift", [0, 1, 3])
def test_a_slow_counter_that_is_stored_twice_never_counts_twice(shift: int) -> None:
    """An event in 10 minutes, which the other one of the two shows a little later."""
    slow = 7 + SECONDS // 600
    late = np.concatenate((slow[:1].repeat(shift), slow[: slow.size - shift]))
    series = in_clusters(SECONDS, 5 * SECONDS, "200") + in_clusters(slow, late, "500")
    edges = [EDGES[0] + minutes * 60_000 for minutes in range(0, 170, 3)]
    windows = counted(INDICATOR, *UPS, *series, edges=edges)
    assert any(window.bad is not None for window in windows)
    for start, window in zip(edges, windows, strict=False):
        true = int(slow[start + 180_000 <= TIMES][0] - slow[start <= TIMES][0])
        if window.bad is not None:
            assert window.bad == true == 0


def test_a_native_histogram_has_not_counted_nothing() -> None:
    """Its samples are no numbers, and were passed over: bad events without series, so an hour without any."""
    histogram = {"count": "1", "sum": "1", "buckets": []}
    labels = {"__name__": "failed_seconds", **TARGET}
    answer = {"metric": labels, "histograms": [[at / 1000, histogram] for at in TIMES.tolist()]}
    body = {"status": "success", "data": {"resultType": "matrix", "result": [answer]}}
    _, [(_, samples)] = matrix_stream.parse([json.dumps(body)])
    shown = [Stored(labels, [(at, value) for at, value in samples.tolist()])] if len(samples) else []
    failed = Indicator(total=INDICATOR.total, bad=Selector("failed_seconds", ()))
    windows = counted(failed, *target(), *counters(), *shown)
    assert {window.state for window in windows} == {"source_missing"}
    assert "native histogram" in (windows[0].reason or "")
