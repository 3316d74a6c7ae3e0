"""The writer against servers that are there and do not answer."""

from __future__ import annotations

import os
import signal
import time
from itertools import islice

import psycopg
import pytest

from ops_platform.errors import Unavailable
from ops_platform.local.demo.activity import requests
from ops_platform.local.demo.seed.filling import seed
from ops_platform.local.demo.traffic import writer
from ops_platform.local.demo.traffic.writer import ProductWriter
from ops_platform_tests.local.demo.databases import DemoDatabase

pytestmark = pytest.mark.services
BATCH = [(request, True, True) for request in islice(requests(1), 30)]


def test_a_stuck_server_counts_as_lost(demo_database: DemoDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    """A frozen backend's kernel still acknowledges; libpq alone would wait for ever."""
    seed(demo_database.owner_url, scale=0.01)
    product = ProductWriter(demo_database.app_url)
    product.connect()
    assert sum(product.write(BATCH).values()) > 5
    monkeypatch.setattr(writer, "ANSWER_SECONDS", 0.5)
    backend = _backend(demo_database)
    os.kill(backend, signal.SIGSTOP)
    try:
        began = time.monotonic()
        with pytest.raises(psycopg.OperationalError):
            product.write(BATCH)
        assert time.monotonic() - began < 5
        assert not product.connected
    finally:
        os.kill(backend, signal.SIGCONT)
    monkeypatch.undo()
    product.connect()
    assert product.write(BATCH)
    product.close()


def test_nothing_of_a_failed_batch_is_written(demo_database: DemoDatabase) -> None:
    seed(demo_database.owner_url, scale=0.01)
    before = demo_database.digests()
    product = ProductWriter(demo_database.app_url)
    product.connect()
    product.refresh()
    with demo_database.cluster.superuser(demo_database.name) as connection:
        connection.execute("REVOKE INSERT ON comments FROM product_app")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        product.write(BATCH)
    assert product.connected
    assert demo_database.digests() == before
    product.close()


def test_a_server_that_is_away_is_one_line(demo_database: DemoDatabase) -> None:
    product = ProductWriter(demo_database.app_url.replace(f":{demo_database.cluster.port}/", ":1/"))
    with pytest.raises(Unavailable, match=r"127.0.0.1:1/"):
        product.connect()
    with pytest.raises(psycopg.OperationalError):
        product.write(BATCH)


def _backend(database: DemoDatabase) -> int:
    with database.cluster.superuser() as connection:
        row = connection.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = %s AND application_name LIKE 'demo-product%%'",
            (database.name,),
        ).fetchone()
    assert row is not None
    return int(str(row[0]))
