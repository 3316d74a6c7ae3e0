"""The beats that a process remembers."""

from __future__ import annotations

from datetime import timedelta

from ops_platform.agent.loops.stanza_steps import REMEMBERED_HEARTBEATS, RecentHeartbeats, clock_skew
from ops_platform.backup.recovery_point.rpo import Heartbeat
from ops_platform_tests.backup.shapes import EPOCH


def beat(number: int) -> Heartbeat:
    return Heartbeat(EPOCH + timedelta(seconds=number), number, 1)


def test_beats_are_newest_first_and_wait_until_they_are_recorded() -> None:
    beats = RecentHeartbeats()
    for number in range(3):
        beats.add(beat(number))
    waiting = beats.unrecorded()
    beats.add(beat(3))
    beats.mark_recorded(waiting)
    assert waiting == [beat(0), beat(1), beat(2)]
    assert beats.unrecorded() == [beat(3)]
    assert beats.newest_first() == [beat(3), beat(2), beat(1), beat(0)]


def test_memory_is_bounded() -> None:
    beats = RecentHeartbeats()
    for number in range(REMEMBERED_HEARTBEATS + 5):
        beats.add(beat(number))
    assert len(beats.newest_first()) == len(beats.unrecorded()) == REMEMBERED_HEARTBEATS
    assert beats.newest_first()[0] == beat(REMEMBERED_HEARTBEATS + 4)
    assert beats.unrecorded()[0] == beat(5)


def test_a_slow_answer_is_no_difference_of_clocks() -> None:
    began, ended = EPOCH, EPOCH + timedelta(seconds=30)
    assert clock_skew(EPOCH + timedelta(seconds=29), began, ended) == 0
    assert clock_skew(EPOCH, began, ended) == 0
    assert clock_skew(ended + timedelta(hours=1), began, ended) == 3600
    assert clock_skew(began - timedelta(hours=1), began, ended) == -3600
