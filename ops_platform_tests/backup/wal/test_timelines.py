"""Histories, and which timeline of an archive lives."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from ops_platform.backup.wal import Geometry, History, Lineage, Segment, parse_lsn


def test_a_history_file_is_read() -> None:
    text = "1\t0/A000198\tno recovery target specified\n\n# a comment\n2\t1/2B000000\tbefore 2026-01-01\n"
    assert History.parse(3, text) == History(3, ((1, parse_lsn("0/A000198")), (2, parse_lsn("1/2B000000"))))


def test_a_restore_point_may_have_any_name() -> None:
    text = '1\t0/A000198\tat restore point "line\u2028end M\udcfcller"\n2\t1/2B000000\tno\r\n'
    assert [parent for parent, _ in History.parse(3, text).left] == [1, 2]


@pytest.mark.parametrize("text", ["x\t0/1\t", "1", "1\tzero\t", "2\t0/1\t\n1\t0/2\t", "3\t0/1\t"])
def test_a_history_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no LSN|history"):
        History.parse(3, text)


@pytest.mark.parametrize(
    ("reason", "at"),
    [
        ("before 2026-11-30 04:10:00.123456+00", datetime(2026, 11, 30, 4, 10, 0, 123456, UTC)),
        ("before 2026-11-30 09:40:00+05:30", datetime(2026, 11, 30, 4, 10, tzinfo=UTC)),
        ("after 2026-11-30 04:10:00+00", None),
        ("before transaction 812", None),
        ("after LSN 0/3000148", None),
        ('at restore point "before 2026-11-30 04:10:00+00"', None),
        ("no recovery target specified", None),
    ],
)
def test_a_history_tells_the_first_commit_that_was_left_behind(reason: str, at: datetime | None) -> None:
    found = History.parse(2, f"1\t0/A000198\t{reason}\n")
    assert found.first_lost == ({} if at is None else {1: at})


def test_recovery_can_begin_in_the_segment_where_the_timeline_was_left() -> None:
    history = History(2, ((1, parse_lsn("0/5000100")),))
    assert history.holds(Segment(1, 5), Geometry())
    assert not history.holds(Segment(1, 6), Geometry())


LEFT = parse_lsn("0/5000100")
SECOND = History(2, ((1, LEFT),))
THIRD = History(3, ((1, LEFT + 500),))
"""Begun from timeline 1 again, and behind where timeline 2 had begun."""


def test_the_highest_timeline_lives() -> None:
    assert Lineage.of({}, []).living == 1
    assert Lineage.of({}, [1]).living == 1
    assert Lineage.of({2: SECOND}, [1]).living == 2
    assert Lineage.of({2: SECOND, 3: THIRD}, [1, 2]).living == 3
    assert Lineage.of({2: SECOND}, [1, 4]).living == 4


def test_what_the_living_timeline_did_not_take_along_is_abandoned() -> None:
    lineage = Lineage.of({2: SECOND}, [1])
    assert not lineage.is_abandoned(1, LEFT)
    assert lineage.is_abandoned(1, LEFT + 1)
    assert not lineage.is_abandoned(2, LEFT + 1)
    assert lineage.why_abandoned(1) == "timeline 1 was left at 0/5000100, timeline 2 lives"


def test_a_timeline_beside_the_living_one_is_abandoned_whole() -> None:
    lineage = Lineage.of({2: SECOND, 3: THIRD}, [])
    assert lineage.is_abandoned(2, LEFT)
    assert not lineage.is_abandoned(1, LEFT + 500)
    assert lineage.why_abandoned(2) == "timeline 3 lives, and its history does not name timeline 2"


def test_without_a_history_file_nothing_before_it_is_believed() -> None:
    lineage = Lineage.of({}, [1, 2])
    assert lineage.is_abandoned(1, 0)
    assert lineage.history() == History(2)


def test_an_ancestor_of_which_nothing_is_archived_is_known() -> None:
    assert Lineage.of({3: History(3, ((1, LEFT), (2, LEFT + 9)))}, [3]).seen == {1, 2, 3}
