"""The traffic service as a process of its own, against a real server."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg
import pytest

from ops_platform.clients.waiting import wait_until
from ops_platform.errors import OpsError
from ops_platform.local.demo.seed.filling import seed
from ops_platform.local.demo.traffic.__main__ import serve
from ops_platform.settings import load_settings
from ops_platform_tests.local.demo.databases import DemoDatabase, DemoDatabases
from ops_platform_tests.local.demo.traffic.service import Service, environment, running
from ops_platform_tests.ports import free_ports
from ops_platform_tests.web import WEB


@pytest.fixture
def product(demo_databases: DemoDatabases) -> DemoDatabase:
    database = demo_databases.create()
    seed(database.owner_url, scale=0.01)
    return database


@pytest.fixture
def service(product: DemoDatabase, tmp_path: Path) -> Iterator[Service]:
    values = environment(product.app_url, free_ports(1)[0])
    with running(values, tmp_path / "traffic.log") as started:
        yield started


@pytest.mark.services
def test_rows_and_metrics_tell_the_same(product: DemoDatabase, tmp_path: Path) -> None:
    tables = ("posts", "comments", "media", "sessions", "usage_logs", "webhook_deliveries", "audit_logs")
    before = _counts(product, tables)
    with running(environment(product.app_url, free_ports(1)[0]), tmp_path / "traffic.log") as service:
        for table in tables:
            service.wait_for("product_rows_written_total", 0, table=table)
        assert service.value("product_api_responses_total", method="GET", route="/feed", code="200") > 0
        assert service.value("product_publishing_attempts_total", result="success") > 0
        assert service.value("product_publishing_duration_seconds_bucket", le="10.0") > 0
        service.wait_for("product_media_transcoding_duration_seconds_bucket", 0, le="300.0")
        assert service.value("product_webhook_deliveries_total", signature="valid") > 0
        assert service.value("product_database_up") == 1

        # Nothing more is drawn from the next tick on; what was counted by then is what is there.
        WEB.post(f"{service.url}/control", json={"traffic_factor": 0}).raise_for_status()
        wait_until(lambda: service.value("product_failure_mode", mode="traffic_factor") == 0, 5, "a tick")
        written = {table: service.value("product_rows_written_total", table=table) for table in tables}
        after = _counts(product, tables)
        assert {table: after[table] - before[table] for table in tables} == written

        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(10) == 0
    with psycopg.connect(product.owner_url) as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_inherits WHERE inhparent = 'usage_logs'::regclass"
        ).fetchone()
    assert row == (12 + 3,)
    log = service.log.read_text(encoding="utf-8")
    assert "@example" not in log
    assert "Traceback" not in log


@pytest.mark.services
def test_an_outage_is_seen_and_survived(product: DemoDatabase, service: Service) -> None:
    service.wait_for("product_rows_written_total", 0, table="usage_logs")
    product.cluster.kill()
    try:
        service.wait_for("product_api_responses_total", 0, code="503", route="/feed")
        service.wait_for("product_publishing_attempts_total", 0, result="failure")
        assert service.value("product_database_up") == 0
    finally:
        product.cluster.start()
    wait_until(lambda: service.value("product_database_up") == 1, 30, "writes go on")
    written = service.value("product_rows_written_total", table="usage_logs")
    service.wait_for("product_rows_written_total", written, table="usage_logs")
    assert service.process.poll() is None
    assert service.value("product_database_losses_total") >= 1


@pytest.mark.services
def test_the_product_breaks_on_demand_and_heals(service: Service) -> None:
    control = f"{service.url}/control"
    answer = WEB.post(control, json={"api_error_ratio": 1, "traffic_factor": 3})
    assert answer.json()["api_error_ratio"] == 1
    service.wait_for("product_api_responses_total", 100, code="500")
    assert service.value("product_failure_mode", mode="api_error_ratio") == 1
    healthy = httpx.delete(control).json()
    assert healthy["api_error_ratio"] < 0.001

    WEB.post(control, json={"webhook_invalid_ratio": 1, "publishing_slow_ratio": 1}).raise_for_status()
    service.wait_for("product_webhook_deliveries_total", 0, signature="invalid")
    late = service.value("product_publishing_duration_seconds_count") - service.value(
        "product_publishing_duration_seconds_bucket", le="10.0"
    )
    assert late > 0

    for body, kind, status in (
        (b'{"nothing": 1}', "application/json", 400),
        (b"[1]", "application/json", 400),
        (b"{", "application/json", 400),
        (b"\xff\xfe", "application/json", 400),
        (b"{}", "text/plain", 415),
        (b"x" * 5000, "application/json", 413),
    ):
        refused = WEB.post(control, content=body, headers={"Content-Type": kind})
        assert refused.status_code == status
        assert refused.json()["error"]
    assert WEB.get(f"{service.url}/elsewhere").status_code == 404
    assert httpx.delete(f"{service.url}/metrics").status_code == 404


@pytest.mark.services
def test_writing_goes_on_when_somebody_is_erased(product: DemoDatabase, service: Service) -> None:
    """The people it knew are gone between two looks; it looks again instead of failing for a minute."""
    service.wait_for("product_rows_written_total", 20, table="usage_logs")
    with product.cluster.superuser(product.name) as connection:
        connection.execute(
            "TRUNCATE creators, profiles, posts, comments, media, sessions, usage_logs, workflows, "
            'workflow_steps, webhooks, webhook_deliveries, collaborations, follows, "Billing Details"'
        )
    service.wait_for("product_rows_written_total", 0, table="creators")
    written = service.value("product_rows_written_total", table="usage_logs")
    service.wait_for("product_rows_written_total", written, seconds=30, table="usage_logs")
    assert service.value("product_api_responses_total", code="500") < 10


@pytest.mark.services
def test_a_database_without_the_schema_is_waited_for(demo_databases: DemoDatabases, tmp_path: Path) -> None:
    database = demo_databases.create(schema=False)
    with running(environment(database.app_url, free_ports(1)[0]), tmp_path / "traffic.log") as service:
        service.wait_for("product_api_responses_total", 0, code="500")
        assert service.value("product_database_up") == 0
        assert service.process.poll() is None


@pytest.mark.processes
def test_wrong_settings_end_with_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run(
            [sys.executable, "-m", "ops_platform.local.demo.traffic"],
            env=environment("postgresql://product_app@127.0.0.1:1/product", port),
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    assert done.returncode == 2
    assert "OPS_TRAFFIC_LISTEN_PORT" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("url", "rate", "said"),
    [
        ("", "1", "OPS_PRODUCT_DATABASE_URL is not set"),
        ("x", "0", "OPS_TRAFFIC_RATE must be above 0"),
        ("x", "many", "OPS_TRAFFIC_RATE must be a number"),
    ],
)
def test_each_wrong_setting_is_said_in_one_line(url: str, rate: str, said: str) -> None:
    with pytest.raises(OpsError, match=said) as refused:
        serve(load_settings(environment(url, 1, OPS_TRAFFIC_RATE=rate)))
    assert refused.value.exit_code == 2
    assert "\n" not in str(refused.value)


def _counts(database: DemoDatabase, tables: tuple[str, ...]) -> dict[str, int]:
    query = " UNION ALL ".join(f"SELECT '{table}', count(*) FROM {table}" for table in tables)
    with database.cluster.superuser(database.name) as connection:
        return {str(name): int(str(count)) for name, count in connection.execute(query.encode()).fetchall()}
