"""A copy of what one plan needs of the repository, in the drill bucket, made and left with ``backup``'s key.

The copy costs storage for a day, the term of the drill bucket's lock.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from uuid import uuid4

from ops_platform.backup.stanza import BackupContext
from ops_platform.clients import object_store
from ops_platform.clients.object_store import ObjectStore, StoredObject
from ops_platform.clients.pgbackrest import Layout
from ops_platform.clients.waiting import wait_until
from ops_platform.dr.plan import Plan
from ops_platform.dr.restore import past_repository
from ops_platform.errors import CheckFailed

COPIERS = 8
"""Copies at a time; the store does the copying."""
CLOCK_SECONDS = 30.0
_PROBE = "ops-platform-clock"


@dataclass(frozen=True)
class RepositoryCopy:
    """A copy below ``key_prefix`` of the drill bucket; ``moment``: when the last object was in it.

    ``originals``: the version of each object that was copied.
    """

    bucket: str
    key_prefix: str
    moment: datetime
    originals: tuple[StoredObject, ...]

    @property
    def size_bytes(self) -> int:
        """The bytes of the copy."""
        return sum(stored.size for stored in self.originals)


def make(ctx: BackupContext, reader: BackupContext, plan: Plan, run_id: str) -> RepositoryCopy:
    """Copy what the plan needs, with the key that will be stolen.

    Raises ConfigurationError without a drill bucket of its own, CheckFailed when the copy is not whole, and
    what the object store raises.
    """
    drill = object_store.drill_from_settings(ctx.settings, "backup")
    source = object_store.from_settings(ctx.settings, "backup")
    root, key_prefix = ctx.config.repository.key_prefix, f"{ctx.stanza.name}/{run_id}/"
    names = Layout(ctx.stanza.cluster)
    present = [
        stored.key.removeprefix(root)
        for folder in (names.sets, names.archives)
        for stored in source.list(f"{root}{folder}/")
    ]
    needed = past_repository.needed_paths(reader, plan, present)
    with ThreadPoolExecutor(COPIERS, thread_name_prefix="copies") as pool:
        list(pool.map(lambda path: source.copy_to(root + path, drill, key_prefix + path), needed))
    # The key of the backups may not list versions.
    reading = object_store.drill_from_settings(ctx.settings, "backup_reader")
    originals = tuple(stored for stored in reading.versions(key_prefix) if not stored.delete_marker)
    if {stored.key.removeprefix(key_prefix) for stored in originals} != set(needed):
        raise CheckFailed(
            f"the copy in {drill.uri(key_prefix)} is not whole: {len(originals)} of {len(needed)} objects"
        )
    moment = max(stored.modified_at for stored in originals)
    wait_for_later_second(drill, ctx.stanza.name, moment)
    return RepositoryCopy(drill.bucket, key_prefix, moment, originals)


def clear_away(ctx: BackupContext) -> int:
    """Delete what is left of copies of the stanza, also those of killed exercises; return how many objects.

    The caller holds the lock of the stanza's exercises. Versions go when their lock has ended, by
    ``backup_prune``. Raises ConfigurationError without a drill bucket, and what the object store raises.
    """
    drill = object_store.drill_from_settings(ctx.settings, "backup")
    left = [stored.key for stored in drill.list(f"{ctx.stanza.name}/")]
    for key in left:
        drill.delete(key)
    return len(left)


def wait_for_later_second(drill: ObjectStore, stanza: str, moment: datetime) -> None:
    """Wait until the store's own clock, which dates versions to the second, is past ``moment``.

    Raises Unavailable when it does not come.
    """
    key = f"{stanza}/{_PROBE}-{uuid4().hex[:8]}"

    def is_later() -> bool:
        drill.put(key, b"")
        stored = drill.head(key)
        return stored is not None and stored.modified_at > moment

    wait_until(
        is_later,
        CLOCK_SECONDS,
        "the object store's clock does not go on",
        interval=0.5,
        hint="look at its host",
    )
    drill.delete(key)
