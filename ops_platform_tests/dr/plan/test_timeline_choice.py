"""Which timeline a restore follows: 0, 1 and 2 forks, every kind of target, before and after a new set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from ops_platform.backup.monitoring.observation import Observation, judge
from ops_platform.backup.repository.segment_folders import ArchivedSegment
from ops_platform.backup.repository.wal_archive import Archive
from ops_platform.backup.wal import History, Segment, format_lsn
from ops_platform.dr.plan import restore_plan
from ops_platform.dr.plan.recovery_target import RecoveryTarget
from ops_platform.errors import CheckFailed, ConfigurationError
from ops_platform_tests.backup.shapes import EPOCH, GEOMETRY, entry, repository

# Segment N is archived at minute N. A full at minute 3; an incr at minute 9, behind the first fork.
FULL, INCR = "20261101-000300F", "20261101-000300F_20261101-000900I"
BRANCH = GEOMETRY.start(6) + 1000
"""Where timeline 2 begins: in segment 6, with a restore at minute 12."""
BRANCH_TIME = EPOCH + timedelta(minutes=5, seconds=30)
SECOND_BRANCH = GEOMETRY.start(9) + 1000
"""Where timeline 3 begins, on timeline 2: in segment 9, with a restore at minute 22."""


def minute(number: float) -> datetime:
    return EPOCH + timedelta(minutes=number)


def position(segment: int, offset: int = 500) -> str:
    return format_lsn(GEOMETRY.start(segment) + offset)


def archived(timeline: int, numbers: Sequence[int], at: int) -> list[ArchivedSegment]:
    """Segments that were archived one a minute, the first at minute ``at``."""
    return [
        ArchivedSegment(Segment(timeline, number), 1000, minute(at + place))
        for place, number in enumerate(numbers)
    ]


def seen(forks: int, *, new_set: bool = False, told: bool = True) -> Observation:
    """An archive with 0, 1 or 2 forks; ``told``: the history files say when recovery stopped."""
    segments = archived(1, range(3, 11), 3)
    histories: dict[int, History] = {}
    began_at: dict[int, datetime] = {}
    sets = [entry(3, segments=(3, 3)), entry(9, "incr", prior=FULL, segments=(9, 9))]
    lost = {1: BRANCH_TIME} if told else {}
    if forks:
        histories[2] = History(2, ((1, BRANCH),), lost)
        began_at[2] = minute(12)
        segments += archived(2, range(6, 12), 12)
        if new_set:
            sets.append(entry(14, "incr", prior=FULL, segments=(8, 8), timeline=2))
    if forks == 2:
        more = {2: minute(15.5)} if told else {}
        histories[3] = History(3, ((1, BRANCH), (2, SECOND_BRANCH)), lost | more)
        began_at[3] = minute(22)
        segments += archived(3, range(9, 14), 22)
        if new_set:
            sets.append(entry(24, segments=(11, 11), timeline=3))
    found = repository(*sets)
    return judge(found, found.sets, Archive(GEOMETRY, tuple(segments), histories, began_at))


def chosen(look: Observation, target: RecoveryTarget, timeline: str | None = None) -> tuple[str, int]:
    plan = restore_plan.choose(look, target, None, timeline)
    return plan.backup_set.label, plan.state.history.timeline


def refusal(look: Observation, target: RecoveryTarget, timeline: str | None = None) -> str:
    with pytest.raises(CheckFailed) as error:
        restore_plan.choose(look, target, None, timeline)
    text = str(error.value)
    assert len(text.splitlines()) == 1
    return text


LATEST = RecoveryTarget.latest()
NEW = {1: "20261101-000300F_20261101-001400I", 2: "20261101-002400F"}


@pytest.mark.parametrize("told", [True, False])
def test_the_end_of_the_archive_is_that_of_the_living_timeline(told: bool) -> None:
    assert chosen(seen(0, told=told), LATEST) == (INCR, 1)
    for forks in (1, 2):
        assert chosen(seen(forks, told=told), LATEST) == (FULL, forks + 1)
        assert chosen(seen(forks, new_set=True, told=told), LATEST) == (NEW[forks], forks + 1)


def test_another_timeline_is_followed_when_it_is_said() -> None:
    assert chosen(seen(1), LATEST, "1") == (INCR, 1)
    assert chosen(seen(1), LATEST, "latest") == chosen(seen(1), LATEST, "2") == (FULL, 2)
    assert chosen(seen(2, new_set=True), LATEST, "2") == (NEW[1], 2)
    assert "timeline 3 is not in the archive: there are 1, 2" in refusal(seen(1), LATEST, "3")


@pytest.mark.parametrize("text", ["", "0", "-1", "two", "1.5", "١"])
def test_what_is_no_timeline_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="is no timeline: write a number, or latest"):
        restore_plan.choose(seen(1), LATEST, None, text)


def test_an_lsn_before_every_fork_needs_no_timeline() -> None:
    for forks in (0, 1, 2):
        assert chosen(seen(forks), RecoveryTarget.parse("lsn", format_lsn(BRANCH))) == (FULL, forks + 1)


def test_an_lsn_that_two_timelines_have_is_asked_for() -> None:
    target = RecoveryTarget.parse("lsn", position(9))
    assert chosen(seen(0), target) == (INCR, 1)
    assert "is also one of timeline 1" in refusal(seen(1), target)
    assert "say which with --timeline 2 or --timeline 1" in refusal(seen(1), target)
    assert chosen(seen(1), target, "1") == (INCR, 1)
    assert chosen(seen(1), target, "latest") == (FULL, 2)
    assert chosen(seen(1, new_set=True), target, "2") == (NEW[1], 2)
    later = RecoveryTarget.parse("lsn", position(9, 2000))
    assert "is also one of timeline 1, 2," in refusal(seen(2), later)
    assert "with --timeline 3 or --timeline 2 or --timeline 1" in refusal(seen(2), later)
    assert chosen(seen(2, new_set=True), later, "2") == (NEW[1], 2)


def test_an_lsn_that_only_the_living_timeline_reaches_needs_none() -> None:
    assert chosen(seen(1), RecoveryTarget.parse("lsn", position(11))) == (FULL, 2)
    assert chosen(seen(2), RecoveryTarget.parse("lsn", position(13))) == (FULL, 3)


def test_a_time_before_the_fork_or_after_it_needs_no_timeline() -> None:
    for forks in (0, 1, 2):
        assert chosen(seen(forks), RecoveryTarget.at(minute(5.4))) == (FULL, forks + 1)
    assert chosen(seen(1), RecoveryTarget.at(minute(12))) == (FULL, 2)
    assert chosen(seen(1, new_set=True), RecoveryTarget.at(minute(16))) == (NEW[1], 2)
    assert chosen(seen(2), RecoveryTarget.at(minute(15))) == (FULL, 3)
    assert chosen(seen(2, new_set=True), RecoveryTarget.at(minute(25))) == (NEW[2], 3)


@pytest.mark.parametrize("at", [5.5, 8, 9.6, 11.99])
def test_a_time_that_was_left_behind_is_asked_for(at: float) -> None:
    target = RecoveryTarget.at(minute(at))
    for forks in (1, 2):
        said = refusal(seen(forks), target)
        assert "timeline 2, on which the cluster lives, did not exist until 2026-11-01 00:12:00" in said
        assert (
            f"--timeline 1 for what was written at that time and left behind, or --timeline {forks + 1}"
            in said
        )
    assert chosen(seen(1), target, "1")[1] == 1
    assert chosen(seen(1), target, "latest") == (FULL, 2)
    assert chosen(seen(0), target)[1] == 1


def test_the_second_fork_left_something_behind_too() -> None:
    target = RecoveryTarget.at(minute(18))
    assert chosen(seen(1), target) == (FULL, 2)
    assert "say" in refusal(seen(2), target).lower()
    assert "--timeline 2 for what" in refusal(seen(2), target)


def late(look: Observation, *more: ArchivedSegment) -> Observation:
    """The same archive with segments that arrived when another timeline lived already."""
    assert look.archive is not None
    archive = look.archive
    whole = Archive(archive.geometry, (*archive.segments, *more), archive.histories, archive.began_at)
    return judge(look.repository, look.repository.sets, whole)


def test_what_the_old_server_wrote_beside_the_new_one_is_asked_for() -> None:
    """It ran on behind the fork, and archived until minute 15; timeline 2 began at minute 12."""
    look = late(seen(1), *archived(1, range(11, 14), 13))
    for at in (12, 13.5, 15):
        said = refusal(look, RecoveryTarget.at(minute(at)))
        assert "archived of timeline 1 until 2026-11-01 00:15:00" in said
        assert "Say --timeline 1 for what was left behind, or --timeline 2 for what the cluster" in said
    assert "two servers wrote to one archive" in refusal(look, RecoveryTarget.at(minute(15.1)))
    assert chosen(look, RecoveryTarget.at(minute(5.4))) == (FULL, 2)
    assert chosen(look, RecoveryTarget.parse("lsn", format_lsn(BRANCH))) == (FULL, 2)
    assert chosen(look, RecoveryTarget.at(minute(13.5)), "1") == (INCR, 1)


def test_what_was_archived_only_after_the_fork_is_asked_for() -> None:
    """Nothing of what was left behind had arrived when timeline 2 began."""
    whole = seen(1)
    assert whole.archive is not None
    before = [one for one in whole.archive.segments if one.segment.timeline == 2 or one.segment.number < 6]
    early = Archive(GEOMETRY, tuple(before), whole.archive.histories, whole.archive.began_at)
    look = late(judge(whole.repository, whole.repository.sets, early), *archived(1, range(6, 8), 13))
    said = refusal(look, RecoveryTarget.at(minute(9)))
    assert "--timeline 1 for what was written at that time and left behind, or --timeline 2" in said


def test_of_two_forks_the_timeline_of_the_interval_is_named() -> None:
    look = late(seen(2), *archived(1, range(11, 14), 13))
    said = refusal(look, RecoveryTarget.at(minute(9.6)))
    assert "timeline 2, on which the cluster lives" in said
    assert "Say --timeline 1 for" in said
    assert "--timeline 2 or" not in said
    assert "Say --timeline 1 for" in refusal(look, RecoveryTarget.at(minute(13.5)))
    both = refusal(late(look, *archived(1, [14], 18)), RecoveryTarget.at(minute(17)))
    assert "Say --timeline 2 or --timeline 1 for what was written at that time" in both


def test_a_timeline_beside_the_living_one_is_asked_for() -> None:
    """A copy was promoted at minute 10 and archived as timeline 2; the cluster went on to timeline 3."""
    found = repository(entry(3, segments=(3, 3)))
    begin = GEOMETRY.start(6) + 1000
    whole = Archive(
        GEOMETRY,
        (*archived(1, range(3, 11), 3), *archived(2, range(6, 9), 10), *archived(3, range(9, 14), 14)),
        {2: History(2, ((1, begin),)), 3: History(3, ((1, GEOMETRY.start(9) + 8),))},
        {2: minute(10), 3: minute(14)},
    )
    look = judge(found, found.sets, whole)
    assert "--timeline 2" in refusal(look, RecoveryTarget.at(minute(11)))
    assert chosen(look, RecoveryTarget.at(minute(15))) == (FULL, 3)


def test_heartbeats_narrow_down_a_fork_whose_history_names_no_time() -> None:
    beats = [(minute(5.2), BRANCH - 400), (minute(5.4), BRANCH - 200), (minute(5.6), BRANCH + 200)]

    def last_beat(timeline: int, lsn: int) -> datetime | None:
        assert timeline == 1
        return max((at for at, beat_lsn in beats if beat_lsn <= lsn), default=None)

    look = seen(1, told=False)
    for at, asked in ((5.3, False), (5.45, True)):
        target = RecoveryTarget.at(minute(at))
        assert "--timeline 1 for what" in refusal(look, target)
        if asked:
            with pytest.raises(CheckFailed):
                restore_plan.choose(look, target, None, None, last_beat)
        else:
            assert restore_plan.choose(look, target, None, None, last_beat).state.history.timeline == 2


def test_without_a_time_in_the_history_the_clock_of_the_sets_decides() -> None:
    """Nobody knows then when the fork was: from the start of the last set before it, it is asked for."""
    assert "--timeline 1 for what" in refusal(seen(1, told=False), RecoveryTarget.at(minute(5.4)))
    assert chosen(seen(1, told=False), RecoveryTarget.at(minute(12))) == (FULL, 2)


def test_nothing_left_behind_is_nothing_to_ask_about() -> None:
    """Recovery went to the very end: all of timeline 1 is part of timeline 2."""
    end = GEOMETRY.start(8)
    found = repository(entry(3, segments=(3, 3)))
    whole = Archive(
        GEOMETRY,
        (*archived(1, range(3, 8), 3), *archived(2, range(8, 12), 20)),
        {2: History(2, ((1, end),))},
        {2: minute(20)},
    )
    look = judge(found, found.sets, whole)
    assert chosen(look, RecoveryTarget.at(minute(15))) == (FULL, 2)
    assert chosen(look, RecoveryTarget.parse("lsn", format_lsn(end))) == (FULL, 2)


@pytest.mark.parametrize("kind", ["name", "xid"])
def test_what_only_the_wal_knows_is_looked_for_on_the_living_timeline(kind: str) -> None:
    target = RecoveryTarget.parse(kind, "12")  # type: ignore[arg-type]
    assert chosen(seen(1), target) == (FULL, 2)
    assert chosen(seen(1), target, "1") == (INCR, 1)


def test_an_abandoned_set_is_not_taken_by_its_name_alone() -> None:
    look = seen(1)
    with pytest.raises(
        CheckFailed, match="lies on timeline 1, not on the way of timeline 2: say --timeline 1"
    ):
        restore_plan.choose(look, LATEST, INCR)
    assert restore_plan.choose(look, LATEST, INCR, "1").backup_set.label == INCR


def test_without_a_set_on_the_living_timeline_the_others_are_named() -> None:
    found = repository(entry(9, segments=(9, 9)))
    whole = Archive(
        GEOMETRY,
        (*archived(1, range(3, 11), 3), *archived(2, range(6, 12), 12)),
        {2: History(2, ((1, BRANCH),))},
        {2: minute(12)},
    )
    look = judge(found, found.sets, whole)
    assert look.best is None
    assert look.gap_segments is None
    assert "no set of stanza product lies on the way of timeline 2: take a full backup" in refusal(
        look, LATEST
    )


def test_abandoned_sets_count_for_nothing() -> None:
    look = seen(1)
    assert [one.label for one in look.restorable()] == [FULL]
    assert [one.label for one in look.sound()] == [FULL, INCR]
    assert [one.label for one in look.repository.sets if look.is_abandoned(one)] == [INCR]
    assert look.best is not None
    assert look.best[1].history.timeline == 2
    assert look.gap_segments == 0
    assert [one.label for one in seen(0).restorable()] == [FULL, INCR]


def test_the_timeline_is_said_before_anything_is_done() -> None:
    look = seen(1)

    def said(timeline: str | None) -> str:
        plan = restore_plan.choose(look, LATEST, None, timeline)
        return "\n".join(restore_plan.explain(plan, look, Path("/x"), minute(40)).lines())

    assert "timeline     2, from 0/60003E8 of timeline 1" in said(None)
    assert "timeline     1, ABANDONED: timeline 2 lives" in said("1")


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize("hours", [-1, 1])
def test_a_clock_of_s3_that_is_wrong_hides_no_other_timeline(hours: int, told: bool) -> None:
    """Times of arrival are S3's; the moment asked for, and those of the sets, are the server's."""
    look = seen(1, told=told)
    assert look.archive is not None
    by = timedelta(hours=hours)
    wrong = Archive(
        GEOMETRY,
        tuple(replace(each, archived_at=each.archived_at + by) for each in look.archive.segments),
        look.archive.histories,
        {timeline: moment + by for timeline, moment in look.archive.began_at.items()},
    )
    shifted = judge(look.repository, look.repository.sets, wrong)
    assert "--timeline 1" in refusal(shifted, RecoveryTarget.at(minute(8)))
