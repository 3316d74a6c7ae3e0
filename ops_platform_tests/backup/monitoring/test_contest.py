"""Two servers that archive to one stanza: which timeline lives, and what is asked before a restore."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from ops_platform.backup.monitoring import contest
from ops_platform.backup.monitoring.archiver import ArchiveEnd, contested
from ops_platform.backup.monitoring.observation import Observation, judge
from ops_platform.backup.repository.segment_folders import ArchivedSegment
from ops_platform.backup.repository.wal_archive import Archive
from ops_platform.backup.wal import History, Segment
from ops_platform.dr.plan import restore_plan
from ops_platform.dr.plan.recovery_target import RecoveryTarget
from ops_platform.errors import CheckFailed
from ops_platform_tests.backup.shapes import EPOCH, GEOMETRY, entry, repository

LATEST = RecoveryTarget.latest()


def minute(number: float) -> datetime:
    return EPOCH + timedelta(minutes=number)


def archived(timeline: int, numbers: Sequence[int], at: int) -> list[ArchivedSegment]:
    return [
        ArchivedSegment(Segment(timeline, number), 1000, minute(at + place))
        for place, number in enumerate(numbers)
    ]


def copied(old_until: int, writes: int | None = None) -> Archive:
    """A copy is promoted at minute 12 and archives as timeline 2; the old server archives until a minute."""
    old = archived(1, range(3, old_until + 1), 3)
    history = {2: History(2, ((1, GEOMETRY.start(6) + 1000),))}
    return Archive(GEOMETRY, (*old, *archived(2, range(6, 16), 12)), history, {2: minute(12)}, writes)


def seen(archive: Archive) -> Observation:
    found = repository(entry(3, segments=(3, 3)))
    return judge(found, found.sets, archive)


def test_a_restore_in_place_is_no_contest() -> None:
    for writes in (None, 2):
        archive = copied(12, writes)
        assert contest.find(archive, None) is None
        assert restore_plan.choose(seen(archive), LATEST, None).state.history.timeline == 2


def test_two_timelines_that_grow_at_once_are_said() -> None:
    archive = copied(18)
    found = contest.find(archive, None)
    assert found == contest.Contest(2, 1, minute(18))
    said = contested(ArchiveEnd.whole(archive), minute(20))
    assert said is not None
    assert "timeline 1 was archived beside timeline 2, until 2026-11-01 00:18:00+00" in said
    assert contested(ArchiveEnd.whole(archive), minute(18) + contest.STILL * 2) is None, "it has ended"


def test_the_timeline_of_the_server_lives_and_the_copy_is_said() -> None:
    """The copy's number is the highest; the server goes on with timeline 1."""
    archive = copied(18, writes=1)
    assert archive.lineage.living == 1
    look = seen(archive)
    assert look.best is not None
    assert look.best[1].history.timeline == 1
    assert look.gap_segments == 0
    assert contested(ArchiveEnd.whole(archive), minute(22)) is not None


@pytest.mark.parametrize("writes", [None, 1, 2])
def test_an_emergency_asks_which_of_two_is_the_cluster(writes: int | None) -> None:
    look = seen(copied(18, writes))
    with pytest.raises(CheckFailed) as error:
        restore_plan.choose(look, LATEST, None)
    text = str(error.value)
    assert len(text.splitlines()) == 1
    assert "Find out which one is the cluster, and say" in text
    assert "--timeline 1" in text
    assert "--timeline 2" in text
    assert restore_plan.choose(look, LATEST, None, "1").state.history.timeline == 1
    assert restore_plan.choose(look, LATEST, None, "2").state.history.timeline == 2


def test_a_contest_of_last_week_is_over() -> None:
    archive = copied(18)
    late = [ArchivedSegment(Segment(2, 16), 1000, minute(18) + contest.REMEMBERED * 2)]
    archive = replace(archive, segments=(*archive.segments, *late))
    assert contest.remembered(archive) is None
    assert restore_plan.choose(seen(archive), LATEST, None).state.history.timeline == 2


def test_what_nobody_was_asked_about_is_said(tmp_path: Path) -> None:
    def said(archive: Archive) -> str:
        look = seen(archive)
        plan = restore_plan.choose(look, LATEST, None)
        return "\n".join(restore_plan.explain(plan, look, tmp_path, minute(40)).lines())

    assert "timeline     2, from 0/60003E8 of timeline 1 (by what is stored alone" in said(copied(12))
    assert "by what is stored alone" not in said(copied(12, writes=2))
