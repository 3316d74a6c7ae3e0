"""The recoverable window: from the oldest set that the archive continues without a gap."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from ops_platform.backup.monitoring.observation import Observation, judge
from ops_platform.backup.monitoring.window import Window, expected_seconds, restorable_window
from ops_platform.backup.wal import History, Segment
from ops_platform_tests.backup.shapes import EPOCH, GEOMETRY, archive, entry, repository

FULL = entry(0, segments=(3, 3))
INCR = entry(60, "incr", prior=FULL["label"], segments=(10, 10))
NEXT = entry(120, segments=(20, 20))
SETS = (FULL, INCR, NEXT)
HOUR = timedelta(hours=1)


def seen(*numbers: int, sets: tuple[dict[str, Any], ...] = SETS, **more: Any) -> Observation:
    known = repository(*sets)
    return judge(known, known.sets, archive(*numbers, **more))


def first(window: Window) -> str | None:
    return None if window.first is None else window.first.label


def test_a_whole_archive_gives_all_of_it() -> None:
    window = restorable_window(seen(*range(3, 31)))
    assert first(window) == FULL["label"]
    assert window.seconds(None) == (2 * HOUR).total_seconds()
    end = EPOCH + 5 * HOUR
    assert window.seconds(end) == (end - EPOCH).total_seconds() - 30
    # A point before the newest set's end is no end: the set itself can be restored.
    assert window.seconds(EPOCH) == (2 * HOUR).total_seconds()


@pytest.mark.parametrize(
    ("missing", "expected"),
    [
        (5, INCR),  # behind the full: what is before the incremental is cut off
        (15, NEXT),
        (25, FULL),  # behind the newest set: the window only ends there
        (10, NEXT),  # the incremental's own segment
    ],
)
def test_a_gap_cuts_off_what_is_before_it(missing: int, expected: dict[str, Any]) -> None:
    window = restorable_window(seen(*(number for number in range(3, 31) if number != missing)))
    assert first(window) == expected["label"]


def test_a_segment_that_cannot_be_read_is_missing() -> None:
    known, stored = repository(*SETS), archive(*range(3, 31))
    names = {number: GEOMETRY.name(Segment(1, number)) for number in (5, 25, 900)}
    whole = judge(known, known.sets, stored)
    assert stored.without({names[900]: "expired since"}) is stored
    found = judge(known, known.sets, stored.without({names[5]: "wrong bytes", names[25]: "wrong bytes"}))
    assert first(restorable_window(found)) == INCR["label"]
    assert (whole.gap_segments, found.gap_segments) == (0, 2)
    assert found.archive is not None
    assert list(found.archive.faults()) == [names[5], names[25]]
    assert whole.best is not None
    assert found.best is not None
    assert whole.best[1].contiguous_last == Segment(1, 30)
    assert found.best[1].contiguous_last == Segment(1, 24), "the recovery point is before the damage"


def test_a_set_that_cannot_be_read_is_none_nor_is_what_builds_on_it() -> None:
    def without(*damaged: dict[str, Any]) -> Window:
        known = repository(*SETS).with_damage({one["label"]: "a file is missing" for one in damaged})
        return restorable_window(judge(known, known.sets, archive(*range(3, 31))))

    assert first(without(FULL, INCR)) == NEXT["label"]
    assert without(FULL, INCR).seconds(None) == 0
    assert first(without(INCR)) == FULL["label"]
    assert without(*SETS) == Window()


def test_nothing_that_can_be_restored_is_a_window_of_zero() -> None:
    assert Window().seconds(EPOCH) == 0
    assert restorable_window(seen(*range(4, 10), sets=(FULL,))) == Window()
    assert restorable_window(Observation(repository(), None, None, None)) == Window()


def test_a_set_that_a_restore_left_behind_is_no_part_of_it() -> None:
    observation = seen(
        *range(3, 31),
        sets=(FULL, NEXT),
        histories={2: History(2, ((1, GEOMETRY.start(15)),))},
        more=[Segment(2, number) for number in range(15, 25)],
    )
    window = restorable_window(observation)
    assert first(window) == FULL["label"]
    assert window.until == EPOCH + timedelta(seconds=30)


def test_a_young_stanza_is_promised_its_own_age_and_an_old_one_the_retention() -> None:
    retention = timedelta(days=35)
    assert expected_seconds(EPOCH, EPOCH + HOUR, retention) == 3600
    assert expected_seconds(EPOCH, EPOCH + timedelta(days=99), retention) == retention.total_seconds()
    assert expected_seconds(EPOCH, EPOCH - HOUR, retention) == 0
