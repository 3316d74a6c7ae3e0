"""When a changed catalogue gets its reference, and when it must wait."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ops_platform.dr.reference.change_watch import FREE_IN_AN_HOUR, PAUSE, must_wait
from ops_platform.dr.reference.reference_store import Newest

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("age", "in_last_hour", "waits"),
    [
        (timedelta(seconds=1), 1, False),
        (timedelta(seconds=1), FREE_IN_AN_HOUR - 1, False),
        (timedelta(seconds=1), FREE_IN_AN_HOUR, True),
        (PAUSE, FREE_IN_AN_HOUR, False),
        (PAUSE, 10 * FREE_IN_AN_HOUR, False),
    ],
)
def test_a_catalogue_that_goes_on_changing_waits_for_its_next_reference(
    age: timedelta, in_last_hour: int, waits: bool
) -> None:
    assert must_wait(Newest(NOW - age, {}, in_last_hour), NOW) is waits
