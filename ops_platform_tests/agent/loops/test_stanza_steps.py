"""The beats that a process remembers, what it tells of a server's configuration, and when it lists."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from ops_platform.agent.loops import stanza_steps
from ops_platform.agent.loops.stanza_steps import (
    REMEMBERED_HEARTBEATS,
    ArchiverWatch,
    RecentHeartbeats,
    RepositoryWatch,
    clock_skew,
)
from ops_platform.agent.metrics import Targets
from ops_platform.agent.state import initial_state
from ops_platform.backup.monitoring import Archiver, Observation
from ops_platform.backup.recovery_point.rpo import Heartbeat
from ops_platform.backup.stanza import adopt_configuration, open_context
from ops_platform.backup.taking import preflight
from ops_platform.errors import Unavailable
from ops_platform_tests.backup.shapes import EPOCH, entry, repository, two_repositories


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


class Away:
    """The session of a server that does not answer."""

    def use(self) -> None:
        raise Unavailable("it is away")


def test_a_configuration_that_no_backup_adopted_is_told_where_the_server_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.chown", lambda *_: None)
    home = tmp_path / "product"

    def told(**changes: str) -> bool | None:
        context = open_context(
            two_repositories(tmp_path, OPS_PRODUCT_DATA_DIR=str(home), **changes), "product"
        )
        targets = Targets(900.0, 1800.0, {"full": 626400.0}, 35 * 86_400.0)
        state = initial_state({"product": targets}, 60).backup.stanzas["product"]
        with pytest.raises(Unavailable):
            ArchiverWatch(lambda: context, cast(Any, Away()), state).step()
        return state.archiving.configured.get()

    assert told() is None, "its file is on the server's host"
    (home / "pg_wal").mkdir(parents=True)
    assert told() is False, "the second repository is new"
    assert adopt_configuration(
        open_context(two_repositories(tmp_path, OPS_PRODUCT_DATA_DIR=str(home)), "product")
    )
    assert told() is True
    assert told(OPS_S3_BACKUP_ACCESS_KEY_ID="new") is False
    assert told(OPS_REPO2_PGBACKREST_CIPHER_PASS="") is False


class FakeObserver:
    """It lists whenever it is not told what has arrived."""

    sees_what_is_new = True
    index_etag = None
    has_listed = False

    def __init__(self, context: object) -> None:
        self.arrived: list[str | None] = []

    def look(self, *, arrived: str | None, **_: object) -> Observation:
        self.arrived.append(arrived)
        self.has_listed = arrived is None
        return Observation(repository(entry(3)), None, None, None)


def test_the_archive_is_listed_at_each_third_look_and_after_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [1000.0]
    monkeypatch.setattr(stanza_steps, "Observer", FakeObserver)
    monkeypatch.setattr(preflight, "reach_endpoint", lambda context: None)
    monkeypatch.setattr(stanza_steps, "time", SimpleNamespace(monotonic=lambda: now[0]))
    targets = Targets(900.0, 1800.0, {"full": 626400.0}, 35 * 86_400.0)
    state = initial_state({"product": targets}, 1e6).backup.stanzas["product"]
    context = cast(Any, SimpleNamespace(stanza=SimpleNamespace(name="product")))
    window = cast(Any, SimpleNamespace(before=lambda stanza: None, after=lambda *_: None))
    watch = RepositoryWatch(lambda: context, cast(Any, Away()), RecentHeartbeats(), state, window, 60.0)

    def steps(*named: str) -> list[str | None]:
        """Look a minute apart, each time behind a new segment."""
        for name in named:
            state.archiving.archiver.put(Archiver(0, False, last_archived_wal=name))
            watch.step()
            now[0] += 60
        asked = cast(FakeObserver, watch._observer).arrived
        seen, asked[:] = [*asked], []
        return seen

    assert steps("A", "B", "C", "D", "E", "F", "G") == [None, "B", "C", None, "E", "F", None]
    assert watch.latest is not None

    def fails(context: object) -> None:
        raise Unavailable("S3 is away")

    monkeypatch.setattr(preflight, "reach_endpoint", fails)
    with pytest.raises(Unavailable):
        watch.step()
    monkeypatch.setattr(preflight, "reach_endpoint", lambda context: None)
    assert steps("H", "I") == [None, "I"], "what was stored meanwhile is not known"
