"""Object lock on the repository, proved by the bucket's configuration and by stored objects themselves.

Read with the identity that can only read: the one that writes backups does not vouch for its own limits.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from ops_platform.backup.monitoring.observation import Observation
from ops_platform.backup.stanza import BackupContext
from ops_platform.clients import object_store
from ops_platform.clients.object_store import BucketLock, ObjectStore
from ops_platform.clients.pgbackrest.layout import Layout

COMPLIANCE = "COMPLIANCE"
ADVICE = "see docs/runbooks/backups.md#repositorynotlocked"
TURN_SECONDS = 900
"""Time after which it is the turn of the next set of a chain to be looked at."""
_TOLERANCE = timedelta(days=1)


def faults(ctx: BackupContext, observation: Observation, needed_days: int, now: datetime) -> list[str]:
    """List what is wrong with the lock, in sentences; empty: nothing.

    Looks at the bucket, at the stanza's newest restorable set, at its full, at one of the sets between them
    in turn, and at the index. Raises an OpsError when the store cannot tell.
    """
    store = object_store.from_settings(ctx.settings, "backup_reader")
    bucket = bucket_faults(store.lock(), needed_days)
    if bucket:
        return [f"bucket {store.bucket}: {', '.join(bucket)}; {ADVICE}"]
    return _stored(ctx, store, observation, needed_days, now)


def bucket_faults(lock: BucketLock, needed_days: int) -> list[str]:
    """List what the bucket's configuration lacks."""
    lacking = []
    if not lock.versioned:
        lacking.append("it keeps no versions")
    if not lock.enabled:
        lacking.append("object lock is not enabled")
    elif lock.mode is None or lock.days is None:
        lacking.append("new objects are not locked by default")
    elif lock.mode != COMPLIANCE:
        lacking.append(f"the default lock is in mode {lock.mode}, which some may bypass, not {COMPLIANCE}")
    elif lock.days < needed_days:
        lacking.append(f"the default lock lasts {lock.days} days, {needed_days} are needed")
    return lacking


def _stored(
    ctx: BackupContext, store: ObjectStore, observation: Observation, needed_days: int, now: datetime
) -> list[str]:
    if observation.best is None:
        return ["there is no set that can be restored, whose lock could be looked at: take a full backup"]
    chain = observation.repository.chain(observation.best[0].label)
    # Nobody can shorten a lock: a set stays as it was found, and each was the newest once.
    in_turn = chain[int(now.timestamp() // TURN_SECONDS) % len(chain)]
    unlocked = [
        member.label
        for member in chain
        if member in (chain[0], in_turn, chain[-1])
        and not is_locked(store, _manifest(ctx, member.label), needed_days, now)
    ]
    if unlocked:
        return [
            f"{', '.join(unlocked)} is not locked for {needed_days} days: the bucket was not when it was "
            "stored: take a full backup"
        ]
    layout = Layout(ctx.stanza.cluster)
    indexes: Sequence[str] = (layout.backup_info, layout.archive_info)
    prefix = ctx.config.repository.key_prefix
    return [
        f"{index} is not locked for {needed_days} days: {ADVICE}"
        for index in indexes
        if not is_locked(store, prefix + index, needed_days, now)
    ]


def is_locked(store: ObjectStore, key: str, needed_days: int, now: datetime) -> bool:
    """Tell whether the current version of the object is locked for ``needed_days`` since it was written.

    False when there is no such object; true when that time has passed.
    """
    stored = store.head(key)
    if stored is None:
        return False
    needed_until = stored.modified_at + timedelta(days=needed_days) - _TOLERANCE
    if needed_until <= now:
        return True
    lock = store.retention(key)
    return lock is not None and lock.mode == COMPLIANCE and lock.until >= needed_until


def _manifest(ctx: BackupContext, label: str) -> str:
    return ctx.config.repository.key_prefix + Layout(ctx.stanza.cluster).manifest(label)
