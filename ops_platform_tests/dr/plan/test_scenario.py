"""Which set and which moment an exercise takes: every chain comes round, and only what can be had."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops_platform.backup.monitoring.observation import Observation
from ops_platform.backup.recovery_point.rpo import Heartbeat, best_state
from ops_platform.backup.repository.backup_sets import BackupSet, Database, Repository
from ops_platform.backup.repository.segment_folders import ArchivedSegment
from ops_platform.backup.repository.wal_archive import Archive
from ops_platform.backup.wal import Geometry, Segment
from ops_platform.dr.plan import scenario
from ops_platform.dr.plan.heartbeat_pairs import HeartbeatPair
from ops_platform.dr.plan.scenario import SCENARIOS, Scenario
from ops_platform.errors import CheckFailed, ConfigurationError

T0 = datetime(2026, 6, 15, 12, tzinfo=UTC)
SIZE = 16 << 20
GEOMETRY = Geometry(SIZE)


def made(label: str, number: int, hours_ago: float, prior: str | None = None) -> BackupSet:
    at = T0 - timedelta(hours=hours_ago)
    wal = GEOMETRY.name(Segment(1, number))
    return BackupSet(
        label=label,
        kind="full" if prior is None else "incremental",
        prior=prior,
        references=(),
        started_at=at - timedelta(minutes=1),
        completed_at=at,
        lsn_start=f"0/{number * SIZE + 40:X}",
        lsn_stop=f"0/{number * SIZE + 80:X}",
        wal_start=wal,
        wal_stop=wal,
        size_bytes=1000,
        delta_bytes=1000,
        repo_size_bytes=500,
        repo_delta_bytes=500,
        database_id=1,
        error=False,
        annotations={},
    )


def observed(sets: Sequence[BackupSet], present: Sequence[int]) -> Observation:
    repository = Repository("product", True, tuple(sets), (Database(1, 42, "15"),), True)
    archive = Archive(GEOMETRY, tuple(ArchivedSegment(Segment(1, n), SIZE, T0) for n in present), {})
    state = archive.state_from(sets[0].wal_start)
    return Observation(repository, archive, state, best_state(repository, archive))


def beats(*, every: float = 10.0, last: int) -> list[HeartbeatPair]:
    """Pairs of the last hours, one segment written an hour, the newest in segment ``last``."""
    found = []
    for number in range(int(5 * 3600 / every)):
        after = T0 - timedelta(seconds=number * every)
        before = after - timedelta(seconds=every)
        found.append(
            HeartbeatPair(Heartbeat(before, _lsn(before, last), 1), Heartbeat(after, _lsn(after, last), 1))
        )
    return found


def _lsn(at: datetime, last: int) -> int:
    return int((last + 0.5 - (T0 - at).total_seconds() / 3600) * SIZE)


def pairs_of(found: Sequence[HeartbeatPair]) -> scenario.Pairs:
    def pairs(since: datetime, until: datetime, near: datetime) -> list[HeartbeatPair]:
        inside = [one for one in found if since <= one.before.at and one.after.at <= until]
        return sorted(inside, key=lambda one: abs(one.middle - near))

    return pairs


SETS = [made("F1", 2, 9), made("I1", 3, 8, "F1"), made("F2", 5, 4), made("I2", 6, 3, "F2")]
SEEN = observed(SETS, range(2, 10))


def test_the_newest_set_to_the_end_of_the_archive() -> None:
    plan = scenario.choose("latest", SEEN, pairs_of([]), T0)
    assert (plan.backup_set.label, plan.target.kind, plan.system_id) == ("I2", "latest", 42)
    assert plan.last_segment == Segment(1, 9)
    assert plan.wal_bytes == 4 * SIZE


def test_a_gap_behind_the_newest_set_is_no_success() -> None:
    with pytest.raises(CheckFailed, match="1 WAL segments are missing"):
        scenario.choose("latest", observed(SETS, [2, 3, 4, 5, 6, 8, 9]), pairs_of([]), T0)


def test_one_hour_ago_between_two_heartbeats() -> None:
    plan = scenario.choose("pitr", SEEN, pairs_of(beats(last=9)), T0)
    assert plan.pair is not None
    assert plan.target.moment is not None
    assert plan.pair.before.at < plan.target.moment < plan.pair.after.at
    assert abs(T0 - plan.target.moment - timedelta(hours=1)) <= timedelta(seconds=10)
    assert plan.backup_set.label == "I2"


def test_as_far_back_as_the_archive_reaches_and_says_so() -> None:
    young = observed([made("F1", 9, 0.2)], [9])
    plan = scenario.choose("pitr", young, pairs_of(beats(last=9)), T0)
    assert plan.target.moment is not None
    assert plan.target.moment > young.repository.sets[0].completed_at
    assert "reaches no nearer" in plan.note


def test_without_archived_heartbeats_there_is_no_moment() -> None:
    with pytest.raises(CheckFailed, match="is the agent running"):
        scenario.choose("pitr", SEEN, pairs_of([]), T0)
    # Written, but not archived.
    with pytest.raises(CheckFailed, match="is the agent running"):
        scenario.choose("pitr", SEEN, pairs_of(beats(last=99)), T0)


@pytest.mark.parametrize("name", ["integrity", "performance"])
def test_every_chain_comes_round(name: Scenario) -> None:
    labels = {
        scenario.choose(name, SEEN, pairs_of([]), T0.replace(month=month)).backup_set.label
        for month in range(1, 13)
    }
    assert labels == {one.label for one in SETS}


@given(st.integers(1, 12), st.integers(2024, 2040), st.integers(1, 20))
def test_no_two_scenarios_take_the_same_chain_where_there_are_several(
    month: int, year: int, count: int
) -> None:
    at = datetime(year, month, 1, tzinfo=UTC)
    turns = [scenario.chain_index(name, at, count) for name in SCENARIOS]
    assert all(0 <= turn < count for turn in turns)
    assert len(set(turns)) == min(count, len(SCENARIOS))


def test_without_a_set_there_is_nothing_to_exercise() -> None:
    empty = Observation(Repository("product", True, (), (Database(1, 42, "15"),), True), None, None, None)
    with pytest.raises(CheckFailed, match="take a full backup"):
        scenario.choose("latest", empty, pairs_of([]), T0)


@pytest.mark.parametrize("name", SCENARIOS)
def test_each_scenario_chooses_by_its_own_name(name: Scenario) -> None:
    assert scenario.of_exercise(name) == name


def test_the_weekly_check_restores_the_newest_set() -> None:
    assert scenario.of_exercise("restore_check") == "latest"


@pytest.mark.parametrize("name", ["newest", "", "Latest", "emergency"])
def test_an_unknown_scenario_is_refused_and_the_known_ones_named(name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"no scenario '{name}': take one of latest, pitr"):
        scenario.of_exercise(name)


def test_sound_sets_of_another_timeline_are_not_called_lost() -> None:
    """A server that writes timeline 1 has no set where all are of timeline 2: which is the cluster?"""
    wal = GEOMETRY.name(Segment(2, 5))
    backup_set = replace(made("20260615-100000F", 5, 2), wal_start=wal, wal_stop=wal)
    repository = Repository("product", True, (backup_set,), (Database(1, 42, "15"),), True)
    segments = tuple(ArchivedSegment(Segment(*at), SIZE, T0) for at in ((1, 4), (2, 5)))
    archive = Archive(GEOMETRY, segments, {}, writes=1)
    observation = Observation(repository, archive, None, best_state(repository, archive))
    said = r"on the way of timeline 1, which the server writes.* of timeline 2: if"
    with pytest.raises(CheckFailed, match=said):
        scenario.choose("latest", observation, lambda *_: [], T0)
