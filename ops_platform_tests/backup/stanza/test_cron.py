"""Cron expressions: refused when wrong, compared exactly, their pauses measured."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

import pytest
from cronsim import CronSim
from hypothesis import given, settings
from hypothesis import strategies as st

from ops_platform.backup.stanza.cron import Cron, longest_pause
from ops_platform_tests import hypothesis_profile


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0 2 * *", "five fields"),
        ("0 0 2 * * *", "five fields"),
        ("@daily", "five fields"),
        ("60 * * * *", "bad minute"),
        ("0 24 * * *", "bad hour"),
        ("0 2 * * MOO", "bad day-of-week"),
        ("0 2 30 2 *", "bad day-of-month"),
        ("0 2 * * 1#2", "numbers, names"),
    ],
)
def test_a_wrong_expression_is_refused(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Cron(text)


def test_the_last_due_time() -> None:
    weekly = Cron("0 2 * * 0")
    sunday = datetime(2026, 11, 22, 2, 0, tzinfo=UTC)
    assert weekly.last(sunday) == sunday
    assert weekly.last(sunday + timedelta(seconds=59)) == sunday
    assert weekly.last(sunday - timedelta(seconds=1)) == sunday - timedelta(days=7)


@pytest.mark.parametrize(
    ("one", "other", "meet"),
    [
        ("0 2 * * 0", "0 2 * * 1-6", False),
        ("0 2 * * 0", "30 * * * *", False),
        ("0 2 * * 0", "0 * * * *", True),
        ("0 2 1 * *", "0 2 * * 0", True),
        ("0 2 29 2 *", "0 2 * * 3", True),
        ("*/7 2 * * *", "*/11 2 * * *", True),
        ("0 2 1-7 1 *", "0 2 8-14 1 *", False),
    ],
)
def test_schedules_that_meet(one: str, other: str, meet: bool) -> None:
    assert (Cron(one).coincides(Cron(other)) is not None) == meet


minutes = st.sampled_from(["0", "30", "*/20", "5,35"])
hours = st.sampled_from(["*", "2", "*/6", "1-3"])
days = st.sampled_from([("*", "*"), ("*", "0"), ("*", "1-6"), ("1", "*"), ("1,15", "*"), ("13", "5")])
crons = st.tuples(minutes, hours, days).map(
    lambda part: Cron(f"{part[0]} {part[1]} {part[2][0]} * {part[2][1]}")
)


@given(crons, crons)
@settings(max_examples=hypothesis_profile.examples(30))
def test_meeting_is_what_ticking_finds(one: Cron, other: Cron) -> None:
    start, end = datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 4, 1, tzinfo=UTC)

    def ticks(cron: Cron) -> set[datetime]:
        return set(itertools.takewhile(lambda at: at < end, CronSim(cron.text, start)))

    found = ticks(one) & ticks(other)
    day = one.coincides(other)
    assert not found or day is not None
    if day is not None:
        at = datetime(day.year, day.month, day.day, tzinfo=UTC) - timedelta(seconds=1)
        same = [
            set(itertools.takewhile(lambda t: t.date() <= day, CronSim(c.text, at))) for c in (one, other)
        ]
        assert same[0] & same[1]


@pytest.mark.parametrize(
    ("texts", "pause"),
    [
        (["0 2 * * 0"], timedelta(days=7)),
        (["0 2 * * 0", "0 2 * * 1-6"], timedelta(days=1)),
        (["0 2 * * 1-6"], timedelta(days=2)),
        (["30 * * * *"], timedelta(hours=1)),
        (["0 5 1 * *"], timedelta(days=31)),
        (["0 0 29 2 *"], timedelta(days=1461)),
        (["0 8,20 * * *", "0 9 * * *"], timedelta(hours=12)),
    ],
)
def test_the_longest_pause(texts: list[str], pause: timedelta) -> None:
    assert longest_pause(frozenset(map(Cron, texts))) == pause
