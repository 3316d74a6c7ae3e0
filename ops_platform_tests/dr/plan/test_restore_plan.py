"""What a restore says before it acts: the set for every kind of target, what is lost, what is refused."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops_platform.backup.monitoring.observation import Observation, judge
from ops_platform.backup.proof import Faults
from ops_platform.backup.repository.backup_sets import Repository
from ops_platform.backup.repository.wal_archive import Archive
from ops_platform.backup.wal import History, Segment, format_lsn
from ops_platform.dr.plan import restore_plan as explanation
from ops_platform.dr.plan.recovery_target import RecoveryTarget
from ops_platform.dr.plan.restore_plan import Explanation, choose, explain, require_empty_directory
from ops_platform.dr.plan.scenario import AFTER_SET
from ops_platform.errors import CheckFailed
from ops_platform_tests.backup.shapes import EPOCH, GEOMETRY, archive, entry, repository

# Archived at minute N is segment N; sets of minutes 3, 10 and 20, complete half a minute later.
SETS = (
    entry(3, segments=(3, 3)),
    entry(10, "diff", prior="20261101-000300F", segments=(10, 10)),
    entry(20, segments=(20, 20)),
)
FIRST, SECOND, THIRD = "20261101-000300F", "20261101-000300F_20261101-001000D", "20261101-002000F"
SEGMENTS = range(3, 31)
NOW = EPOCH + timedelta(minutes=40)


def minute(number: float) -> datetime:
    return EPOCH + timedelta(minutes=number)


def seen(
    segments: Sequence[int] = SEGMENTS, one: Repository | None = None, kept: Archive | None = None
) -> Observation:
    found = one or repository(*SETS)
    there = kept or archive(*segments)
    return judge(found, found.sets, there)


def lsn(segment: int, offset: int = 500) -> str:
    return format_lsn(GEOMETRY.start(segment) + offset)


@pytest.mark.parametrize(
    ("target", "label"),
    [
        (RecoveryTarget.latest(), THIRD),
        (RecoveryTarget.at(minute(25)), THIRD),
        (RecoveryTarget.at(minute(20.4)), SECOND),
        (RecoveryTarget.at(minute(10.5) + AFTER_SET), SECOND),
        (RecoveryTarget.at(minute(10.5) + AFTER_SET - timedelta(microseconds=1)), FIRST),
        (RecoveryTarget.parse("lsn", lsn(20)), THIRD),
        (RecoveryTarget.parse("lsn", lsn(20, 399)), SECOND),
        (RecoveryTarget.parse("lsn", lsn(3, 400)), FIRST),
        (RecoveryTarget.parse("name", "before the change"), THIRD),
        (RecoveryTarget.parse("xid", "4711"), THIRD),
    ],
    ids=str,
)
def test_the_newest_set_that_was_complete_before_the_target(target: RecoveryTarget, label: str) -> None:
    plan = choose(seen(), target, None)
    assert plan.backup_set.label == label
    assert plan.target == target
    assert plan.pair is None


@given(st.floats(min_value=0, max_value=30, allow_nan=False))
def test_no_chosen_set_was_ever_complete_after_its_target(at: float) -> None:
    target = RecoveryTarget.at(minute(at))
    moment = target.moment
    assert moment is not None
    fitting = [one for one in repository(*SETS).sets if one.completed_at + AFTER_SET <= moment]
    if not fitting:
        with pytest.raises(CheckFailed, match="the earliest moment is 2026-11-01 00:03:32"):
            choose(seen(), target, None)
        return
    assert choose(seen(), target, None).backup_set == max(fitting, key=lambda one: one.completed_at)


def test_a_set_that_was_asked_for_is_taken() -> None:
    for kind, text in (("name", "before"), ("xid", "12")):
        target = RecoveryTarget.parse(kind, text)  # type: ignore[arg-type]
        assert choose(seen(), target, SECOND).backup_set.label == SECOND
    assert choose(seen(), RecoveryTarget.latest(), FIRST).backup_set.label == FIRST


@pytest.mark.parametrize(
    ("target", "label", "said"),
    [
        (RecoveryTarget.at(minute(15)), THIRD, "was not complete before time .* its earliest moment is 2026"),
        (
            RecoveryTarget.parse("lsn", lsn(3, 399)),
            None,
            "was complete before lsn .* the earliest LSN is 0/3000190",
        ),
        (RecoveryTarget.latest(), "20261101-009900F", "is not in the repository; restorable are"),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused_in_one_line(target: RecoveryTarget, label: str | None, said: str) -> None:
    with pytest.raises(CheckFailed, match=said) as error:
        choose(seen(), target, label)
    assert len(str(error.value).splitlines()) == 1


def test_a_set_whose_wal_is_missing_is_passed_over_and_named() -> None:
    without = [number for number in SEGMENTS if number != 20]
    assert choose(seen(without), RecoveryTarget.latest(), None).backup_set.label == SECOND
    with pytest.raises(CheckFailed, match=f"set {THIRD} cannot be restored: its WAL"):
        choose(seen(without), RecoveryTarget.latest(), THIRD)


def test_a_set_with_page_errors_is_passed_over_with_those_that_build_on_it() -> None:
    damaged = repository(entry(3, error=True), SETS[1], SETS[2])
    assert choose(seen(one=damaged), RecoveryTarget.latest(), None).backup_set.label == THIRD
    with pytest.raises(CheckFailed, match="was complete before"):
        choose(seen(one=damaged), RecoveryTarget.at(minute(15)), None)


def test_a_set_that_lacks_files_or_was_found_damaged_is_passed_over_and_named() -> None:
    lacking, damaged = {THIRD: Faults(("bundle/1 is missing",), 1)}, {SECOND: "bundle/7: wrong bytes"}

    def faults(label: str) -> Faults:
        return lacking.get(label, Faults())

    look, latest = seen(), RecoveryTarget.latest()
    plan = choose(look, latest, None, faults_of=faults, damaged=damaged)
    assert plan.backup_set.label == FIRST
    said = text(explain(plan, look, Path("/new"), NOW))
    assert f"WARNING      set {THIRD} (bundle/1 is missing) was passed over" in said
    assert f"WARNING      set {SECOND} (bundle/7: wrong bytes) was passed over" in said
    # Files that are missing now are; what was read may have been repaired since.
    asked = choose(look, latest, SECOND, faults_of=faults, damaged=damaged)
    assert asked.warnings == (f"set {SECOND} was found damaged when it was read: bundle/7: wrong bytes",)
    with pytest.raises(CheckFailed, match=r"missing or damaged of .*bundle/1 is missing"):
        choose(look, latest, THIRD, faults_of=faults, damaged=damaged)
    every = dict.fromkeys((FIRST, SECOND, THIRD), "wrong bytes")
    with pytest.raises(CheckFailed, match="--set tries one that was repaired"):
        choose(look, latest, None, damaged=every)


def test_an_empty_repository_says_so() -> None:
    for nothing in (Observation(repository(), None, None, None), seen([])):
        with pytest.raises(CheckFailed, match="no set that can be restored"):
            choose(nothing, RecoveryTarget.latest(), None)


def told(target: RecoveryTarget, look: Observation, label: str | None = None) -> Explanation:
    return explain(choose(look, target, label), look, Path("/new"), NOW)


def text(one: Explanation) -> str:
    return "\n".join(one.lines())


def test_all_that_is_known_is_said() -> None:
    said = told(RecoveryTarget.latest(), seen())
    assert said.reaches == minute(30)
    assert said.loss == timedelta(minutes=10)
    for part in (
        "stanza       product",
        f"backup set   {THIRD} (full, completed 2026-11-01 00:20:30 UTC)",
        "recover to   the end of the archive",
        "into         /new",
        "size         0.0 MB, and up to 185 MB WAL",
        "in the last 10 min",
    ):
        assert part in text(said)
    assert "WARNING" not in text(said)


def test_damage_that_nobody_could_ask_for_is_unknown() -> None:
    known = told(RecoveryTarget.latest(), seen())
    assert "damaged" not in text(known)
    asked = text(replace(known, damage_known=False))
    assert "NOT KNOWN    whether bytes of the set are damaged: the ops database does not answer" in asked


def test_what_is_lost_with_each_kind_of_target() -> None:
    assert told(RecoveryTarget.at(minute(25)), seen()).loss == timedelta(minutes=15)
    for kind, value in (("lsn", lsn(25)), ("name", "x"), ("xid", "7")):
        said = told(RecoveryTarget.parse(kind, value), seen())  # type: ignore[arg-type]
        assert said.loss is None
        assert "all that was committed after the target" in text(said)


def test_missing_segments_are_warned_of_and_count_as_lost() -> None:
    holed = [number for number in SEGMENTS if number not in (23, 24)]
    said = told(RecoveryTarget.latest(), seen(holed))
    assert said.gaps == 2
    assert said.reaches == minute(22)
    assert said.loss == timedelta(minutes=18)
    assert "WARNING      2 WAL segments are missing after this; recovery ends before them" in text(said)


def test_a_gap_before_the_set_is_nothing_to_it() -> None:
    holed = [number for number in SEGMENTS if number != 15]
    assert told(RecoveryTarget.latest(), seen(holed)).gaps == 0


@pytest.mark.parametrize("missing", [(), (23,)])
def test_a_target_that_the_archive_does_not_reach_is_refused(missing: tuple[int, ...]) -> None:
    look = seen([number for number in SEGMENTS if number not in missing])
    end = 22 if missing else 30
    assert told(RecoveryTarget.at(minute(end)), look).loss == NOW - minute(end)
    with pytest.raises(CheckFailed, match=f"ends at about 2026-11-01 00:{end}:00"):
        told(RecoveryTarget.at(minute(end) + timedelta(seconds=61)), look)
    # Nobody's clock is right to the second.
    assert "NOT KNOWN whether" in text(told(RecoveryTarget.at(minute(end) + timedelta(seconds=59)), look))
    told(RecoveryTarget.parse("lsn", lsn(end)), look)
    with pytest.raises(CheckFailed, match="ends before that LSN"):
        told(RecoveryTarget.parse("lsn", lsn(end + 1)), look)


def test_a_clock_of_s3_that_is_behind_refuses_no_moment_that_is_there() -> None:
    """All was archived ten minutes later than S3 says."""
    look, behind, later = seen(), timedelta(minutes=10), NOW + timedelta(hours=1)

    def asked(at: float, store_behind: timedelta | None, beat: float | None = None) -> str:
        target = RecoveryTarget.at(minute(at))
        plan = choose(look, target, None, store_behind=store_behind or timedelta(0))
        known = None if beat is None else minute(beat)
        return text(explain(plan, look, Path("/new"), later, store_behind, lambda timeline, lsn: known))

    # Ours may be the clock that is ahead, and the archive ends where S3 says: then it is not there.
    assert "NOT KNOWN whether" in asked(39, behind)
    assert "by the clock of S3 at 2026-11-01 00:30:00+00" in asked(39, behind)
    assert "NOT KNOWN" not in asked(30, behind)
    assert "NOT KNOWN" not in asked(39, behind, beat=39)
    with pytest.raises(CheckFailed, match="ends at about 2026-11-01 00:40:00"):
        asked(42, behind)
    # It does not tell its time: nothing is refused that is not of the future.
    assert "NOT KNOWN whether the target is reached" in asked(42, None)
    with pytest.raises(CheckFailed, match="before the target"):
        asked(101, None)
    # It was put right since; a heartbeat in the archive knows better.
    with pytest.raises(CheckFailed, match="ends at about 2026-11-01 00:30:00"):
        asked(38, timedelta(0))
    assert "NOT KNOWN" not in asked(38, timedelta(0), beat=39)


def test_a_clock_of_the_server_that_was_ahead_for_one_set_promises_nothing() -> None:
    """It was half an hour ahead when the third set was taken, and was corrected since."""
    ahead = entry(20, segments=(20, 20), completed_at=minute(50.5))
    look = seen(one=repository(*SETS[:2], ahead))
    target = RecoveryTarget.at(minute(45))
    said = text(explain(choose(look, target, None), look, Path("/new"), NOW + timedelta(hours=1)))
    assert "NOT KNOWN whether the target is reached" in said


def test_a_new_timeline_is_followed_from_an_older_set() -> None:
    branch = History(2, ((1, GEOMETRY.start(25) + 8),))
    kept = archive(
        *range(3, 26), histories={2: branch}, more=[Segment(2, number) for number in range(25, 33)]
    )
    said = told(RecoveryTarget.latest(), seen(kept=kept))
    assert said.plan.timeline == "2"
    assert said.plan.last_segment == Segment(2, 32)
    assert said.reaches == minute(32)


def test_an_empty_or_new_directory_is_taken(tmp_path: Path) -> None:
    require_empty_directory(tmp_path)
    require_empty_directory(tmp_path / "new")


def test_whatever_is_there_is_refused_with_a_way_out(tmp_path: Path) -> None:
    full = tmp_path / "full"
    full.mkdir()
    (full / ".hidden").touch()
    file = tmp_path / "file"
    file.touch()
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "empty")
    (tmp_path / "empty").mkdir()
    for place, said in (
        (full, "is not empty: move it away first"),
        (file, "is not a directory"),
        (link, "is not a directory"),
        (tmp_path / "no" / "new", "does not exist: create it"),
    ):
        with pytest.raises(CheckFailed, match=said) as error:
            require_empty_directory(place)
        assert len(str(error.value).splitlines()) == 1


def test_a_server_in_an_emptied_directory_is_seen_even_through_a_link(tmp_path: Path) -> None:
    """Somebody deleted the files below a running server: it still writes there."""
    place, link = tmp_path / "data", tmp_path / "link"
    place.mkdir()
    link.symlink_to(tmp_path)
    program = tmp_path / "postgres"
    program.symlink_to("/bin/sleep")
    server = subprocess.Popen([str(program), "300"], cwd=place)
    try:
        for path in (place, link / "data"):
            with pytest.raises(CheckFailed, match=rf"\(process {server.pid}\) runs in"):
                require_empty_directory(path)
    finally:
        server.kill()
        server.wait()
    require_empty_directory(place)


@pytest.mark.parametrize(("seconds", "said"), [(0, "0 s"), (119, "119 s"), (120, "2 min"), (7200, "2.0 h")])
def test_spans_as_people_say_them(seconds: int, said: str) -> None:
    assert explanation._span(timedelta(seconds=seconds)) == said
