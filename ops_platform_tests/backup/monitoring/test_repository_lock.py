"""The proof of the repository's lock: green only for what is locked, with what is wrong in words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from ops_platform.backup.monitoring import observe, repository_lock
from ops_platform.backup.monitoring.observation import Observation, judge
from ops_platform.backup.monitoring.repository_lock import EarlierLooks
from ops_platform.backup.retention import set_lifetime
from ops_platform.clients import object_store
from ops_platform.clients.object_store import BucketLock
from ops_platform_tests.backup.shapes import EPOCH, archive, entry, repository
from ops_platform_tests.backup.site import Site


@pytest.mark.parametrize(
    ("lock", "lacking"),
    [
        (BucketLock(True, True, "COMPLIANCE", 49), []),
        (BucketLock(True, True, "COMPLIANCE", 50), []),
        (BucketLock(True, True, "COMPLIANCE", 48), ["the default lock lasts 48 days, 49 are needed"]),
        (
            BucketLock(True, True, "GOVERNANCE", 49),
            ["the default lock is in mode GOVERNANCE, which some may bypass, not COMPLIANCE"],
        ),
        (BucketLock(True, True, None, None), ["new objects are not locked by default"]),
        (BucketLock(False, False, None, None), ["it keeps no versions", "object lock is not enabled"]),
    ],
)
def test_each_gap_of_the_bucket_is_named(lock: BucketLock, lacking: list[str]) -> None:
    assert repository_lock.bucket_faults(lock, 49) == lacking


CONTEXT = cast(
    Any,
    SimpleNamespace(
        settings=None,
        stanza=SimpleNamespace(cluster="product"),
        config=SimpleNamespace(repository=SimpleNamespace(key_prefix="pgbackrest/")),
    ),
)


class Store:
    """A bucket that is locked now; the sets in ``without`` were stored while it was not."""

    bucket = "backups"

    def __init__(self, *without: str) -> None:
        self.without, self.asked = without, list[str]()

    def lock(self) -> BucketLock:
        return BucketLock(True, True, "COMPLIANCE", 49)

    def head(self, key: str) -> SimpleNamespace:
        self.asked.append(key.removeprefix("pgbackrest/backup/product/").removesuffix("/backup.manifest"))
        return SimpleNamespace(modified_at=EPOCH)

    def retention(self, key: str) -> SimpleNamespace | None:
        if any(f"/{label}/" in key for label in self.without):
            return None
        return SimpleNamespace(mode="COMPLIANCE", until=EPOCH + timedelta(days=49))


def chain(length: int) -> Observation:
    """A full, and incrementals that build on each other, one an hour."""
    sets = [entry(0)]
    for hour in range(1, length):
        sets.append(entry(60 * hour, "incr", prior=sets[-1]["label"]))
    found = repository(*sets)
    return judge(found, found.sets, archive(3))


def label_of(hour: int) -> str:
    return f"20261101-000000F_20261101-{hour:02}0000I"


def test_a_set_without_a_lock_is_a_fault_at_every_look_while_others_build_on_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The bucket was open for two hours, and nobody looked meanwhile. All that came later is locked."""
    store, earlier = Store(label_of(3), label_of(4)), EarlierLooks()
    monkeypatch.setattr(object_store, "from_settings", lambda settings, role: store)
    for look in range(100):
        now = EPOCH + timedelta(hours=9, seconds=960 * look)
        (fault,) = repository_lock.faults(CONTEXT, chain(9 + look // 4 % 15), 49, now, earlier)
        assert fault.startswith(f"{label_of(3)}, {label_of(4)} is not locked for 49 days")
    # Somebody locked one of them by hand, and the other too.
    store.without = (label_of(4),)
    (fault,) = repository_lock.faults(CONTEXT, chain(24), 49, now, earlier)
    assert fault.startswith(f"{label_of(4)} is not locked")
    store.without = ()
    assert repository_lock.faults(CONTEXT, chain(24), 49, now, earlier) == []


def test_a_look_that_remembers_nothing_asks_the_whole_chain(monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store()
    monkeypatch.setattr(object_store, "from_settings", lambda settings, role: store)
    assert repository_lock.faults(CONTEXT, chain(16), 49, EPOCH) == []
    assert [member.label for member in chain(16).repository.sets] == store.asked[:16]


def test_sets_that_are_locked_are_asked_again_in_turn_and_after_a_longer_promise() -> None:
    labels, earlier = [f"set {number}" for number in range(16)], EarlierLooks()
    assert earlier.due(labels, 49) == labels
    for label in labels:
        earlier.note(label, 49)
    asked = []
    for _ in range(14):
        first, in_turn, last = earlier.due(labels, 49)
        assert (first, last) == (labels[0], labels[-1])
        for label in (first, in_turn, last):
            earlier.note(label, 49)
        asked.append(in_turn)
    assert asked == labels[1:-1]
    assert earlier.due(labels, 50) == labels
    assert earlier.due(["another full"], 49) == ["another full"]
    assert earlier.days == {}


@pytest.mark.services
def test_a_set_is_proved_by_its_own_lock(backed_up: Site) -> None:
    ctx, now = backed_up.context, datetime.now(UTC)
    needed = set_lifetime.lock_days(ctx.config.stanzas.values(), ctx.config.repository)

    assert repository_lock.faults(ctx, observe(ctx), needed, now) == []
    (fault,) = repository_lock.faults(ctx, observe(ctx), needed + 1, now)
    assert "the default lock lasts 49 days, 50 are needed" in fault

    # As after a change of the bucket: what was stored before has the shorter lock still.
    store = object_store.from_settings(ctx.settings, "backup_reader")
    key = f"pgbackrest/backup/{ctx.stanza.name}/backup.info"
    assert repository_lock.is_locked(store, key, needed, now)
    assert not repository_lock.is_locked(store, key, needed + 5, now)
    assert not repository_lock.is_locked(store, f"{key}.none", needed, now)
