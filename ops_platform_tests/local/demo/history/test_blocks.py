"""The past in a real Prometheus: all of it, once, whatever was killed meanwhile, and countable."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from ops_platform import files
from ops_platform.clients.prometheus import Prometheus
from ops_platform.clients.waiting import wait_until
from ops_platform.errors import OpsError
from ops_platform.local.demo.history import blocks as history_blocks
from ops_platform.local.demo.history.record import HistoryStore, Record
from ops_platform.local.demo.history.samples import History, Key, history
from ops_platform.local.demo.history.timetable import HOUR, HistoryPlan
from ops_platform.local.demo_history import countable
from ops_platform.slo.counting import event_count as counting
from ops_platform.slo.objectives import openslo
from ops_platform.slo.objectives.model import Objective
from ops_platform_tests.ports import free_ports
from ops_platform_tests.prometheus import running_prometheus

pytestmark = pytest.mark.services

SECONDS = 60.0
ITSELF = """
global: {{scrape_interval: 1s}}
scrape_configs: [{{job_name: prometheus, static_configs: [{{targets: ["127.0.0.1:{port}"]}}]}}]
"""


# Six days and the one before them are longer than a block.
def plan(days: int = 6) -> HistoryPlan:
    return HistoryPlan(int(time.time()) - 30, days, 4.0, 1, "127.0.0.1:9000")


@pytest.fixture
def store(tmp_path: Path) -> HistoryStore:
    (tmp_path / "prometheus").mkdir()
    return HistoryStore(tmp_path / "history.json", tmp_path / "prometheus")


def assert_all_of_it_once(source: Prometheus, past: History) -> None:
    """Prometheus holds the past's samples and no others of the product."""
    at = datetime.fromtimestamp(past.plan.end, UTC)
    found: dict[Key, tuple[tuple[float, float], ...]] = {}
    for day in range(past.plan.days + 2):
        for one in source.query('{job="product"}[1d]', at=at - timedelta(days=day)).series:
            labels = {key: value for key, value in one.labels.items() if key not in ("job", "instance")}
            key = labels.pop("__name__"), tuple(sorted(labels.items()))
            # Prometheus 2 has the window's first moment in it, Prometheus 3 has not.
            first = (at - timedelta(days=day + 1)).timestamp()
            found[key] = (*((at, value) for at, value in one.samples if at > first), *found.get(key, ()))
    times = past.times[past.scraped].tolist()
    assert set(found) == set(past.values)
    for key, values in past.values.items():
        assert found[key] == tuple(zip(times, values[past.scraped].tolist(), strict=True)), key


def shown(source: Prometheus, made: HistoryPlan) -> bool:
    at = datetime.fromtimestamp(made.end, UTC)
    return bool(source.query("up", at=at).series) and bool(
        source.query('up{job="product"}', at=datetime.fromtimestamp(made.begins, UTC)).series
    )


@pytest.mark.full  # Prometheus looks for new blocks once a minute
def test_loaded_while_prometheus_runs_and_kept_when_it_is_killed(store: HistoryStore) -> None:
    made, [port] = plan(), free_ports(1)
    with running_prometheus(store.prometheus, ITSELF.format(port=port), port) as source:
        wait_until(lambda: source.query("up").series, SECONDS, "Prometheus scrapes itself")
        began = source.query("up[1h]").series[0].samples[0][0]
        # As a load that was planned before the server's first start and killed before its first block.
        store.keep(Record(made))
        history_blocks.load(store)
        wait_until(lambda: shown(source, made), 2 * SECONDS, "Prometheus has found its new blocks")
        assert_all_of_it_once(source, history(made))
    with running_prometheus(store.prometheus, ITSELF.format(port=port), port) as source:
        assert_all_of_it_once(source, history(made))
        # Its own samples lie behind the blocks and were not taken for something old.
        [own] = source.query('up{job="prometheus"}[1h]').series
        assert own.samples[0][0] <= began


class Died(BaseException):
    """The loader was killed here."""


def dies(store: HistoryStore, monkeypatch: pytest.MonkeyPatch, target: object, name: str, nth: int) -> None:
    """Load until the ``nth`` call of something, which does not take place."""
    original: Callable[..., object] = getattr(target, name)
    calls = iter(range(nth))

    def dying(*arguments: object, **named: object) -> object:
        if next(calls, None) is None:
            raise Died
        return original(*arguments, **named)

    with monkeypatch.context() as patch:
        patch.setattr(target, name, dying)
        with pytest.raises(Died):
            history_blocks.load(store)


@pytest.mark.parametrize(
    ("target", "name", "nth"),
    [
        pytest.param(history_blocks, "_write_block", 1, id="making", marks=pytest.mark.full),
        pytest.param(HistoryStore, "keep", 0, id="made", marks=pytest.mark.full),
        pytest.param(Path, "rename", 0, id="before the first", marks=pytest.mark.full),
        pytest.param(Path, "rename", 1, id="between two"),
        pytest.param(shutil, "rmtree", 1, id="moved", marks=pytest.mark.full),
        pytest.param(HistoryStore, "keep", 1, id="tidied", marks=pytest.mark.full),
    ],
)
def test_killed_at_any_moment_the_next_load_finishes_it(
    store: HistoryStore, monkeypatch: pytest.MonkeyPatch, target: object, name: str, nth: int
) -> None:
    made = plan()
    store.plan(made)
    dies(store, monkeypatch, target, name, nth)
    history_blocks.load(store)
    record = store.record()
    assert record is not None
    assert record.loaded
    assert not store.staging.exists()
    # A third one finds nothing to do.
    history_blocks.load(store)
    assert sorted(path.name for path in store.data.iterdir()) == sorted(record.blocks or ())
    assert len(record.blocks or ()) >= 2
    with running_prometheus(store.prometheus) as source:
        assert_all_of_it_once(source, history(made))


@pytest.mark.full
def test_a_loader_killed_by_the_kernel_leaves_nothing_that_still_writes(store: HistoryStore) -> None:
    made = plan()
    store.plan(made)
    command = [sys.executable, "-m", history_blocks.__name__, str(store.record_file), str(store.prometheus)]
    with subprocess.Popen(command) as loader:
        wait_until(lambda: (store.staging / "samples.txt").exists(), SECONDS, "the first text", interval=0.01)
        loader.kill()
    record = store.record()
    assert record is not None
    assert record.blocks is None
    assert subprocess.run(command, check=False).returncode == 0
    with running_prometheus(store.prometheus) as source:
        assert_all_of_it_once(source, history(made))


def test_a_prometheus_that_has_lived_gets_no_past(store: HistoryStore) -> None:
    (store.data / "wal").mkdir(parents=True)
    assert store.plan(plan()) is None
    assert store.record() is None
    history_blocks.load(store)
    assert [path.name for path in store.data.iterdir()] == ["wal"]


def test_a_past_ends_when_the_first_start_is_near_and_never_moves_after_it(store: HistoryStore) -> None:
    first, second, third = plan(2), plan(3), plan(4)
    assert store.plan(first) == Record(first)
    # The ``up`` that wanted it was killed before Prometheus started.
    assert store.plan(second) == Record(second)
    (store.data / "wal").mkdir(parents=True)
    assert store.plan(third) == Record(second)


def test_a_damaged_record_is_said(store: HistoryStore) -> None:
    store.record_file.write_text("{", encoding="utf-8")
    with pytest.raises(OpsError, match="delete it"):
        store.record()


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Prometheus, History]]:
    directory = tmp_path_factory.mktemp("counted")
    # Long enough for the incident, the invalid signatures and both deploys.
    past = history(plan(16))
    names = history_blocks.make(past, directory / "data")
    assert names
    with running_prometheus(directory) as source:
        yield source, past


TRUTH: dict[str, tuple[str, dict[str, str], str, dict[str, str]]] = {
    "api-availability": ("product_api_responses_total", {"code": "5"}, "product_api_responses_total", {}),
    "media-transcoding": (
        "product_media_transcoding_duration_seconds_bucket",
        {"le": "300.0"},
        "product_media_transcoding_duration_seconds_count",
        {},
    ),
    "publishing-latency": (
        "product_publishing_duration_seconds_bucket",
        {"le": "10.0"},
        "product_publishing_duration_seconds_count",
        {},
    ),
    "publishing-success": (
        "product_publishing_attempts_total",
        {"result": "success"},
        "product_publishing_attempts_total",
        {},
    ),
    "webhooks-signatures": (
        "product_webhook_deliveries_total",
        {"signature": "valid"},
        "product_webhook_deliveries_total",
        {},
    ),
}
"""Of each default objective its good (or bad) events and all of them; labels by how their values begin."""


def by_hour(past: History, name: str, labels: dict[str, str]) -> np.ndarray:
    edges = np.arange(past.plan.first_hour, past.plan.last_hour + 1, HOUR)
    bounds = np.searchsorted(past.times, edges, side="right")
    found = np.zeros(edges.size - 1, np.int64)
    for (metric, pairs), events in past.events.items():
        if metric == name and all(dict(pairs)[key].startswith(value) for key, value in labels.items()):
            found += np.diff(np.concatenate(([0], np.cumsum(events)))[bounds])
    return found


@pytest.mark.full
def test_the_engine_counts_exactly_what_was_made_up(counted: tuple[Prometheus, History]) -> None:
    source, past = counted
    objectives: list[Objective] = openslo.load_directory(files.default_config_dir() / "objectives")
    assert {one.id for one in objectives} == set(TRUTH)
    now = datetime.now(UTC)
    end = countable(past.plan, now.timestamp())
    bounds = counting.hours(*(datetime.fromtimestamp(at, UTC) for at in (past.plan.first_hour, end)))
    found = counting.count(source, objectives, bounds, now)
    silent = datetime.fromtimestamp(past.plan.gap[0] // HOUR * HOUR, UTC)
    for one, windows in found.items():
        part, labels, whole, others = TRUTH[one.id]
        totals, parts = by_hour(past, whole, others), by_hour(past, part, labels)
        assert len(windows) == len(bounds) - 1
        for number, window in enumerate(windows):
            if window.start == silent:
                assert window.total is None, one.id
                continue
            good = totals[number] - parts[number] if one.indicator.bad is not None else parts[number]
            assert (window.total, window.good) == (totals[number], good), (one.id, window)
        assert sum(window.resets > 0 for window in windows) == 2, one.id
