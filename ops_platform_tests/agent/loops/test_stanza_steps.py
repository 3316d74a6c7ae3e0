"""The beats that a process remembers, and what the metrics tell of sets."""

from __future__ import annotations

from datetime import timedelta

from ops_platform.agent.loops.stanza_steps import REMEMBERED_BEATS, Beats, sets_seen
from ops_platform.backup.recovery_point.rpo import Beat
from ops_platform_tests.backup.shapes import EPOCH, entry, repository


def beat(number: int) -> Beat:
    return Beat(EPOCH + timedelta(seconds=number), number, 1)


def test_beats_are_newest_first_and_wait_until_they_are_recorded() -> None:
    beats = Beats()
    for number in range(3):
        beats.add(beat(number))
    waiting = beats.waiting()
    beats.add(beat(3))
    beats.recorded(waiting)
    assert waiting == [beat(0), beat(1), beat(2)]
    assert beats.waiting() == [beat(3)]
    assert beats.newest_first() == [beat(3), beat(2), beat(1), beat(0)]


def test_memory_is_bounded() -> None:
    beats = Beats()
    for number in range(REMEMBERED_BEATS + 5):
        beats.add(beat(number))
    assert len(beats.newest_first()) == len(beats.waiting()) == REMEMBERED_BEATS
    assert beats.newest_first()[0] == beat(REMEMBERED_BEATS + 4)
    assert beats.waiting()[0] == beat(5)


def test_only_sound_sets_of_the_current_cluster_keep_a_kind_fresh() -> None:
    seen = sets_seen(
        repository(
            entry(1, database_id=1),
            entry(10, database_id=2),
            entry(20, database_id=2),
            entry(30, database_id=2, error=True),
            databases=2,
        )
    )
    assert seen.last_success == {"full": (EPOCH + timedelta(minutes=20, seconds=30)).timestamp()}
    assert seen.counts == {"full": 3, "differential": 0, "incremental": 0}
    assert (seen.damaged, seen.encrypted) == (1, True)


def test_a_stanza_that_was_never_made_has_no_sets() -> None:
    seen = sets_seen(repository(databases=0))
    assert (seen.last_success, seen.counts["full"], seen.damaged) == ({}, 0, 0)
