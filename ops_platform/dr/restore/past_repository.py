"""The repository as it was at a moment, read from the versions that its bucket keeps.

The objects as they were are laid out in a directory of the workspace, and pgBackRest reads that. Until a
plan is made they are empty files of the right size and time, filled when pgBackRest is asked for their
contents; ``fetch`` then downloads what the plan needs, the set with its chain and the WAL to replay, and
removes the rest. The bucket is only read, with the identity that can only read.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
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
NAMED = 3
"""Keys named of those passed over."""
LONGEST_NAME = 255
"""The most bytes that a file system takes for one name."""
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
    _passed_over: tuple[str, ...] = ()

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
        named = ", ".join(ascii(path) for path in self._passed_over[:NAMED])
        passed = (
            f"; {len(self._passed_over)} keys are no files of a repository and were passed over: {named}"
            if self._passed_over
            else ""
        )
        return (
            f"as it was at {self.moment:%Y-%m-%d %H:%M:%S}+00: {len(needed)} of {len(self._objects)} "
            f"objects, {size / 1e6:.1f} MB, are read from the versions in {self.store.uri()}{passed}"
        )

    def _as_it_was(self, stanza: str) -> dict[str, StoredObject]:
        paths = Layout(stanza)
        first_written: dict[str, datetime] = {}

        def noted(versions: Iterable[StoredObject]) -> Iterator[StoredObject]:
            for stored in versions:
                if not stored.delete_marker:
                    # The newest comes first, so the oldest stays.
                    first_written[stored.key] = stored.modified_at
                yield stored

        then = {
            stored.key.removeprefix(self.key_prefix): stored
            for folder in (paths.sets, paths.archives)
            for stored in as_of(noted(self.store.versions(f"{self.key_prefix}{folder}/")), self.moment)
        }
        kept = files_of({path: first_written[stored.key] for path, stored in then.items()})
        objects = {path: stored for path, stored in then.items() if path in kept}
        self._passed_over = tuple(path for path in then if path not in kept)
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


def files_of(first_written: Mapping[str, datetime]) -> set[str]:
    """Choose of keys, given with the time of their first version, those that can be files in one directory.

    Whoever holds the key of the backups can write any key: one that leads out of the directory, and one that
    makes a path both a file and a directory. Of these the older is kept: the repository was there first.
    """
    files: set[str] = set()
    directories: set[str] = set()
    for path in sorted(first_written, key=lambda path: (first_written[path], path)):
        parts = path.split("/")
        above = {"/".join(parts[:depth]) for depth in range(1, len(parts))}
        if not all(map(_is_name, parts)) or path in directories or above & files:
            continue
        files.add(path)
        directories |= above
    return files


def _is_name(part: str) -> bool:
    return part not in ("", ".", "..") and "\0" not in part and len(part.encode()) <= LONGEST_NAME


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
