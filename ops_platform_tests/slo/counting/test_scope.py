"""Which targets an objective depends on, and which of them shows a series: by all of their labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from ops_platform import files
from ops_platform.clients.prometheus import Prometheus
from ops_platform.slo.counting import deduplication
from ops_platform.slo.counting import event_count as counting
from ops_platform.slo.counting.samples import Labels, Series
from ops_platform.slo.counting.targets import Targets, _by_address, in_scope
from ops_platform.slo.counting.window import WindowCount
from ops_platform.slo.objectives import openslo
from ops_platform.slo.objectives.model import Indicator, Objective
from ops_platform.slo.objectives.selector import Selector
from ops_platform_tests.slo.recorded import prometheus_with

# --- pure -------------------------------------------------------------------------------------------------

KUBELET: Labels = (("instance", "n1"), ("job", "kubelet"))


def at_path(path: str) -> Labels:
    return (*KUBELET, ("metrics_path", path))


def test_a_series_belongs_to_the_target_whose_labels_it_has() -> None:
    paths = [at_path("/metrics"), at_path("/metrics/cadvisor"), KUBELET]
    targets = Targets({}, {}, {}, _by_address(paths))
    series: Labels = (("__name__", "x_total"), ("code", "200"), *KUBELET)
    assert targets.target_of((*series, ("metrics_path", "/metrics/cadvisor"))) == at_path("/metrics/cadvisor")
    assert targets.target_of(series) == KUBELET
    # Relabelling took the label from the series: it is of the only one, and of nobody where there are two.
    assert Targets({}, {}, {}, _by_address(paths[:1])).target_of(series) == at_path("/metrics")
    assert Targets({}, {}, {}, _by_address(paths[:2])).target_of(series) == KUBELET


def test_a_target_matters_when_its_labels_fit() -> None:
    selector = Selector.parse('x_total{namespace="prod",code=~"5.."}')
    assert in_scope(selector, (("instance", "a"), ("job", "api"), ("namespace", "prod")))
    assert not in_scope(selector, (("instance", "a"), ("job", "api"), ("namespace", "staging")))
    # What is no label of targets says nothing of them.
    assert in_scope(selector, (("instance", "a"), ("job", "api")))


def doubled(values: Sequence[int], others: Sequence[int], job: str = "b") -> list[str]:
    times = np.arange(60, dtype=np.int64) * 30_000
    pair = [
        Series(
            (("__name__", "x_total"), ("instance", "node1"), ("job", name)), times, np.array(seen, np.int64)
        )
        for name, seen in (("a", values), (job, others))
    ]
    return [stretch.reason for stretch in deduplication.doubled(pair)]


def test_two_counters_of_one_name_are_compared() -> None:
    ticks = range(60)
    mine = [1000 + 10 * tick for tick in ticks]
    assert doubled(mine, [7 * tick for tick in ticks]) == []
    assert doubled([0] * 60, [0] * 60) == []
    [reason] = doubled(mine, mine)
    assert "the same counter" in reason
    assert 'job="a"' in reason
    # One that overtakes the other is the same for a moment only.
    assert doubled(mine, [1200 + tick for tick in ticks]) == []


# --- a real Prometheus ------------------------------------------------------------------------------------

START = (datetime.now(UTC) - timedelta(hours=5)).replace(minute=0, second=0, microsecond=0)
END = START + timedelta(hours=2)
CASES = {
    "staging": 'staging_total{namespace="prod"}',
    "cluster": 'cluster_total{cluster="x"}',
    "kubelet": "kubelet_total",
    "endpoints": "endpoints_total",
    "node": "node_total",
}


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    times = np.arange(START.timestamp() - 900, END.timestamp() + 900, 30.0) + 3
    recorded: dict[str, list[tuple[float, float]]] = {}

    def target(labels: str, up: int = 1) -> None:
        recorded[f"up{{{labels}}}"] = [(time, up) for time in times.tolist()]

    def counter(name: str, labels: str, per_scrape: int, before: int) -> None:
        values = before + per_scrape * np.arange(times.size)
        recorded[f"{name}{{{labels}}}"] = list(zip(times.tolist(), values.tolist(), strict=True))

    # Staging fails, and has the same job.
    target('instance="p:1",job="api",namespace="prod"')
    target('instance="s:1",job="api",namespace="staging"', up=0)
    counter("staging_total", 'instance="p:1",job="api",namespace="prod"', 2, 5)
    # Cluster y is down; a pod of the same name is in both.
    for cluster, up in (("x", 1), ("y", 0)):
        target(f'cluster="{cluster}",instance="a:1",job="pods",pod="api-0"', up)
        target(f'cluster="{cluster}",instance="b:1",job="pods",pod="api-1"', up)
    counter("cluster_total", 'cluster="x",instance="a:1",job="pods",pod="api-0"', 3, 7)
    # Kubelet: three paths at one address, each with its own series.
    for number, path in enumerate(("/metrics", "/metrics/cadvisor", "/metrics/probes")):
        labels = f'instance="n1:10250",job="kubelet",metrics_path="{path}"'
        target(labels)
        counter("kubelet_total", f'{labels},part="{number}"', number + 1, 50)
    # Two endpoints of one address, and two jobs relabelled to one node: other processes, same names.
    for endpoint, rate in (("web", 4), ("admin", 1)):
        labels = f'endpoint="{endpoint}",instance="h:80",job="svc"'
        target(labels)
        counter("endpoints_total", labels, rate, 1000 * rate)
    for job, rate in (("node-a", 5), ("node-b", 2)):
        labels = f'instance="node1",job="{job}"'
        target(labels)
        counter("node_total", labels, rate, 1000 * rate)
    with prometheus_with(recorded, tmp_path_factory.mktemp("scope")) as client:
        yield client


def totals(source: Prometheus, names: Sequence[str]) -> dict[str, list[WindowCount]]:
    like = next(iter(openslo.load_directory(files.default_config_dir() / "objectives")))
    objectives: list[Objective] = [
        replace(like, name=name, indicator=Indicator(total=selector, good=selector))
        for name in names
        for selector in [Selector.parse(CASES[name])]
    ]
    found = counting.count(source, objectives, counting.hours(START, END), datetime.now(UTC))
    return {objective.name: windows for objective, windows in found.items()}


@pytest.mark.services
def test_what_is_of_other_targets_hides_nothing(prometheus: Prometheus) -> None:
    found = totals(prometheus, list(CASES))
    assert {name: [window.reason for window in windows] for name, windows in found.items()} == {
        name: [None, None] for name in CASES
    }
    rates = {"staging": 2, "cluster": 3, "kubelet": 6, "endpoints": 5, "node": 7}
    assert {name: [window.total for window in windows] for name, windows in found.items()} == {
        name: [120 * rate] * 2 for name, rate in rates.items()
    }


@pytest.mark.services
@pytest.mark.parametrize("label", ["metrics_path", "endpoint", "cluster", "pod", "job"])
def test_no_replica_label_makes_a_wrong_number(prometheus: Prometheus, label: str) -> None:
    """Whatever it names: known and right, or unknown."""
    named = Prometheus(prometheus.url, replica_labels=[label])
    right = totals(prometheus, list(CASES))
    for name, windows in totals(named, list(CASES)).items():
        for window, known in zip(windows, right[name], strict=True):
            assert window.total in (None, known.total)
