"""What would be lost: never told smaller than it is."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops_platform.backup.monitoring.observation import Observation
from ops_platform.backup.recovery_point import rpo
from ops_platform.backup.recovery_point.rpo import Heartbeat, best_state, recovery_point
from ops_platform.backup.wal import History, Segment
from ops_platform.errors import CheckFailed
from ops_platform_tests import hypothesis_profile
from ops_platform_tests.backup.shapes import EPOCH, GEOMETRY, archive, entry, repository


def beat(segment: int, minute: float, *, timeline: int = 1) -> Heartbeat:
    return Heartbeat(EPOCH + timedelta(minutes=minute), GEOMETRY.start(segment) + 1000, timeline)


def test_the_newest_covered_beat_counts() -> None:
    found = best_state(repository(entry(1)), archive(3, 4, 5))
    assert found is not None
    now = EPOCH + timedelta(minutes=10)
    point = recovery_point(found[1], [beat(7, 9), beat(6, 8), beat(5, 7), beat(4, 6)], now)
    assert point is not None
    assert point.rpo_seconds == 180
    assert point.heartbeat_at == EPOCH + timedelta(minutes=7)


def test_a_beat_of_the_future_is_no_loss_of_zero() -> None:
    found = best_state(repository(entry(1)), archive(3, 4, 5))
    assert found is not None
    with pytest.raises(CheckFailed, match=r"3600 s ahead of this host: correct the clock"):
        recovery_point(found[1], [beat(5, 70), beat(4, 6)], EPOCH + timedelta(minutes=10))
    point = recovery_point(found[1], [beat(5, 10.9)], EPOCH + timedelta(minutes=10))
    assert point is not None
    assert point.rpo_seconds == 0


def test_a_beat_behind_a_gap_does_not_count() -> None:
    found = best_state(repository(entry(1)), archive(3, 4, 6, 7))
    assert found is not None
    point = recovery_point(found[1], [beat(7, 9), beat(6, 8), beat(4, 6)], EPOCH + timedelta(minutes=10))
    assert point is not None
    assert point.heartbeat_at == EPOCH + timedelta(minutes=6)


def test_a_set_behind_the_gap_bridges_it() -> None:
    found = best_state(repository(entry(1), entry(2, segments=(6, 6))), archive(3, 4, 6, 7))
    assert found is not None
    assert found[0].label == entry(2)["label"]
    point = recovery_point(found[1], [beat(7, 9), beat(4, 6)], EPOCH + timedelta(minutes=10))
    assert point is not None
    assert point.rpo_seconds == 60


@pytest.mark.parametrize("spoilt", ["pages", "prior", "wal", "cluster"])
def test_a_set_that_cannot_be_restored_bridges_nothing(spoilt: str) -> None:
    bad = {
        "pages": entry(2, segments=(6, 6), error=True),
        "prior": entry(2, "incr", prior="20200101-000000F", segments=(6, 6)),
        "wal": entry(2, segments=(6, 9)),
        "cluster": entry(2, segments=(6, 6), database_id=2),
    }[spoilt]
    found = best_state(repository(entry(1), bad), archive(3, 4, 6, 7))
    assert found is not None
    assert found[0].label == entry(1)["label"]


def test_a_child_of_a_damaged_set_cannot_be_restored() -> None:
    full = entry(1, error=True)
    assert rpo.sound_sets(repository(full, entry(2, "incr", prior=full["label"]))) == []


def test_nothing_to_restore_from_is_unknown_not_zero() -> None:
    assert best_state(repository(), archive(3)) is None
    assert best_state(repository(entry(1)), archive(4, 5)) is None
    found = best_state(repository(entry(1)), archive(3))
    assert found is not None
    assert recovery_point(found[1], [beat(4, 9)], EPOCH) is None
    assert recovery_point(found[1], [], EPOCH) is None


def test_a_beat_on_a_lost_branch_does_not_count() -> None:
    """The old primary went on after the standby was promoted: its rows are not on the way."""
    left = GEOMETRY.start(4) + 500
    state = archive(3, histories={2: History(2, ((1, left),))}, more=[Segment(2, 4), Segment(2, 5)])
    found = best_state(repository(entry(1)), state)
    assert found is not None
    lost, kept = beat(4, 9), beat(5, 8, timeline=2)
    point = recovery_point(found[1], [lost, kept], EPOCH + timedelta(minutes=10))
    assert point is not None
    assert point.heartbeat_at == kept.at


@given(st.sets(st.integers(3, 14), max_size=12), st.lists(st.integers(3, 15), max_size=15))
def test_rpo_is_never_smaller_than_the_truth(present: set[int], beat_segments: list[int]) -> None:
    """Brute force: walk from the set on, and stop at the first segment that is not there."""
    beats = [beat(segment, minute) for minute, segment in enumerate(sorted(beat_segments))]
    found = best_state(repository(entry(1)), archive(*present))
    now = EPOCH + timedelta(minutes=20)
    point = None if found is None else recovery_point(found[1], reversed(beats), now)

    reached = 3
    while reached in present:
        reached += 1
    covered = [one for one in beats if one.lsn <= GEOMETRY.start(reached)] if reached > 3 else []
    if not covered:
        assert point is None
    else:
        assert point is not None
        assert point.rpo_seconds == (now - max(one.at for one in covered)).total_seconds()


def test_five_weeks_of_hourly_sets_are_looked_at_in_a_moment() -> None:
    """One week in `make test-fast`."""
    hours = hypothesis_profile.examples(5) * 7 * 24
    sets: list[dict[str, Any]] = []
    priors = {"full": "", "diff": ""}
    for hour in range(hours):
        kind = "full" if hour % 168 == 0 else "diff" if hour % 24 == 0 else "incr"
        prior = None if kind == "full" else priors["full"] if kind == "diff" else sets[-1]["label"]
        sets.append(entry(hour * 60, kind, prior=prior, segments=(3 + hour * 60, 4 + hour * 60)))
        priors[kind] = sets[-1]["label"]
    found, whole = repository(*sets), archive(*range(3, 3 + hours * 60))
    began = time.process_time()
    seen = Observation(found, whole, whole.state_from(sets[0]["archive"]["start"]), best_state(found, whole))
    assert len(seen.restorable()) == len(sets)
    assert seen.gap_segments == 0
    assert time.process_time() - began < 3
