"""Removal of the bucket's old versions, so that object lock does not let storage grow for ever.

``expire`` and every overwriting leave versions behind. A version goes when it was replaced or deleted
``lock_margin_days`` ago and its lock has ended; the store itself keeps what is locked. Where the bucket has
a lifecycle rule for that, the rule does it, and this only looks whether it is there.
In the drill bucket, what a killed exercise left goes, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby

from ops_platform.audit import ledger
from ops_platform.backup.monitoring import archiver, observe
from ops_platform.backup.retention import set_lifetime
from ops_platform.backup.stanza import BackupContext
from ops_platform.clients import object_store
from ops_platform.clients.object_store import ObjectStore, StoredObject
from ops_platform.clients.pgbackrest.layout import Layout, is_label
from ops_platform.errors import CheckFailed
from ops_platform.settings import named_for

ACTION = "backup.prune"
ROLE = "backup_pruner"
COMPANIONS = "ops-platform/references/"
"""What the platform keeps beside the repository, by stanza: references that restores compare with."""
PROBES = "ops-platform/probes/"
"""Where exercises try what the key of the backups may do in their own bucket, by stanza."""
DRILL_TERM = timedelta(days=2)
"""Age at which what an exercise left in the drill bucket goes; its lock is of one day."""


@dataclass(frozen=True)
class Pruned:
    """The versions and delete markers removed; ``size_bytes`` is theirs. ``kept``: the store kept them."""

    removed: int
    kept: int
    size_bytes: int
    by_lifecycle: bool = False

    @property
    def summary(self) -> str:
        """One line for people."""
        if self.by_lifecycle:
            return "the bucket's lifecycle rule removes old versions"
        stay = f"; {self.kept} are locked still" if self.kept else ""
        return f"removed {self.removed} old versions and delete markers, {self.size_bytes / 1e6:.1f} MB{stay}"


def prune(ctx: BackupContext, now: datetime, *, operation_id: str, log: Callable[[str], None]) -> Pruned:
    """Remove the stanza's versions whose time is over.

    Raises CheckFailed while no set can be restored: then old versions may be all that is left of the
    backups. Raises it, too, where neither an identity nor a lifecycle rule removes versions; and what the
    object store raises.
    """
    if ctx.settings.s3.identity(ROLE).access_key_id is None:
        pruned = _by_lifecycle(ctx)
        _hide_left_by_exercises(ctx, now, operation_id, log)
        return pruned
    if observe(ctx, written=archiver.written(archiver.ask(ctx), datetime.now(UTC))).best is None:
        raise CheckFailed(
            f"stanza {ctx.stanza.name} has no set that can be restored: old versions may be all that is left "
            "of its backups and are kept; see docs/runbooks/disaster-recovery.md#the-backup-key-was-stolen"
        )
    repository = ctx.config.repository
    store = object_store.from_settings(ctx.settings, ROLE)
    locked = timedelta(days=set_lifetime.lock_days(ctx.config.stanzas.values(), repository))
    old = [
        stored
        for prefix in prefixes(ctx)
        for group in _by_key(store.versions(prefix))
        for stored in removable(group, now, repository.lock_margin, locked)
    ]
    drill = _drill(ctx)
    left = [] if drill is None else _left_by_exercises(drill, ctx.stanza.name, now)
    if not old and not left:
        return Pruned(0, 0, 0)
    with ledger.operation(
        ledger.default_connect(ctx.ops_url),
        action=ACTION,
        object=f"stanza/{ctx.stanza.name}",
        actor="platform",
        operation_id=operation_id,
        details={"versions": len(old), "of_exercises": len(left)},
    ):
        removed, kept = store.delete_unlocked(old)
        if drill is not None and left:
            removed_of_drill, kept_of_drill = drill.delete_unlocked(left)
            removed, kept = removed + removed_of_drill, kept + kept_of_drill
    pruned = Pruned(removed, kept, sum(stored.size for stored in (*old, *left)))
    log(f"stanza {ctx.stanza.name}: {pruned.summary}")
    return pruned


def prefixes(ctx: BackupContext) -> tuple[str, ...]:
    """List the prefixes of all that the stanza has in the bucket, each with a slash at its end."""
    layout, root = Layout(ctx.stanza.cluster), ctx.config.repository.key_prefix
    beside = (f"{place}{ctx.stanza.cluster}/" for place in (COMPANIONS, PROBES))
    return f"{root}{layout.sets}/", f"{root}{layout.archives}/", *beside


def removable(
    versions: Iterable[StoredObject], now: datetime, margin: timedelta, locked: timedelta
) -> Iterator[StoredObject]:
    """Yield the versions of one key, given newest first, whose time is over.

    The current version stays. A delete marker that hides older versions stays until they are gone: without
    it, the newest of them would come back.
    """
    newest_first = list(versions)
    for newer, stored in zip([None, *newest_first], newest_first, strict=False):
        if newer is None:
            if stored.delete_marker and len(newest_first) == 1 and stored.modified_at + margin <= now:
                yield stored
        elif newer.modified_at + margin <= now and (
            stored.delete_marker or stored.modified_at + locked <= now
        ):
            yield stored


def oldest_set_kept(ctx: BackupContext) -> datetime | None:
    """Return when the oldest set began of which the bucket still keeps any version; None without one.

    Raises what the object store raises.
    """
    store = object_store.from_settings(ctx.settings, "backup_reader")
    prefix = f"{ctx.config.repository.key_prefix}{Layout(ctx.stanza.cluster).sets}/"
    labels = {stored.key.removeprefix(prefix).partition("/")[0] for stored in store.versions(prefix)}
    return min((_began_at(label) for label in labels if is_label(label)), default=None)


def _began_at(label: str) -> datetime:
    # pgBackRest makes labels of its local time, which is UTC in every child of ours.
    stamp = label.rpartition("_")[2][:15]
    return datetime.strptime(stamp, "%Y%m%d-%H%M%S").replace(tzinfo=UTC)


def _by_lifecycle(ctx: BackupContext) -> Pruned:
    store = object_store.from_settings(ctx.settings, "backup_reader")
    lifecycle, margin = store.lifecycle(), ctx.config.repository.lock_margin_days
    if lifecycle.noncurrent_days is None:
        advice = "give it a lifecycle rule, or set OPS_S3_BACKUP_PRUNER_ACCESS_KEY_ID; see docs/iam/README.md"
        raise CheckFailed(
            f"nothing removes old versions from the bucket {store.bucket}: "
            + named_for(ctx.stanza.repository, advice)
        )
    for prefix in prefixes(ctx):
        days = lifecycle.noncurrent_days_below(prefix)
        if days is not None and days < margin:
            raise CheckFailed(
                f"the lifecycle rule of the bucket {store.bucket} removes old versions below {prefix} after "
                f"{days} days, before lock_margin_days ({margin}) are over: correct the rule"
            )
        if lifecycle.expires_current_below(prefix):
            raise CheckFailed(
                f"a lifecycle rule of the bucket {store.bucket} expires current objects below {prefix}, "
                "which backups need: take its Expiration away, but for ExpiredObjectDeleteMarker"
            )
    return Pruned(0, 0, 0, by_lifecycle=True)


def _hide_left_by_exercises(
    ctx: BackupContext, now: datetime, operation_id: str, log: Callable[[str], None]
) -> None:
    """Delete what a killed exercise left current in the drill bucket: the documented rule lets that stay.

    Raises CheckFailed when no lifecycle rule removes the versions that this leaves.
    """
    if ctx.settings.s3.drill_bucket is None:
        return
    reader = object_store.drill_from_settings(ctx.settings, "backup_reader")
    if reader.lifecycle().noncurrent_days is None:
        raise CheckFailed(
            f"nothing removes old versions from the drill bucket {reader.bucket}: give it a lifecycle rule; "
            "see docs/iam/README.md"
        )
    drill = object_store.drill_from_settings(ctx.settings, "backup")
    left = [stored for stored in drill.list(f"{ctx.stanza.name}/") if stored.modified_at + DRILL_TERM <= now]
    if not left:
        return
    with ledger.operation(
        ledger.default_connect(ctx.ops_url),
        action=ACTION,
        object=f"stanza/{ctx.stanza.name}",
        actor="platform",
        operation_id=operation_id,
        details={"of_exercises": len(left)},
    ):
        for stored in left:
            drill.delete(stored.key)
    log(f"stanza {ctx.stanza.name}: deleted {len(left)} objects that an exercise had left in {drill.uri()}")


def _drill(ctx: BackupContext) -> ObjectStore | None:
    if ctx.settings.s3.drill_bucket is None:
        return None
    return object_store.drill_from_settings(ctx.settings, ROLE)


def _left_by_exercises(drill: ObjectStore, stanza: str, now: datetime) -> list[StoredObject]:
    return [stored for stored in drill.versions(f"{stanza}/") if stored.modified_at + DRILL_TERM <= now]


def _by_key(versions: Iterable[StoredObject]) -> Iterator[Iterator[StoredObject]]:
    for _, group in groupby(versions, key=lambda stored: stored.key):
        yield group
