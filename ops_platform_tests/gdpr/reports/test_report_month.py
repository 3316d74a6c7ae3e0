"""The month that a report is about."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from ops_platform.gdpr.reports import monthly_report as compliance


def at(year: int, month: int, day: int) -> datetime:
    return datetime(year, month, day, tzinfo=UTC)


@pytest.mark.parametrize(
    ("now", "start", "end"),
    [
        (at(2026, 1, 2), at(2025, 12, 1), at(2026, 1, 1)),
        (at(2026, 3, 31), at(2026, 2, 1), at(2026, 3, 1)),
    ],
)
def test_the_month_before(now: datetime, start: datetime, end: datetime) -> None:
    assert compliance.month_before(now) == (start, end)
