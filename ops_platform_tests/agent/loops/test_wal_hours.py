"""Which hours of the archive get a row, and how far the archive lagged at their end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from ops_platform.agent.loops.wal_hours import HOUR, REACH_BACK, SETTLE, lag_at, missing_hours
from ops_platform.backup.recovery_point.rpo import Heartbeat
from ops_platform_tests.backup.shapes import EPOCH, GEOMETRY, archive, entry, repository

MOMENTS = st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 1), timezones=st.just(UTC))


@given(st.none() | MOMENTS, st.none() | MOMENTS, MOMENTS)
def test_hours_are_closed_whole_and_in_a_row(
    newest: datetime | None, oldest: datetime | None, now: datetime
) -> None:
    if newest is not None:
        newest = newest.replace(minute=0, second=0, microsecond=0)
    hours = missing_hours(newest, oldest, now)
    assert hours == sorted(set(hours))
    assert all(b - a == HOUR for a, b in pairwise(hours))
    assert all((hour.minute, hour.second, hour.microsecond) == (0, 0, 0) for hour in hours)
    assert all(hour + HOUR + SETTLE <= now for hour in hours)
    assert len(hours) <= REACH_BACK / HOUR + 1
    if hours:
        assert now - hours[-1] < 2 * HOUR + SETTLE
        assert newest is None or hours[0] > newest
    # Done once, there is nothing left to do.
    assert not hours or missing_hours(hours[-1], oldest, now) == []


def test_an_empty_archive_has_no_hours() -> None:
    assert missing_hours(None, None, EPOCH) == []


def test_the_first_hour_is_that_of_the_oldest_segment() -> None:
    oldest = EPOCH + timedelta(minutes=61)
    assert missing_hours(None, oldest, EPOCH + timedelta(hours=3, minutes=3)) == [
        EPOCH + HOUR,
        EPOCH + 2 * HOUR,
    ]


def beat(minute: float, number: int) -> Heartbeat:
    """A beat whose position is in the middle of a segment."""
    return Heartbeat(EPOCH + timedelta(minutes=minute), GEOMETRY.start(number) + 1000, 1)


BEATS = [beat(minute, minute) for minute in range(59, 2, -1)]
"""One a minute, each in the segment of its number, which is archived at the minute of its number."""


def test_the_lag_is_that_of_the_archive_at_the_moment() -> None:
    seen = repository(entry(3, completed_at=EPOCH + timedelta(minutes=4)))
    # Segments 3..29 arrive at minutes 3..29; 30..59 arrive later than the moment that is asked for.
    held = archive(*range(3, 60))
    assert lag_at(EPOCH + timedelta(minutes=30), seen, held, BEATS) == 60
    stalled = archive(*range(3, 20))
    assert lag_at(EPOCH + timedelta(minutes=30), seen, stalled, BEATS) == 11 * 60


def test_a_set_of_later_does_not_count_for_then() -> None:
    seen = repository(entry(40, segments=(40, 40)))
    assert lag_at(EPOCH + timedelta(minutes=30), seen, archive(*range(3, 60)), BEATS) is None


def test_without_a_beat_the_lag_is_unknown() -> None:
    seen = repository(entry(3))
    assert lag_at(EPOCH + timedelta(minutes=30), seen, archive(*range(3, 60)), []) is None
