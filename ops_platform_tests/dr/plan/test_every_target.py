"""Every kind of target on an archive forked never, once and twice, before and after the first new set.

What a choice would restore is held against what the cluster held at that moment, which is known here from
notes and not from the archive. The same with real servers, for some of it: ``emergency/test_timelines.py``.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest

from ops_platform.backup.monitoring.observation import Observation, judge
from ops_platform.backup.recovery_point import Heartbeat
from ops_platform.backup.repository.segment_folders import ArchivedSegment
from ops_platform.backup.repository.wal_archive import Archive
from ops_platform.backup.wal import History, Segment, format_lsn
from ops_platform.dr.plan import restore_plan, scenario
from ops_platform.dr.plan.heartbeat_pairs import HeartbeatPair
from ops_platform.dr.plan.recovery_target import RecoveryTarget
from ops_platform.dr.plan.scenario import SCENARIOS, Plan, Scenario
from ops_platform.errors import CheckFailed
from ops_platform_tests.backup.shapes import EPOCH, GEOMETRY, entry, repository

FULL = "20261101-000200F"


def minute(number: float) -> datetime:
    return EPOCH + timedelta(minutes=number)


@dataclass(frozen=True)
class Note:
    """What was committed on a timeline, at an LSN and a moment."""

    timeline: int
    lsn: int
    at: datetime


@dataclass(frozen=True)
class Stretch:
    """A timeline: its segments, each written in the minute before ``first_minute`` + place.

    It left its parent at offset 1000 of its first segment, behind the first of the two notes there.
    """

    timeline: int
    numbers: Sequence[int]
    first_minute: int
    stopped: float = 0.0
    """Minute of the first commit of the parent that recovery left out."""

    @property
    def began(self) -> datetime:
        return minute(self.first_minute - 1) if self.timeline > 1 else EPOCH

    @property
    def branch(self) -> int:
        return GEOMETRY.start(self.numbers[0]) + 1000 if self.timeline > 1 else 0

    def archived(self) -> Iterator[ArchivedSegment]:
        for place, number in enumerate(self.numbers):
            yield ArchivedSegment(Segment(self.timeline, number), 1000, minute(self.first_minute + place))

    def notes(self) -> Iterator[Note]:
        for place, number in enumerate(self.numbers):
            for offset, before in ((500, 0.8), (2000, 0.4)):
                lsn = GEOMETRY.start(number) + offset
                if lsn > self.branch:
                    yield Note(self.timeline, lsn, minute(self.first_minute + place - before))


STRETCHES = (
    Stretch(1, range(3, 11), 3),
    Stretch(2, range(6, 12), 13, 5.6),
    Stretch(3, range(9, 14), 23, 15.6),
)
ALL_NOTES = [note for stretch in STRETCHES for note in stretch.notes()]


@dataclass(frozen=True)
class World:
    """A cluster that was restored in place ``forks`` times.

    ``new_set``: a backup was taken since each of them; where there was none, one more after all others.
    """

    forks: int
    new_set: bool
    told: bool = True
    """The history files say when recovery stopped."""

    @property
    def living(self) -> int:
        return self.forks + 1

    @functools.cached_property
    def notes(self) -> list[Note]:
        return [note for note in ALL_NOTES if note.timeline <= self.living]

    @property
    def now(self) -> datetime:
        return self.notes[-1].at + timedelta(minutes=2)

    def way(self, timeline: int) -> list[Note]:
        """What a cluster on ``timeline`` has of it all: its own notes, its parent's before the branch."""
        own = STRETCHES[timeline - 1]
        parents = self.way(timeline - 1) if timeline > 1 else []
        return [note for note in parents if note.lsn <= own.branch] + [
            note for note in self.notes if note.timeline == timeline
        ]

    def held_at(self, moment: datetime) -> list[Note]:
        """What the cluster held at a moment, as whoever used it then remembers."""
        lived = max(one.timeline for one in STRETCHES[: self.living] if one.began <= moment)
        return [note for note in self.way(lived) if note.at <= moment]

    @functools.cache  # noqa: B019 - there are few worlds, and all stay
    def observation(self) -> Observation:
        stretches = STRETCHES[: self.living]
        histories: dict[int, History] = {}
        left: tuple[tuple[int, int], ...] = ()
        lost: dict[int, datetime] = {}
        for one in stretches[1:]:
            left += ((one.timeline - 1, one.branch),)
            lost |= {one.timeline - 1: minute(one.stopped)} if self.told else {}
            histories[one.timeline] = History(one.timeline, left, dict(lost))
        # Each was taken within the first third of the minute in which its segment was written.
        sets = [_set(2, 3, 1), _set(8, 9, 1, prior=FULL)]
        if self.new_set and not self.forks:
            sets.append(_set(9, 10, 1, prior=FULL))
        if self.new_set and self.forks:
            sets.append(_set(14, 8, 2, prior=FULL))
        if self.new_set and self.forks == 2:
            sets.append(_set(24, 11, 3))
        found = repository(*sets)
        segments = tuple(itertools.chain.from_iterable(one.archived() for one in stretches))
        began_at = {one.timeline: one.began for one in stretches[1:]}
        return judge(found, found.sets, Archive(GEOMETRY, segments, histories, began_at))

    def restored(self, plan: Plan) -> list[Note]:
        """What a recovery of this plan brings: all of the timeline's way up to the target."""
        way, target = self.way(plan.state.history.timeline), plan.target
        if target.moment is not None:
            return [note for note in way if note.at <= target.moment]
        if target.lsn is not None:
            return [note for note in way if note.lsn <= target.lsn]
        if target.kind == "immediate":
            return [note for note in way if note.lsn <= plan.backup_set.stop_position]
        return way

    def pairs(self, since: datetime, until: datetime, near: datetime) -> list[HeartbeatPair]:
        """Every note is a heartbeat; those of all timelines are neighbours, as the ops database has them."""
        beats = [Heartbeat(note.at, note.lsn, note.timeline) for note in self.notes]
        inside = sorted((beat for beat in beats if since <= beat.at <= until), key=lambda beat: beat.at)
        found = [HeartbeatPair(before, after) for before, after in itertools.pairwise(inside)]
        return sorted(found, key=lambda pair: abs(pair.middle - near))


def _set(at: int, segment: int, timeline: int, prior: str | None = None) -> dict[str, object]:
    """A set that ends at offset 400 of its segment, before the notes there."""
    kind = "full" if prior is None else "incr"
    completed = minute(at) + timedelta(seconds=8)
    made = entry(
        at, kind, prior=prior, segments=(segment, segment), timeline=timeline, completed_at=completed
    )
    made["timestamp"]["start"] = int((completed - timedelta(seconds=4)).timestamp())
    return made


WORLDS = [World(forks, new_set) for forks in (0, 1, 2) for new_set in (False, True)]
MOMENTS = sorted(
    {note.at + timedelta(seconds=by) for note in ALL_NOTES for by in (-6, 0, 6)}
    | {minute(number / 2) for number in range(5, 60)}
)


def named(world: World) -> str:
    return f"{world.forks} forks, {'a new set' if world.new_set else 'no new set'}"


every_world = pytest.mark.parametrize("world", WORLDS, ids=named)


def chosen(world: World, target: RecoveryTarget, timeline: str | None = None) -> list[Note] | None:
    """What the emergency's choice would restore; None when it refuses."""
    observation = world.observation()
    try:
        plan = restore_plan.choose(observation, target, None, timeline)
    except CheckFailed:
        return None
    _require_newest_that_fits(world, observation, plan)
    return world.restored(plan)


def _require_newest_that_fits(world: World, observation: Observation, plan: Plan) -> None:
    history, target = plan.state.history, plan.target
    fitting = [
        one.label
        for one in observation.repository.sets
        if history.holds_position(one.timeline, one.stop_position)
        and (target.lsn is None or one.stop_position <= target.lsn)
        and (target.moment is None or one.completed_at + scenario.AFTER_SET <= target.moment)
    ]
    assert plan.backup_set.label == fitting[-1]


@every_world
@pytest.mark.parametrize("kind", ["latest", "name", "xid"])
def test_what_is_at_the_end_or_only_in_the_wal(world: World, kind: str) -> None:
    """Where a name or a transaction lies only recovery finds out: it goes along the living timeline."""
    target = RecoveryTarget.latest() if kind == "latest" else RecoveryTarget(kind, "12")  # type: ignore[arg-type]
    assert chosen(world, target) == chosen(world, target, "latest") == world.way(world.living)
    for timeline in range(1, world.living + 1):
        assert chosen(world, target, str(timeline)) == world.way(timeline)


@every_world
def test_the_end_of_the_newest_set_that_lives(world: World) -> None:
    brought = chosen(world, RecoveryTarget("immediate"))
    assert brought is not None
    assert set(brought) <= set(world.way(world.living))
    newest_of_the_first = 10 if world == World(0, True) else 9
    assert chosen(world, RecoveryTarget("immediate"), "1") == [
        note for note in world.way(1) if note.lsn < GEOMETRY.start(newest_of_the_first)
    ]


@every_world
def test_every_moment(world: World) -> None:
    for moment in (moment for moment in MOMENTS if EPOCH + timedelta(minutes=2.2) < moment < world.now):
        target = RecoveryTarget.at(moment)
        living = [note for note in world.way(world.living) if note.at <= moment]
        brought = chosen(world, target)
        if living != world.held_at(moment):
            assert brought is None, moment
        forked = [one for one in STRETCHES[1 : world.living] if minute(one.stopped) <= moment < one.began]
        if not forked:
            assert brought == living, moment
        assert brought in (None, living), moment
        for timeline in range(1, world.living + 1):
            its = [note for note in world.way(timeline) if note.at <= moment]
            assert chosen(world, target, str(timeline)) == its, (moment, timeline)


@every_world
def test_every_moment_where_no_history_tells_when_recovery_stopped(world: World) -> None:
    untold = World(world.forks, world.new_set, told=False)
    for moment in (moment for moment in MOMENTS if EPOCH + timedelta(minutes=2.2) < moment < world.now):
        brought = chosen(untold, RecoveryTarget.at(moment))
        assert brought in (None, world.held_at(moment)), moment
        if moment >= STRETCHES[world.forks].began:
            assert brought is not None, moment


@every_world
def test_every_lsn(world: World) -> None:
    for lsn in sorted({note.lsn + by for note in world.notes for by in (0, 100)}):
        target = RecoveryTarget.parse("lsn", format_lsn(lsn))
        having = [
            one.timeline
            for one in STRETCHES[: world.living]
            if one.branch < lsn <= GEOMETRY.start(one.numbers[-1] + 1)
        ]
        left = [
            timeline for timeline in having if timeline < world.living and lsn > STRETCHES[timeline].branch
        ]
        living = [note for note in world.way(world.living) if note.lsn <= lsn]
        assert chosen(world, target) == (None if left else living), format_lsn(lsn)
        for timeline in having:
            its = [note for note in world.way(timeline) if note.lsn <= lsn]
            assert chosen(world, target, str(timeline)) == its, (format_lsn(lsn), timeline)


@every_world
@pytest.mark.parametrize("name", SCENARIOS)
def test_every_exercise(world: World, name: Scenario) -> None:
    """In each month of a year: another set each time, and never what was left behind."""
    observation, way, taken = world.observation(), world.way(world.living), set[str]()
    for days in range(0, 365, 30):
        plan = scenario.choose(name, observation, world.pairs, world.now + timedelta(days=days))
        taken.add(plan.backup_set.label)
        assert plan.state.history.timeline == world.living
        assert plan.state.history.holds_position(plan.backup_set.timeline, plan.backup_set.stop_position)
        brought = world.restored(plan)
        assert set(brought) <= set(way)
        if name == "latest":
            assert brought == way
        if plan.pair is not None:
            known = {(note.timeline, note.lsn) for note in way}
            assert {(beat.timeline, beat.lsn) for beat in (plan.pair.before, plan.pair.after)} <= known
            assert brought[-1].at == plan.pair.before.at
    able = {one.label for one in observation.restorable()}
    if name == "latest":
        assert taken == {max(able)}
    else:
        assert len(taken) > 1 or len(able) == 1
    if name in ("integrity", "performance"):
        assert taken == able, "each has its turn"
