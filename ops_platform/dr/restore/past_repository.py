"""The repository as it was at a moment, read from the versions that its bucket keeps.

pgBackRest reads them itself where it can; else they are downloaded into a directory of the workspace, and
pgBackRest reads that (``repository_mirror``). Which of the two it is makes no difference to the restore. The
bucket is only read, with the identity that can only read.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from ops_platform.backup.repository import Repository
from ops_platform.backup.stanza import BackupContext
from ops_platform.clients import object_store
from ops_platform.clients.object_store import ObjectStore
from ops_platform.clients.pgbackrest import Layout, PgBackRestError, abilities, layout
from ops_platform.dr.plan import Plan
from ops_platform.dr.restore import past_objects, workspace
from ops_platform.dr.restore.past_objects import PastObjects
from ops_platform.dr.restore.repository_mirror import INDEXES, RepositoryMirror
from ops_platform.dr.restore.workspace import Workspace
from ops_platform.errors import CheckFailed

NAMED = 3
"""Keys named of those passed over."""


@dataclass
class PastRepository:
    """The repository below ``key_prefix`` of ``store``, as it was at ``moment``."""

    store: ObjectStore
    key_prefix: str
    moment: datetime
    obstacle: str | None = field(default=None, init=False)
    """Why pgBackRest cannot read the versions itself; set when the repository is opened."""
    _past: PastObjects = past_objects.NOTHING
    _mirror: RepositoryMirror | None = field(default=None, init=False)

    def open_reader(self, ctx: BackupContext, here: Workspace) -> BackupContext:
        """Open the stanza's repository, to be read only; where it is downloaded, into the workspace.

        Raises CheckFailed when the bucket had none at that moment, and what the object store raises.
        """
        if not self._past.files:
            self._past = self._as_it_was(ctx.stanza.cluster)
            self.obstacle = self._find_obstacle(ctx, here, self._past)
        if self.obstacle is None:
            return _without_memory(self._open_in_place(ctx, here), here)
        if self._mirror is None:
            self._mirror = RepositoryMirror(self.store, self._past.files, directory(here), here.run_as)
            self._mirror.lay_out()
        return _without_memory(self._mirror.open_reader(ctx, here), here)

    def fetch(self, reader: BackupContext, here: Workspace, plan: Plan) -> None:
        """Download what the plan needs, unless pgBackRest reads it from the bucket.

        Raises CheckFailed when there is no room for it, and what the object store raises.
        """
        if self._mirror is not None:
            self._mirror.keep_only(self.needed(reader, plan))

    def needed(self, reader: BackupContext, plan: Plan) -> list[str]:
        """List the objects that the plan reads."""
        return needed_paths(reader, plan, self._past.files)

    def describe(self, reader: BackupContext, plan: Plan) -> str:
        """Say what would be read, for the person at the keyboard."""
        files, passed_over = self._past.files, self._past.passed_over
        needed = self.needed(reader, plan)
        size = sum(files[path].size for path in needed)
        named = ", ".join(ascii(path) for path in passed_over[:NAMED])
        downloaded = "" if self.obstacle is None else f"; downloaded first: {self.obstacle}"
        passed = (
            f"; {len(passed_over)} keys are no files of a repository and were passed over: {named}"
            if passed_over
            else ""
        )
        return (
            f"as it was at {self.moment:%Y-%m-%d %H:%M:%S}+00: {len(needed)} of {len(files)} "
            f"objects, {size / 1e6:.1f} MB, are read from the versions in {self.store.uri()}"
            f"{passed}{downloaded}"
        )

    def _as_it_was(self, stanza: str) -> PastObjects:
        paths = Layout(stanza)
        past = past_objects.read(
            (
                stored
                for folder in (paths.sets, paths.archives)
                for stored in self.store.versions(f"{self.key_prefix}{folder}/")
            ),
            self.key_prefix,
            self.moment,
        )
        if not any(path.startswith(paths.backup_info) for path in past.files):
            raise CheckFailed(
                f"{self.store.uri(self.key_prefix)} held no repository of stanza {stanza} at "
                f"{self.moment:%Y-%m-%d %H:%M:%S}+00: choose another --repository-as-of"
            )
        return past

    def _find_obstacle(self, ctx: BackupContext, here: Workspace, past: PastObjects) -> str | None:
        """Find what keeps pgBackRest from reading the versions itself."""
        known = abilities.obstacle_to_reading_past(ctx.pgbackrest.version(), past.longest_folder)
        if known is None and past.confusing:
            known = "the bucket has keys that would mislead pgBackRest"
        if known is not None:
            return known
        try:
            self._open_in_place(ctx, here).pgbackrest.info()
        except PgBackRestError:
            # Other keys of the bucket, or a store that answers otherwise than AWS does: not its last word.
            return "pgBackRest could not read it in the bucket"
        return None

    def _open_in_place(self, ctx: BackupContext, here: Workspace) -> BackupContext:
        path = "/" + f"{self.store.prefix}{self.key_prefix}".rstrip("/")
        repository = replace(ctx.config.repository, bucket=self.store.bucket, path=path)
        reader = workspace.open_reader(replace(ctx, config=replace(ctx.config, repository=repository)), here)
        return replace(reader, pgbackrest=replace(reader.pgbackrest, as_of=self.moment))


def _without_memory(reader: BackupContext, here: Workspace) -> BackupContext:
    """Let nothing that is remembered of the repository as it is serve here, and nothing be remembered."""
    nowhere = here.directory / "memory"
    return replace(reader, settings=reader.settings.model_copy(update={"state_dir": nowhere}))


def needed_paths(reader: BackupContext, plan: Plan, paths: Iterable[str]) -> list[str]:
    """Choose of a repository's paths those that the plan reads.

    These are the files of the set's chain, the WAL to replay, indexes and histories.
    """
    names, geometry, history = Layout(reader.stanza.cluster), plan.geometry, plan.state.history
    repository = Repository.parse(reader.stanza.name, reader.pgbackrest.info())
    chain = tuple(f"{names.set(member.label)}/" for member in repository.chain(plan.backup_set.label))
    first, last = plan.state.start.number, plan.last_segment.number

    def is_needed(path: str) -> bool:
        if path.startswith(chain):
            return True
        name = path.rpartition("/")[2]
        if name.removesuffix(layout.COPY) in INDEXES or layout.history_timeline(name) is not None:
            return True
        parsed = layout.SegmentFile.parse(name)
        if parsed is None or not path.startswith(f"{names.archives}/"):
            return False
        segment = geometry.parse(parsed.segment)
        return first <= segment.number <= last and history.holds(segment, geometry)

    return [path for path in paths if is_needed(path)]


def directory(here: Workspace) -> Path:
    """Name the directory of the workspace in which the past repository is laid out."""
    return here.directory / "repository"


def from_settings(ctx: BackupContext, moment: datetime) -> PastRepository:
    """Open the past of the stanza's repository. Raises ConfigurationError without a bucket."""
    store = object_store.from_settings(ctx.settings, "backup_reader")
    return PastRepository(store, ctx.config.repository.key_prefix, moment)
