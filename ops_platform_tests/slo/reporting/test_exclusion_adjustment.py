"""Exclusions that come and go at any moment, or after Prometheus forgot: applied, or said not to be."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from ops_platform.cli import cli
from ops_platform.clients.postgres import connection as postgres
from ops_platform.clients.prometheus import Prometheus
from ops_platform.slo.counting import exclusions
from ops_platform.slo.counting.event_count import HOUR
from ops_platform.slo.counting.exclusions import Exclusion
from ops_platform.slo.counting.range_query import milliseconds
from ops_platform.slo.counting.reader import Reading
from ops_platform.slo.counting.samples import Series
from ops_platform.slo.counting.scrapes import NEVER, VIEW, Scrapes
from ops_platform.slo.counting.targets import Targets
from ops_platform.slo.reporting import exclusion_adjustment as adjustment
from ops_platform.slo.reporting import refresh as keeping
from ops_platform_tests.services import OpsDatabase
from ops_platform_tests.slo.recorded import prometheus_with, publishing
from ops_platform_tests.slo.stored import (
    SIGNATURES,
    Interrupted,
    exclude,
    hours,
    late_hours,
    not_applied,
    rows,
    withdraw,
)

HOURS = 6
START = (datetime.now(UTC) - timedelta(hours=HOURS + 3)).replace(minute=0, second=0, microsecond=0)
END = START + HOUR * HOURS
HALF = timedelta(minutes=30)
OURS = [SIGNATURES]


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    with prometheus_with(publishing(START, END), tmp_path_factory.mktemp("excluded")) as client:
        yield client


@pytest.fixture(scope="module")
def forgetful(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """It has the last hour only."""
    with prometheus_with(publishing(END - HOUR, END), tmp_path_factory.mktemp("forgetful")) as client:
        yield client


def count(database: OpsDatabase, prometheus: Prometheus, end: datetime = END) -> int:
    url = database.url("ops_worker")
    return keeping.count_hours(url, prometheus, OURS, START, end, "run", datetime.now(UTC)).changed


def late(database: OpsDatabase) -> list[tuple[datetime, datetime]]:
    return late_hours(database.url("ops_worker"), OURS, END)


def next_run(database: OpsDatabase, prometheus: Prometheus) -> keeping.Recount:
    """Of the last hour, before it counts that."""
    url = database.url("ops_worker")
    return keeping.recount_late(url, prometheus, OURS, END - HOUR, "next", datetime.now(UTC))


def ledger_total(database: OpsDatabase) -> int:
    [row] = rows(database, "SELECT sum(total)::bigint AS total FROM slo_budget_ledger")
    return int(row["total"])


def adjusted(database: OpsDatabase) -> list[int]:
    return [row["adjusted_total"] for row in hours(database)]


@pytest.mark.services
def test_one_that_comes_while_prometheus_answers_is_applied(
    ops_database: OpsDatabase, prometheus: Prometheus
) -> None:
    count(ops_database, prometheus)
    before = adjusted(ops_database)
    count(
        ops_database,
        Interrupted(prometheus.url, lambda: exclude(ops_database, START + HALF, START + HOUR)),
    )
    assert 0 < adjusted(ops_database)[0] < before[0]
    assert adjusted(ops_database)[1:] == before[1:]
    assert late(ops_database) == []


@pytest.mark.services
def test_one_that_is_committed_after_its_hours_were_counted_is_not_lost(
    ops_database: OpsDatabase, prometheus: Prometheus
) -> None:
    """It was made before, and no run could see it."""
    with postgres.session(ops_database.url("ops_worker")) as ops:
        wanted = Exclusion(SIGNATURES.service, None, START + HALF, START + HOUR)
        exclusions.add(ops, wanted, "maintenance", "me")
        count(ops_database, prometheus)
        assert late(ops_database) == []
    assert late(ops_database) == [(START, START + HOUR)]
    next_run(ops_database, prometheus)
    assert late(ops_database) == []
    assert adjusted(ops_database)[0] < hours(ops_database)[0]["total"]


@pytest.mark.services
def test_a_slow_run_does_not_undo_what_a_later_one_left_out(
    ops_database: OpsDatabase, prometheus: Prometheus
) -> None:
    def meanwhile() -> None:
        exclude(ops_database, START + HALF, START + HOUR)
        count(ops_database, prometheus)

    count(ops_database, Interrupted(prometheus.url, meanwhile))
    assert 0 < adjusted(ops_database)[0] < hours(ops_database)[0]["total"]
    assert rows(ops_database, "SELECT FROM slo_window_revisions") == []


@pytest.mark.services
def test_whole_hours_and_withdrawals_need_no_samples(
    ops_database: OpsDatabase, prometheus: Prometheus, forgetful: Prometheus
) -> None:
    count(ops_database, prometheus, END - HOUR)
    before = hours(ops_database)
    # Two together hold the first hour.
    numbers = [
        exclude(ops_database, START, START + HALF),
        exclude(ops_database, START + HALF, START + HOUR * 2),
    ]
    next_run(ops_database, forgetful)
    after = hours(ops_database)
    assert adjusted(ops_database)[:2] == [0, 0]
    assert [row["total"] for row in after] == [row["total"] for row in before]
    assert ledger_total(ops_database) == sum(row["total"] for row in before[2:])
    assert not_applied(ops_database) == [[], []]
    for number in numbers:
        withdraw(ops_database, number)
    next_run(ops_database, forgetful)
    assert adjusted(ops_database) == [row["adjusted_total"] for row in before]
    assert ledger_total(ops_database) == sum(row["total"] for row in before)
    assert not_applied(ops_database) == [[], []]


@pytest.mark.services
def test_a_part_that_prometheus_has_forgotten_is_said_not_to_be_applied(
    ops_database: OpsDatabase,
    prometheus: Prometheus,
    forgetful: Prometheus,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    count(ops_database, prometheus, END - HOUR)
    before = adjusted(ops_database)
    number = exclude(ops_database, START + HALF, START + HOUR * 2)
    assert len(next_run(ops_database, forgetful).stored) == 1
    # The whole hour is left out, the part of one is not; and nobody asks again every hour.
    assert adjusted(ops_database) == [before[0], 0, *before[2:]]
    assert next_run(ops_database, forgetful).stored == {}
    assert not_applied(ops_database) == [[START]]
    with postgres.session(ops_database.url("ops_worker")) as ops:
        [row] = adjustment.unapplied(ops, OURS)
    assert (row["slo"], row["window_start"]) == ("signatures", START)
    monkeypatch.setenv("OPS_DATABASE_URL", ops_database.url("ops_worker"))
    monkeypatch.setenv("OPS_STATE_DIR", str(tmp_path))
    table = CliRunner().invoke(cli, ["slo", "exclusion", "list"], env={"COLUMNS": "250"})
    assert f"{START:%Y-%m-%d %H:%M:%S}Z" in table.output.replace("\n", "")
    listed = json.loads(CliRunner().invoke(cli, ["slo", "exclusion", "list", "--json"]).output)
    assert len(listed[0]["not_applied"]) == 1
    # Materialised again when Prometheus has the samples once more.
    count(ops_database, prometheus, START + HOUR)
    assert 0 < adjusted(ops_database)[0] < before[0]
    assert not_applied(ops_database) == [[]]
    # Withdrawn, nothing else excludes the hour: all of it counts again.
    withdraw(ops_database, number)
    next_run(ops_database, forgetful)
    assert adjusted(ops_database) == before
    assert not_applied(ops_database) == [[]]


@pytest.mark.services
def test_hours_of_objectives_that_are_gone_are_left_alone(
    ops_database: OpsDatabase, prometheus: Prometheus
) -> None:
    count(ops_database, prometheus)
    exclude(ops_database, START + HALF, START + HOUR)
    other = replace(SIGNATURES, name="another")
    assert late_hours(ops_database.url("ops_worker"), [other], END) == []


def reading(good: list[int], total: list[int]) -> Reading:
    """One scrape a minute around an hour; what ``good`` and ``total`` count within it, by quarter."""
    since, until = milliseconds(START) - VIEW, milliseconds(START + HOUR) + VIEW
    times = np.arange(since + 1000, until, 60_000, dtype=np.int64)
    target = (("instance", "a:1"), ("job", "product"))

    def series(steps: list[int]) -> Series:
        quarter = np.clip((times - milliseconds(START)) // 900_000, -1, 3)
        values = np.array([sum(steps[: number + 1]) for number in quarter], np.int64)
        return Series((("__name__", "events_total"), *target), times, values)

    selectors = SIGNATURES.indicator.selectors
    found = {one: (series(total if one == SIGNATURES.indicator.total else good),) for one in selectors}
    doubts = dict.fromkeys(selectors, ())
    jobs = {one: {"product": NEVER} for one in selectors}
    return Reading(since, until, found, doubts, jobs, Targets({target: Scrapes(times)}, {}, {}))


def test_what_is_left_is_unknown_when_a_part_is() -> None:
    """Good ones are shown a quarter before all: over the hour that cancels out, in its halves not."""
    one = SIGNATURES
    assert one.indicator.good is not None
    bounds = [START, START + HOUR]
    late_half = Exclusion(one.service, None, START + HALF, START + HOUR)
    [found] = exclusions.count(one, reading([0, 5, 0, 0], [0, 0, 5, 0]), bounds, [late_half])
    assert (found.good, found.total) == (5, 5)
    assert (found.adjusted_good, found.adjusted_total) == (None, None)
    assert found.reason is not None
    assert "without what is excluded" in found.reason
    [found] = exclusions.count(one, reading([0, 5, 0, 1], [0, 5, 0, 2]), bounds, [late_half])
    assert (found.adjusted_good, found.adjusted_total, found.reason) == (5, 5, None)


def test_what_is_unknown_does_no_harm_where_it_is_excluded() -> None:
    """All that is not known of this hour lies in its second half."""
    bounds = [START, START + HOUR]
    late_half = Exclusion(SIGNATURES.service, None, START + HALF, START + HOUR)
    [found] = exclusions.count(SIGNATURES, reading([0, 5, 9, 0], [0, 5, 0, 0]), bounds, [late_half])
    assert (found.total, found.adjusted_good, found.adjusted_total) == (None, 5, 5)


@pytest.mark.parametrize("more", [timedelta(microseconds=400), timedelta(microseconds=-400)])
def test_one_that_begins_and_ends_between_two_milliseconds_leaves_out_the_same(more: timedelta) -> None:
    quarter = Exclusion(SIGNATURES.service, None, START + HALF / 2 + more, START + HALF + more)
    seen = reading([1, 2, 4, 8], [1, 2, 4, 8])
    [found] = exclusions.count(SIGNATURES, seen, [START, START + HOUR], [quarter])
    assert (found.adjusted_good, found.adjusted_total) == (13, 13)


@pytest.mark.services
def test_an_hour_of_which_the_rest_is_unknown_is_stored_and_makes_its_figures_unknown(
    ops_database: OpsDatabase,
) -> None:
    late_half = Exclusion(SIGNATURES.service, None, START + HALF, START + HOUR)
    counts = exclusions.count(
        SIGNATURES, reading([0, 5, 0, 0], [0, 0, 5, 0]), [START, START + HOUR], [late_half]
    )
    from ops_platform.slo.reporting import slo_store as records

    url = ops_database.url("ops_worker")
    exclude(ops_database, late_half.start, late_half.end)
    with postgres.session(url) as ops:
        assert records.store(ops, SIGNATURES, counts, "run", datetime.now(UTC), [late_half]) == 1
    keeping.enter_ledger(url, OURS, START, START + HOUR, "run")
    assert rows(ops_database, "SELECT FROM slo_budget_ledger") == []
    assert keeping.store_days(url, OURS, START.replace(hour=0), START.replace(hour=0) + HOUR * 24, "run") == 1
    [said] = keeping.unknown(url, OURS, [(START, START + HOUR)])
    assert "without what is excluded" in said
