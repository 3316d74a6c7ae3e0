"""Freshness by the set's own stop time, and the limits that the default schedules give."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from ops_platform.backup.monitoring.freshness import freshness, grace, limits
from ops_platform.backup.stanza.config_file import load_backups
from ops_platform.settings import load_settings
from ops_platform_tests.backup.shapes import EPOCH, entry, repository

PRODUCT = load_backups(load_settings({})).stanzas["product"]
HOUR = timedelta(hours=1)


def test_the_limits_of_the_default_schedules() -> None:
    assert limits(PRODUCT) == {
        "full": (7 * 24 + 6) * 3600.0,
        "differential": 26 * 3600.0,
        "incremental": 2 * 3600.0,
    }


def test_a_kind_that_is_not_scheduled_is_not_asked_for() -> None:
    schedules = {**PRODUCT.schedules, "differential": None}
    assert list(limits(replace(PRODUCT, schedules=schedules))) == ["full", "incremental"]


def test_a_stronger_kind_counts_for_a_weaker_one_only() -> None:
    full = entry(1, completed_at=EPOCH - 3 * HOUR)
    incr = entry(2, "incr", prior=full["label"], completed_at=EPOCH - HOUR)
    by_kind = {one.kind: one for one in freshness(PRODUCT, repository(full, incr).sets, EPOCH)}
    assert by_kind["full"].age_seconds == by_kind["differential"].age_seconds == 3 * 3600
    assert by_kind["incremental"].age_seconds == 3600
    assert all(one.fresh for one in by_kind.values())


def test_the_limit_itself_is_fresh_and_a_second_more_is_not() -> None:
    full = entry(1, completed_at=EPOCH)
    for seconds, fresh in ((7200, True), (7201, False)):
        (incremental,) = [
            one
            for one in freshness(PRODUCT, repository(full).sets, EPOCH + timedelta(seconds=seconds))
            if one.kind == "incremental"
        ]
        assert incremental.fresh is fresh


def test_a_set_of_the_future_keeps_nothing_fresh() -> None:
    full = entry(1, completed_at=EPOCH + HOUR)
    judged = freshness(PRODUCT, repository(full).sets, EPOCH)
    assert [one.fresh for one in judged] == [False, False, False]
    assert f"{full['label']}, which ended in the future: correct the clock" in judged[0].summary
    little = entry(1, completed_at=EPOCH + timedelta(seconds=59))
    assert all(one.fresh for one in freshness(PRODUCT, repository(little).sets, EPOCH))


def test_without_a_set_nothing_is_fresh() -> None:
    found = freshness(PRODUCT, [], EPOCH)
    assert [one.fresh for one in found] == [False, False, False]
    assert found[0].summary == "no set counts as full; one is due every 7 days, 6:00:00"


def test_the_grace_of_a_pause_at_its_limits() -> None:
    second = timedelta(seconds=1)
    assert grace(2 * HOUR) == HOUR
    assert grace(2 * HOUR + second) == 2 * HOUR
    assert grace(48 * HOUR) == 2 * HOUR
    assert grace(48 * HOUR + second) == 6 * HOUR
