"""Figures over an objective's own period, and over months, whatever time zone the database is in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from ops_platform import files
from ops_platform.clients.postgres import connection as postgres
from ops_platform.defs.slo import assets
from ops_platform.defs.slo.definitions import slo_definitions
from ops_platform.settings import load_settings
from ops_platform.slo.counting.event_count import HOUR
from ops_platform.slo.objectives import openslo
from ops_platform.slo.objectives.model import MONTH, Objective, Period
from ops_platform.slo.reporting import figures
from ops_platform.slo.reporting import refresh as keeping
from ops_platform.slo.reporting.error_budget import Tally
from ops_platform.slo.reporting.figures import Hour
from ops_platform_tests.services import OpsDatabase
from ops_platform_tests.slo.stored import late_hours

[SUCCESS] = [
    one
    for one in openslo.load_directory(files.default_config_dir() / "objectives")
    if one.id == "publishing-success"
]
END = datetime(2026, 3, 1, 3, tzinfo=UTC)


def rolling(days: int) -> Objective:
    return replace(SUCCESS, period=Period("rolling", days))


def hours(count: int, end: datetime = END) -> list[Hour]:
    """Ten events in each of the last hours, one of them bad in the oldest hour only."""
    return [Hour(end - HOUR * number, 9 if number == count else 10, 10) for number in range(count, 0, -1)]


@pytest.mark.parametrize("days", [1, 14, 28, 90])
def test_an_objective_has_a_figure_over_its_own_period(days: int) -> None:
    one = rolling(days)
    found = {each.window: each for each in figures.figures(one, hours(24 * days), [END])}
    own = found[f"{days}d"]
    assert set(found) == {"1d", "7d", "30d", "month", f"{days}d"}
    assert (own.tally.good, own.tally.total, own.seconds) == (240 * days - 1, 240 * days, days * 86400)
    # An hour less is not the whole period.
    [short] = [
        each for each in figures.figures(one, hours(24 * days - 1), [END]) if each.window == f"{days}d"
    ]
    assert short.tally.state == "source_missing"


def test_how_far_back_figures_look_is_that_of_the_longest_period() -> None:
    assert figures.reach([]) == timedelta(days=31)
    assert figures.reach([rolling(14), replace(SUCCESS, period=MONTH)]) == timedelta(days=31)
    assert figures.reach([rolling(14), rolling(90)]) == timedelta(days=90)


def test_a_budget_is_judged_over_the_own_period() -> None:
    """Spent over 30 days; over 14 it is not."""
    one = rolling(14)
    stored = hours(24 * 31)
    spent = [replace(each, good=0) if each.start < END - HOUR * 24 * 20 else each for each in stored]
    found = figures.figures(one, spent, [END])
    assert {each.window: each.severity for each in found}["30d"] == "critical"
    assert assets._bounds({one: found}).passed
    assert not assets._bounds({SUCCESS: found}).passed
    unknown = [each for each in found if each.window != "14d"]
    assert not assets._bounds({one: unknown}).passed


def test_the_lineage_reaches_as_far_back_as_the_longest_period(tmp_path: Path) -> None:
    def reach(text: str | None) -> timedelta:
        if text is not None:
            (tmp_path / "objectives").mkdir(exist_ok=True)
            (tmp_path / "objectives" / "one.yaml").write_text(text, encoding="utf-8")
        made = slo_definitions(load_settings({"OPS_CONFIG_DIR": str(tmp_path)})).assets or ()
        [figured] = [
            one
            for one in made
            if isinstance(one, dg.AssetsDefinition) and one.key == dg.AssetKey(["slo", "compliance"])
        ]
        mapping = figured.get_partition_mapping(assets.COUNTS)
        assert isinstance(mapping, dg.TimeWindowPartitionMapping)
        return (1 - mapping.start_offset) * HOUR

    document = files.default_config_dir() / "objectives" / "api-availability.yaml"
    text = document.read_text(encoding="utf-8")
    assert reach(None) == timedelta(days=31)
    assert reach(text) == timedelta(days=31)
    assert reach(text.replace("30d", "77d")) == timedelta(days=77)
    # Whatever a document that cannot be read would say.
    assert reach("kind: [") == timedelta(days=90)


@pytest.fixture
def elsewhere(ops_database: OpsDatabase) -> Iterator[OpsDatabase]:
    """The same database, whose sessions begin in a zone that is not UTC."""
    with ops_database.superuser() as superuser:
        superuser.execute("ALTER ROLE ops_worker SET TimeZone = 'America/St_Johns'")
    yield ops_database
    with ops_database.superuser() as superuser:
        superuser.execute("ALTER ROLE ops_worker RESET TimeZone")


def stored(database: OpsDatabase, one: Objective, since: datetime, until: datetime) -> None:
    with postgres.session(database.url("ops_worker")) as ops:
        ops.execute(
            "INSERT INTO slo_window_counts (service, slo, window_start, window_seconds, good, total, "
            "adjusted_good, adjusted_total, indicator, settled) "
            "SELECT %s, %s, at, 3600, 9, 10, 9, 10, %s, true FROM generate_series("
            "%s::timestamptz, %s::timestamptz - interval '1 hour', '1 hour') AS at",
            (one.service, one.name, one.indicator.version, since, until),
        )


def kept(database: OpsDatabase, query: str, *values: object) -> list[dict[str, Any]]:
    with postgres.session(database.url("ops_worker")) as ops:
        return ops.execute(query, values).fetchall()


@pytest.mark.services
def test_months_and_late_hours_are_those_of_utc(elsewhere: OpsDatabase) -> None:
    url, month = elsewhere.url("ops_worker"), datetime(2026, 3, 1, tzinfo=UTC)
    stored(elsewhere, SUCCESS, month - timedelta(days=40), month - HOUR * 2)
    stored(elsewhere, SUCCESS, month - HOUR, END)
    assert late_hours(url, [SUCCESS], END) == [(month - HOUR * 2, month - HOUR)]
    stored(elsewhere, SUCCESS, month - HOUR * 2, month - HOUR)
    keeping.store_figures(url, [SUCCESS], month - HOUR, END, "run")
    # Made anew from hours before the newest stored figure, over the end of the month.
    keeping.store_figures(url, [SUCCESS], month - HOUR, month, "again")
    rows = kept(
        elsewhere,
        "SELECT measured_at, sample_count FROM slo_metrics WHERE slo_window = 'month' ORDER BY 1",
    )
    assert [(row["measured_at"], row["sample_count"]) for row in rows] == [
        (month, 28 * 240),
        (month + HOUR, 10),
        (month + HOUR * 2, 20),
        (END, 30),
    ]


@pytest.mark.services
def test_the_own_period_is_kept_reported_and_made_up_for(ops_database: OpsDatabase) -> None:
    url, one = ops_database.url("ops_worker"), rolling(90)
    since = END - timedelta(days=90)
    stored(ops_database, one, since, since + HOUR)
    # Of hours that nobody counted the last 90 days are made up for, of others 31.
    assert late_hours(url, [one], END) == [(since + HOUR, END)]
    # From the midnight before: days must not be of two indicators.
    month = (END - timedelta(days=31)).replace(hour=0)
    assert late_hours(url, [SUCCESS], END) == [(month, END)]
    stored(ops_database, one, since + HOUR, END)
    keeping.store_figures(url, [one], END - HOUR, END, "run")
    # An hour at the far end changes; the figure that depends on it is made anew.
    with postgres.session(url) as ops:
        ops.execute("UPDATE slo_window_counts SET adjusted_good = 0 WHERE window_start = %s", (since,))
    keeping.store_figures(url, [one], since, since + HOUR, "again")
    with postgres.session(url) as ops:
        found = {row["slo_window"]: row for row in figures.latest(ops, [one])}
    assert list(found) == ["1d", "7d", "30d", "month", "90d"]
    assert found["90d"]["sample_count"] == 90 * 240
    assert found["90d"]["success_count"] == 90 * 24 * 9 - 9
    with postgres.session(url) as ops:
        assert [row["slo_window"] for row in figures.latest(ops, [SUCCESS])] == ["1d", "7d", "30d", "month"]


def delivered(database: OpsDatabase, alertname: str, **labels: str) -> None:
    with database.superuser() as superuser:
        superuser.execute(
            "INSERT INTO alert_deliveries "
            "(received_at, status, alertname, fingerprint, service, slo, labels) "
            "VALUES (%s, 'firing', %s, 'f', %s, %s, jsonb_build_object('sloth_id', %s::text))",
            (END - HOUR * 2, alertname, SUCCESS.service, SUCCESS.name, labels.get("sloth_id")),
        )


@pytest.mark.services
@pytest.mark.parametrize(("minutes", "fired"), [(74, True), (76, False)])
def test_a_figure_is_marked_until_the_next_one_is_due(
    ops_database: OpsDatabase, minutes: int, fired: bool
) -> None:
    made_for = datetime.now(UTC) - timedelta(minutes=minutes)
    one = figures.Figure("1d", made_for, 86400, Tally(9, 10, 24, 0), None)
    with postgres.session(ops_database.url("ops_worker")) as ops:
        figures.store(ops, SUCCESS, [one], "run")
        assert figures.mark_fired(ops, SUCCESS.service, SUCCESS.name) == int(fired)


@pytest.mark.services
def test_only_burn_alerts_of_the_objective_count_as_fired(ops_database: OpsDatabase) -> None:
    url = ops_database.url("ops_worker")
    stored(ops_database, SUCCESS, END - timedelta(days=2), END)

    def fired() -> set[bool]:
        keeping.store_figures(url, [SUCCESS], END - HOUR, END, "run")
        return {row["alert_fired"] for row in kept(ops_database, "SELECT alert_fired FROM slo_metrics")}

    delivered(ops_database, "SloFiguresStale", sloth_id=SUCCESS.id)
    delivered(ops_database, "ErrorBudgetBurnFast", sloth_id="another")
    assert fired() == {False}
    delivered(ops_database, "ErrorBudgetBurnFast", sloth_id=SUCCESS.id)
    assert fired() == {True}
