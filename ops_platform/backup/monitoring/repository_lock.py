"""Object lock on the repository, proved by the bucket's configuration and by stored objects themselves.

Read with the identity that can only read: the one that writes backups does not vouch for its own limits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from ops_platform.backup.monitoring.observation import Observation
from ops_platform.backup.stanza import BackupContext
from ops_platform.clients import object_store
from ops_platform.clients.object_store import BucketLock, ObjectStore
from ops_platform.clients.pgbackrest.layout import Layout

COMPLIANCE = "COMPLIANCE"
ADVICE = "see docs/runbooks/backups.md#repositorynotlocked"
_TOLERANCE = timedelta(days=1)


@dataclass
class EarlierLooks:
    """What earlier looks found of the sets of one repository, so that each set is not asked at every look.

    Nobody can shorten a lock in mode COMPLIANCE: a set that was locked is asked again only in turn.
    """

    days: dict[str, int] = field(default_factory=dict)
    """Label -> days for which the set was found locked, 0 for not long enough; the longest ago first."""

    def due(self, labels: Sequence[str], needed_days: int) -> list[str]:
        """Choose which sets of a chain to look at, from its full on.

        Those are: the full and the newest one, each that was not yet found locked for ``needed_days``, and
        the one that was looked at the longest ago. What is no longer in the chain is forgotten.
        """
        self.days = {label: days for label, days in self.days.items() if label in labels}
        always = {labels[0], labels[-1], next((label for label in self.days if label in labels[1:-1]), None)}
        return [label for label in labels if label in always or self.days.get(label, 0) < needed_days]

    def note(self, label: str, days: int) -> None:
        """Keep what a look found."""
        self.days.pop(label, None)
        self.days[label] = days


def faults(
    ctx: BackupContext,
    observation: Observation,
    needed_days: int,
    now: datetime,
    earlier: EarlierLooks | None = None,
) -> list[str]:
    """List what is wrong with the lock, in sentences; empty: nothing.

    Looks at the bucket, at the stanza's newest restorable set and all that it builds on, and at the indexes.
    With ``earlier`` looks, which are added to, not every set is asked again. Raises an OpsError when the
    store cannot tell.
    """
    store = object_store.from_settings(ctx.settings, "backup_reader")
    bucket = bucket_faults(store.lock(), needed_days)
    if bucket:
        return [f"bucket {store.bucket}: {', '.join(bucket)}; {ADVICE}"]
    if observation.best is None:
        return ["there is no set that can be restored, whose lock could be looked at: take a full backup"]
    chain = [member.label for member in observation.repository.chain(observation.best[0].label)]
    unlocked = unlocked_sets(ctx, store, chain, needed_days, now, earlier or EarlierLooks())
    return unlocked or _indexes(ctx, store, needed_days, now)


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


def unlocked_sets(
    ctx: BackupContext,
    store: ObjectStore,
    chain: Sequence[str],
    needed_days: int,
    now: datetime,
    earlier: EarlierLooks,
) -> list[str]:
    """Look at the sets of a chain that are due, and say which of them are not locked; empty: none."""
    unlocked = []
    for label in earlier.due(chain, needed_days):
        locked = is_locked(store, _manifest(ctx, label), needed_days, now)
        earlier.note(label, needed_days if locked else 0)
        if not locked:
            unlocked.append(label)
    if not unlocked:
        return []
    return [
        f"{', '.join(unlocked)} is not locked for {needed_days} days: the bucket was not when it was "
        "stored: take a full backup"
    ]


def _indexes(ctx: BackupContext, store: ObjectStore, needed_days: int, now: datetime) -> list[str]:
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
