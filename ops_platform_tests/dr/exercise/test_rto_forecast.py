"""Predictions grow with what is restored, agree with what was measured, and say what to change."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops_platform import files
from ops_platform.backup.stanza import config_file as stanza_file
from ops_platform.backup.stanza.model import Stanza
from ops_platform.dr.exercise import rto_forecast as forecast
from ops_platform.dr.exercise.rto_forecast import Measured
from ops_platform.dr.restore.pgbackrest_restore import MINIMUM_SECONDS, BulkRateMeter

rates = st.floats(min_value=1e6, max_value=1e10)
sizes = st.integers(min_value=1, max_value=10**13)


@st.composite
def measurements(draw: st.DrawFn) -> Measured:
    """An exercise whose time is what its rates say and a fixed part."""
    size, rate, wal, replay = draw(sizes), draw(rates), draw(sizes), draw(rates)
    fixed = draw(st.floats(min_value=0, max_value=100))
    return Measured(size, rate, wal, replay, size / rate + wal / replay + fixed)


@given(measurements())
def test_the_same_size_again_takes_the_same_time(measured: Measured) -> None:
    again = forecast.predict(measured.copy_bytes, measured.replay_bytes, [measured])
    assert again is not None
    assert again.seconds == pytest.approx(measured.rto_seconds, rel=1e-6, abs=1e-6)


@given(st.lists(measurements(), min_size=1, max_size=5), sizes, sizes)
def test_more_takes_longer(found: list[Measured], size: int, wal: int) -> None:
    less, more = forecast.predict(size, wal, found), forecast.predict(2 * size, 2 * wal, found)
    assert less is not None
    assert more is not None
    assert less.seconds < more.seconds <= 2 * less.seconds + 1e-6


@given(measurements(), st.floats(min_value=0, max_value=1))
def test_the_fixed_part_is_never_negative(measured: Measured, share: float) -> None:
    assert replace(measured, rto_seconds=measured.rto_seconds * share).fixed_seconds >= 0


def test_nothing_measured_predicts_nothing(stanza: Stanza) -> None:
    assert forecast.predict(1, 1, []) is None
    assert forecast.within_target(None, stanza).result == "unknown"
    assert forecast.throughput(None, [], None).result == "unknown"
    assert forecast.needed_rate(None, stanza) is None


@pytest.fixture(scope="module")
def stanza() -> Stanza:
    return stanza_file.load(files.default_config_dir() / "backups.yaml").stanzas["product"]


@pytest.mark.parametrize(
    ("seconds", "result", "advises"), [(1440, "pass", False), (1441, "pass", True), (1801, "fail", True)]
)
def test_the_promise_is_warned_of_at_80_percent(
    stanza: Stanza, seconds: int, result: str, advises: bool
) -> None:
    found = forecast.within_target(forecast.Prediction(seconds - 10, 5, 5, 10**11, 10**9), stanza)
    assert found.result == result
    assert ("process_max" in found.summary) is advises
    assert found.numbers["share_of_target"] == pytest.approx(seconds / 1800, abs=1e-3)


def test_long_replays_ask_for_more_frequent_backups(stanza: Stanza) -> None:
    found = forecast.within_target(forecast.Prediction(10, 1700, 5, 10**11, 10**12), stanza)
    assert "more often" in found.summary


def test_a_copy_at_less_than_a_third_of_the_usual_rate_fails() -> None:
    usual = Measured(10**9, 3e8, 10**8, 1e8, 10)
    assert forecast.throughput(replace(usual, copy_rate=1e8), [usual], None).result == "pass"
    assert forecast.throughput(replace(usual, copy_rate=0.99e8), [usual], None).result == "fail"
    assert forecast.throughput(usual, [], None).result == "pass"


def heard(*moments: tuple[float, float]) -> BulkRateMeter:
    """A copy of 1000 bytes: (seconds, fraction)."""
    began = datetime(2026, 1, 1)
    pace = BulkRateMeter(1000)
    for seconds, fraction in moments:
        pace.observe(fraction, began + timedelta(seconds=seconds))
    return pace


def test_the_pace_is_that_of_the_bulk() -> None:
    steady = heard(*((number / 10, number / 100) for number in range(101)))
    assert steady.rate(10) == pytest.approx(100)
    # Small files at the end take as long as in a cluster a hundred times its size.
    assert heard((0, 0.1), (5, 0.6), (8, 0.9), (40, 1.0)).rate(40) == pytest.approx(100)
    # The largest file is heard of when it is whole.
    assert heard((0, 0.1), (3, 0.2), (5, 0.8), (9, 1.0)).rate(9) == pytest.approx(140)


def test_too_little_to_tell_the_bulk_apart() -> None:
    assert heard().rate(4) == 250
    assert heard((1, 1.0)).rate(4) == 250
    assert heard((1, 0.6), (2, 1.0)).rate(4) == 250


def test_a_burst_of_the_log_is_no_rate_of_the_copy() -> None:
    # Of 34 MB, of which a busy machine told within four milliseconds, as of those it told at once.
    assert heard((1, 0.1), (1.004, 0.7)).rate(4) == pytest.approx(0.6 * 1000 / MINIMUM_SECONDS)
    assert heard((1, 0.1), (1, 1.0)).rate(4) == pytest.approx(0.9 * 1000 / MINIMUM_SECONDS)
    assert heard((1, 0.1), (1.5, 0.7)).rate(4) == pytest.approx(1200)
