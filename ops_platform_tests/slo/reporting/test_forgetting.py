"""What becomes of stored hours when Prometheus has more, less or nothing of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ops_platform.clients.postgres import connection as postgres
from ops_platform.clients.prometheus import Prometheus
from ops_platform.slo.counting.event_count import HOUR
from ops_platform.slo.counting.window import WindowCount
from ops_platform.slo.reporting import refresh as keeping
from ops_platform.slo.reporting import slo_store as records
from ops_platform_tests.services import OpsDatabase
from ops_platform_tests.slo.recorded import prometheus_with, publishing
from ops_platform_tests.slo.stored import SIGNATURES, hours, late_hours

pytestmark = pytest.mark.services

HOURS = 6
START = (datetime.now(UTC) - timedelta(hours=HOURS + 2)).replace(minute=0, second=0, microsecond=0)
END = START + HOUR * HOURS
OURS = [SIGNATURES]


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    with prometheus_with(publishing(START, END), tmp_path_factory.mktemp("whole")) as client:
        yield client


def count(
    database: OpsDatabase, prometheus: Prometheus, start: datetime, end: datetime, now: datetime | None = None
) -> None:
    url = database.url("ops_worker")
    keeping.count_hours(url, prometheus, OURS, start, end, "run", now or datetime.now(UTC))


EMPTY = {'up{instance="x:1",job="x"}': [(START.timestamp(), 1.0)]}


def state(database: OpsDatabase) -> list[tuple[str, int | None]]:
    return [(row["state"], row["total"]) for row in hours(database)]


def counted_long_ago(database: OpsDatabase) -> None:
    """As if the hours had been counted right after their end."""
    with database.superuser() as superuser:
        superuser.execute("UPDATE slo_window_counts SET checked_at = window_start + interval '90 minutes'")


def test_a_final_hour_that_was_not_known_heals(
    ops_database: OpsDatabase, prometheus: Prometheus, tmp_path: Path
) -> None:
    url = ops_database.url("ops_worker")
    with prometheus_with(EMPTY, tmp_path) as empty:
        count(ops_database, empty, START, START + HOUR * 2)
    assert {one for one, _ in state(ops_database)} == {"source_missing"}
    # Not at once again.
    assert late_hours(url, OURS, START + HOUR * 2) == []
    counted_long_ago(ops_database)
    keeping.recount_late(url, prometheus, OURS, START + HOUR * 2, "next", datetime.now(UTC))
    assert {one for one, _ in state(ops_database)} == {"measured"}


def test_a_prometheus_that_lost_its_disk_takes_nothing_away(
    ops_database: OpsDatabase, prometheus: Prometheus, tmp_path: Path
) -> None:
    """Not even of hours that are provisional."""
    url, soon = ops_database.url("ops_worker"), END + timedelta(minutes=12)
    count(ops_database, prometheus, END - HOUR, END, soon)
    before = state(ops_database)
    with prometheus_with(EMPTY, tmp_path) as empty:
        assert late_hours(url, OURS, END) == [(END - HOUR, END)]
        keeping.recount_late(url, empty, OURS, END, "next", soon + HOUR)
    assert before[0][0] == "measured"
    assert state(ops_database) == before


def test_what_is_unknown_does_not_become_known_by_forgetting(ops_database: OpsDatabase) -> None:
    """The same samples, and nothing left of what was before them: a series that came back looks new."""
    one = SIGNATURES
    unknown = WindowCount(START, 3600, None, None, "comes back", "same", 60, 60, 0)
    known = WindowCount(START, 3600, 10**9, 10**9, None, "same", 60, 60, 0, 10**9, 10**9)
    for found in (unknown, known):
        with postgres.session(ops_database.url("ops_worker")) as ops:
            records.register(ops, [one])
            records.store(ops, one, [found], "run", datetime.now(UTC))
    assert state(ops_database) == [("source_missing", None)]
    # Other samples are another matter.
    with postgres.session(ops_database.url("ops_worker")) as ops:
        records.store(ops, one, [replace(known, fingerprint="other")], "run", datetime.now(UTC))
    assert state(ops_database) == [("measured", 10**9)]
