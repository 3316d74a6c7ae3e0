"""The proof of the repository's lock: green only for what is locked, with what is wrong in words."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from ops_platform.backup.monitoring import observe, repository_lock
from ops_platform.backup.retention import set_lifetime
from ops_platform.clients import object_store
from ops_platform.clients.object_store import BucketLock
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
