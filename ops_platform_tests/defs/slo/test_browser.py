"""An analyst at Dagster's own pages, in a real browser: hours counted from a real Prometheus.

``OPS_TEST_IMAGES`` names a directory that gets a picture of each page.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import httpx
import pytest
from playwright.sync_api import Page, expect

from ops_platform import files
from ops_platform.clients.postgres import connection as postgres
from ops_platform.clients.waiting import wait_until
from ops_platform.definitions import build_defs
from ops_platform.settings import load_settings
from ops_platform.slo.counting import exclusions
from ops_platform.slo.counting.event_count import HOUR
from ops_platform.slo.counting.exclusions import Exclusion
from ops_platform_tests.e2e.browser import chromium
from ops_platform_tests.ports import free_ports
from ops_platform_tests.services import OpsDatabase
from ops_platform_tests.slo.recorded import prometheus_with, publishing
from ops_platform_tests.web import WEB

pytestmark = [pytest.mark.services, pytest.mark.full, pytest.mark.timeout(400)]

END = (datetime.now(UTC) - timedelta(minutes=15)).replace(minute=0, second=0, microsecond=0)
BEGIN = END - HOUR * 26
NAME = "publishing-success"


def test_what_is_left_which_hours_burned_it_and_whether_that_was_maintenance(
    ops_database: OpsDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three clicks from the catalog: the asset, the links of its worst hours, and the graph of one."""
    with prometheus_with(publishing(BEGIN, END), tmp_path) as prometheus:
        environment = {
            "OPS_STATE_DIR": str(tmp_path),
            "OPS_DATABASE_URL": ops_database.url("ops_worker"),
            "OPS_PROMETHEUS_URL": prometheus.url,
            "OPS_CONFIG_DIR": str(of_a_day(tmp_path / "config")),
            "DAGSTER_HOME": str(tmp_path / "dagster"),
        }
        (tmp_path / "dagster").mkdir()
        (tmp_path / "dagster" / "dagster.yaml").write_text(
            "telemetry: {enabled: false}\nnux: {enabled: false}\n"
        )
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        counted(BEGIN, END - HOUR)
        hour = worst_hour(ops_database)
        with postgres.session(ops_database.url("ops_worker")) as ops:
            # A second of it, so that it stays the worst.
            excluded = Exclusion("publishing", None, hour, hour + timedelta(seconds=1))
            number = exclusions.add(ops, excluded, "new disks", "me")
        counted(END - HOUR, END)
        with webserver(environment, tmp_path) as url, chromium([], None, url, "en-GB") as context:
            page = context.new_page()
            page.set_viewport_size({"width": 1500, "height": 1400})
            page.goto("/assets?asset-selection=key%3A%22slo%2Ferror_budget%22")
            page.get_by_role("link", name="slo / error_budget").first.click()
            row = page.get_by_role("row").filter(has_text=NAME)
            left = row.filter(has_text="1d")
            expect(left.last).to_contain_text(re.compile(r"(met|at risk|breached)\s*-?\d+\.\d"))
            burned = row.filter(has_text=f"{hour:%Y-%m-%d %H:%M}")
            expect(burned.last).to_contain_text(f"{number}: new disks")
            picture(page, "budget")
            page.get_by_text("[Show Markdown]").first.click()
            link = page.get_by_role("dialog").get_by_role("link", name="events").first
            expect(link).to_be_visible()
            picture(page, "links")
            # Dagster opens links of Markdown where they are.
            link.click()
            graph = context.pages[-1]
            graph.wait_for_url(re.compile("g0.expr=product_publishing_attempts_total"))
            assert graph.url.startswith(prometheus.url)
            picture(graph, "graph")


def of_a_day(directory: Path) -> Path:
    """The default configuration with two objectives of what was recorded, both over a day."""
    shutil.copytree(files.default_config_dir(), directory)
    for file in (directory / "objectives").iterdir():
        if file.stem in ("publishing-success", "webhook-signatures"):
            file.write_text(file.read_text(encoding="utf-8").replace("30d", "1d"), encoding="utf-8")
        else:
            file.unlink()
    return directory


def counted(begin: datetime, end: datetime) -> None:
    """Materialise the hours in one run, as a backfill from the UI does."""
    keys = [one.strftime("%Y-%m-%d-%H:%M") for one in (begin, end - HOUR)]
    tags = {"dagster/asset_partition_range_start": keys[0], "dagster/asset_partition_range_end": keys[1]}
    job = build_defs(load_settings()).resolve_job_def("slo_windows")
    quiet = {"loggers": {"console": {"config": {"log_level": "ERROR"}}}}
    with dg.DagsterInstance.get() as instance:
        assert job.execute_in_process(run_config=quiet, tags=tags, instance=instance).success


def worst_hour(database: OpsDatabase) -> datetime:
    with postgres.session(database.url("ops_worker")) as ops:
        row: dict[str, Any] | None = ops.execute(
            "SELECT window_start FROM slo_window_counts WHERE slo = 'success' AND window_start >= %s"
            " AND window_start < %s ORDER BY total - good DESC, window_start LIMIT 1",
            (END - HOUR * 23, END - HOUR * 3),
        ).fetchone()
    assert row is not None
    start: datetime = row["window_start"]
    return start.astimezone(UTC)


@contextmanager
def webserver(environment: Mapping[str, str], directory: Path) -> Iterator[str]:
    port = free_ports(1)[0]
    program = Path(sys.executable).parent / "dagster-webserver"
    command = [str(program), "-m", "ops_platform.definitions", "-h", "127.0.0.1", "-p", str(port)]
    values = {"PATH": os.environ["PATH"], "HOME": str(Path.home()), **environment}
    url = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        try:
            return WEB.get(f"{url}/server_info").is_success
        except httpx.HTTPError:
            return False

    with (directory / "webserver.log").open("wb") as log:
        running = subprocess.Popen(command, env=values, stdout=log, stderr=log)
        try:
            wait_until(answers, 120, "the webserver answers")
            yield url
        finally:
            # It ends its code server, too.
            running.terminate()
            running.wait(30)


def picture(page: Page, name: str) -> None:
    if images := os.environ.get("OPS_TEST_IMAGES"):
        page.wait_for_timeout(1000)
        page.screenshot(path=Path(images) / f"{name}.png")
