"""The repository as it was at a moment, read from the versions that its bucket keeps.

The objects as they were are laid out in a directory of the workspace, and pgBackRest reads that. Until a
plan is made they are empty files of the right size and time, filled when pgBackRest is asked for their
contents; ``fetch`` then downloads what the plan needs, the set with its chain and the WAL to replay, and
removes the rest. The bucket is only read, with the identity that can only read.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from ops_platform.backup.repository import Repository
from ops_platform.backup.stanza import BackupContext, pgbackrest_conf
from ops_platform.clients import object_store
from ops_platform.clients.object_store import ObjectStore, StoredObject, as_of
from ops_platform.clients.pgbackrest import Layout, PgBackRest, layout
from ops_platform.dr.plan import Plan
from ops_platform.dr.restore.workspace import (
    Workspace,
    make_directory,
    require_space,
    scratch_stanza,
    set_owner,
)
from ops_platform.errors import CheckFailed

READERS = 8
"""Downloads at a time."""
_INDEXES = (layout.BACKUP_INFO, layout.ARCHIVE_INFO)


@dataclass(frozen=True)
class MirroredPgBackRest(PgBackRest):
    """pgBackRest on the directory; ``fill`` downloads the file of a path before it is read."""

    fill: Callable[[str], None] = lambda path: None

    def repo_get(self, path: str) -> str:
        """Return a text file of the repository, decrypted."""
        self.fill(path)
        return super().repo_get(path)

    def set_info(self, label: str) -> dict[str, Any]:
        """Return what ``info --set`` says of one set, which reads its manifest."""
        for ending in ("", layout.COPY):
            self.fill(self.layout.manifest(label) + ending)
        return super().set_info(label)


@dataclass
class PastRepository:
    """The repository below ``key_prefix`` of ``store``, as it was at ``moment``."""

    store: ObjectStore
    key_prefix: str
    moment: datetime
    _objects: dict[str, StoredObject] = field(default_factory=dict)
    _filled: set[str] = field(default_factory=set)

    def open_reader(self, ctx: BackupContext, here: Workspace) -> BackupContext:
        """Lay out the stanza's repository in the workspace and open it, to be read only.

        Raises CheckFailed when the bucket had none at that moment, and what the object store raises.
        """
        root, stanza = directory(here), ctx.stanza.name
        if not self._objects:
            self._objects = self._as_it_was(stanza)
            self._lay_out(root, here.run_as)
        config = replace(ctx.config, repository=replace(ctx.config.repository, path=str(root)))
        scratch, paths = scratch_stanza(ctx, here), here.pgbackrest
        text = pgbackrest_conf.render(
            ctx.settings, config, paths, role="backup_reader", stanzas=[scratch], local=True
        )
        pgbackrest_conf.write(paths.config_file, text, ctx.settings.run_as)

        def fill(path: str) -> None:
            self._fill(root, [path], here.run_as)

        plain = ctx.pgbackrest
        mirrored = MirroredPgBackRest(
            plain.binary,
            paths.config_file,
            plain.stanza,
            plain.run_as,
            plain.environment,
            plain.answer_seconds,
            fill,
        )
        # What is remembered of the repository as it is must neither serve here nor be overwritten.
        settings = ctx.settings.model_copy(update={"state_dir": here.directory})
        return replace(
            ctx, settings=settings, stanza=scratch, pgbackrest=mirrored, paths=paths, configuration=text
        )

    def fetch(self, reader: BackupContext, here: Workspace, plan: Plan) -> None:
        """Download what the plan needs and remove all else from the directory.

        Raises CheckFailed when there is no room for it, and what the object store raises.
        """
        needed = self.needed(reader, plan)
        root = directory(here)
        missing = [path for path in needed if path not in self._filled]
        require_space(root, sum(self._objects[path].size for path in missing))
        for path in self._objects.keys() - set(needed) - self._filled:
            (root / path).unlink(missing_ok=True)
        self._fill(root, missing, here.run_as)

    def needed(self, reader: BackupContext, plan: Plan) -> list[str]:
        """List the objects that the plan reads."""
        return needed_paths(reader, plan, self._objects)

    def describe(self, reader: BackupContext, plan: Plan) -> str:
        """Say what would be read, for the person at the keyboard."""
        needed = self.needed(reader, plan)
        size = sum(self._objects[path].size for path in needed)
        return (
            f"as it was at {self.moment:%Y-%m-%d %H:%M:%S}+00: {len(needed)} of {len(self._objects)} "
            f"objects, {size / 1e6:.1f} MB, are read from the versions in {self.store.uri()}"
        )

    def _as_it_was(self, stanza: str) -> dict[str, StoredObject]:
        paths = Layout(stanza)
        objects = {
            stored.key.removeprefix(self.key_prefix): stored
            for folder in (paths.sets, paths.archives)
            for stored in as_of(self.store.versions(f"{self.key_prefix}{folder}/"), self.moment)
        }
        if not any(path.startswith(paths.backup_info) for path in objects):
            raise CheckFailed(
                f"{self.store.uri(self.key_prefix)} held no repository of stanza {stanza} at "
                f"{self.moment:%Y-%m-%d %H:%M:%S}+00: choose another --repository-as-of"
            )
        return objects

    def _lay_out(self, root: Path, run_as: str | None) -> None:
        """Make an empty file of each object's size and time, and fill the indexes and histories."""
        for path, stored in self._objects.items():
            file = root / path
            if not file.parent.is_dir():
                for parent in reversed([file.parent, *file.parent.parents]):
                    if parent == root or root in parent.parents:
                        make_directory(parent, run_as)
            with file.open("wb") as empty:
                empty.truncate(stored.size)
            _settle(file, stored, run_as)
        names = [
            path
            for path in self._objects
            if path.rpartition("/")[2].removesuffix(layout.COPY) in _INDEXES
            or layout.history_timeline(path.rpartition("/")[2]) is not None
        ]
        self._fill(root, names, run_as)

    def _fill(self, root: Path, paths: Iterable[str], run_as: str | None) -> None:
        """Download these objects; what there is not, pgBackRest itself will miss."""
        self.store.client  # noqa: B018 - build it once, before threads share it

        def download(path: str) -> None:
            stored = self._objects[path]
            with (
                self.store.reading(stored.key, stored.version_id) as chunks,
                (root / path).open("wb") as file,
            ):
                for chunk in chunks:
                    file.write(chunk)
            _settle(root / path, stored, run_as)

        wanted = [path for path in paths if path in self._objects and path not in self._filled]
        with ThreadPoolExecutor(READERS, thread_name_prefix="versions") as pool:
            list(pool.map(download, wanted))
        self._filled.update(wanted)


def needed_paths(reader: BackupContext, plan: Plan, paths: Iterable[str]) -> list[str]:
    """Choose of a repository's paths those that the plan reads.

    These are the files of the set's chain, the WAL to replay, indexes and histories.
    """
    names, geometry, history = Layout(reader.stanza.name), plan.geometry, plan.state.history
    repository = Repository.parse(reader.stanza.name, reader.pgbackrest.info())
    chain = tuple(f"{names.set(member.label)}/" for member in repository.chain(plan.backup_set.label))
    first, last = plan.state.start.number, plan.last_segment.number

    def is_needed(path: str) -> bool:
        if path.startswith(chain):
            return True
        name = path.rpartition("/")[2]
        if name.removesuffix(layout.COPY) in _INDEXES or layout.history_timeline(name) is not None:
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


def _settle(file: Path, stored: StoredObject, run_as: str | None) -> None:
    """Give the file the time at which the object was stored, by which archives are dated, and its owner."""
    set_owner(file, run_as)
    seconds = stored.modified_at.timestamp()
    os.utime(file, (seconds, seconds))


def from_settings(ctx: BackupContext, moment: datetime) -> PastRepository:
    """Open the past of the stanza's repository. Raises ConfigurationError without a bucket."""
    store = object_store.from_settings(ctx.settings, "backup_reader")
    return PastRepository(store, ctx.config.repository.key_prefix, moment)
