"""A tenth of the demo product's traffic goes to a canary: good, failing or slow. May it go on?"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from ops_platform import files
from ops_platform.clients.prometheus import Prometheus
from ops_platform.clients.waiting import wait_until
from ops_platform.local.demo.seed.filling import seed
from ops_platform_tests.console import Console
from ops_platform_tests.local.demo.databases import DemoDatabases
from ops_platform_tests.local.demo.traffic.service import environment, running
from ops_platform_tests.ports import free_ports
from ops_platform_tests.prometheus import running_prometheus
from ops_platform_tests.web import WEB

pytestmark = [pytest.mark.services, pytest.mark.full]

STABLE_RATE, CANARY_RATE = 270, 30
CANARIES: Mapping[str, Mapping[str, float]] = {
    "good": {},
    "failing": {"api_error_ratio": 0.1},
    "slow": {"publishing_slow_ratio": 0.4},
}


@pytest.fixture(scope="module")
def source(demo_databases: DemoDatabases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """The stable release and three canaries on one database, each with a track of its own."""
    database = demo_databases.create()
    seed(database.owner_url, scale=0.01)
    directory = tmp_path_factory.mktemp("tracks")
    ports = dict(zip(("stable", *CANARIES), free_ports(1 + len(CANARIES)), strict=True))
    targets = [
        {"targets": [f"127.0.0.1:{port}"], "labels": {"track": track}} for track, port in ports.items()
    ]
    (directory / "targets.json").write_text(json.dumps(targets), encoding="utf-8")
    config = (
        "global: {scrape_interval: 1s, scrape_timeout: 1s}\n"
        "scrape_configs:\n- job_name: product\n  file_sd_configs: [{files: [targets.json]}]\n"
    )
    with ExitStack() as stack:
        for track, port in ports.items():
            rate = STABLE_RATE if track == "stable" else CANARY_RATE
            values = environment(database.app_url, port, OPS_TRAFFIC_RATE=str(rate))
            service = stack.enter_context(running(values, directory / f"{track}.log"))
            WEB.post(f"{service.url}/control", json=dict(CANARIES.get(track, {}))).raise_for_status()
        client = stack.enter_context(running_prometheus(directory, config))
        wait_until(lambda: len(client.query("up == 1").series) == len(ports), 20, "all tracks are scraped")
        yield client


@pytest.fixture
def objectives(tmp_path: Path) -> Path:
    """The product's own, of which publishing promises less: few posts then tell that a canary keeps it."""
    directory = files.default_config_dir() / "objectives"
    for name in ("api-availability", "publishing-latency"):
        text = (directory / f"{name}.yaml").read_text(encoding="utf-8")
        (tmp_path / f"{name}.yaml").write_text(text.replace("target: 0.95", "target: 0.8"), encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    ("track", "objective", "verdict", "code"),
    [
        ("failing", "api-availability", "worse", 1),
        ("slow", "publishing-latency", "worse", 1),
        ("good", "publishing-latency", "good", 0),
    ],
)
def test_a_canary_with_a_tenth_of_the_traffic(
    source: Prometheus,
    objectives: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    track: str,
    objective: str,
    verdict: str,
    code: int,
) -> None:
    console = Console({"PATH": os.environ["PATH"], "OPS_STATE_DIR": "/nonexistent"}, monkeypatch, capsys)
    done = console.run(
        "canary", "watch", "--canary", f'track="{track}"', "--stable", 'track="stable"',
        "--objective", objective, "--prometheus", source.url, "--most-bad", "10000", "--error-rate", "0.05",
        "--objectives", str(objectives), "--minutes", "3", "--step", "2", "--settle", "2",
        "--no-record", "--json",
    )  # fmt: skip
    found = json.loads(done.stdout)
    assert (found["verdict"], done.returncode) == (verdict, code), found
    # A tenth of the events: they are told apart as they were asked for.
    share = found["canary"]["total"] / (found["canary"]["total"] + found["stable"]["total"])
    assert 0.05 < share < 0.2


def test_a_verdict_without_a_record_is_undecided(
    source: Prometheus, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    unreachable = "postgresql://ops@127.0.0.1:1/ops"
    values = {"PATH": os.environ["PATH"], "OPS_STATE_DIR": str(tmp_path), "OPS_DATABASE_URL": unreachable}
    done = Console(values, monkeypatch, capsys).run(
        "canary", "watch", "--canary", 'track="failing"', "--stable", 'track="stable"',
        "--objective", "api-availability", "--prometheus", source.url, "--most-bad", "10000",
        "--step", "2", "--settle", "2",
    )  # fmt: skip
    assert done.returncode == 3
    assert done.stdout.startswith("undecided: the ledger has no record")
