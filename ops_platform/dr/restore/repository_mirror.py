"""A directory of the workspace with the files of a past repository, for a pgBackRest that reads no versions.

Until a plan is made they are empty files of the right size and time, filled when pgBackRest is asked for
their contents; ``keep_only`` then downloads what the plan needs and removes the rest.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from ops_platform.backup.stanza import BackupContext, pgbackrest_conf
from ops_platform.clients.object_store import ObjectStore, StoredObject
from ops_platform.clients.pgbackrest import PgBackRest, TablespaceEntry, layout
from ops_platform.dr.restore.workspace import (
    Workspace,
    make_directory,
    require_space,
    scratch_stanza,
    set_owner,
)

READERS = 8
"""Downloads at a time."""
INDEXES = (layout.BACKUP_INFO, layout.ARCHIVE_INFO)


@dataclass(frozen=True)
class MirroredPgBackRest(PgBackRest):
    """pgBackRest on the directory; ``fill`` downloads the file of a path before it is read."""

    fill: Callable[[str], None] = lambda path: None

    def repo_get(self, path: str) -> str:
        """Return a text file of the repository, decrypted."""
        self.fill(path)
        return super().repo_get(path)

    def tablespaces(self, label: str) -> list[TablespaceEntry]:
        """Return the tablespaces of one set, for which its manifest is read."""
        for ending in ("", layout.COPY):
            self.fill(self.layout.manifest(label) + ending)
        return super().tablespaces(label)


@dataclass
class RepositoryMirror:
    """The directory ``root``, which is laid out for ``files``: path -> version in ``store``."""

    store: ObjectStore
    files: Mapping[str, StoredObject]
    root: Path
    run_as: str | None
    _filled: set[str] = field(default_factory=set)

    def lay_out(self) -> None:
        """Make an empty file of each object's size and time, and fill the indexes and histories."""
        for path, stored in self.files.items():
            file = self.root / path
            if not file.parent.is_dir():
                for parent in reversed([file.parent, *file.parent.parents]):
                    if parent == self.root or self.root in parent.parents:
                        make_directory(parent, self.run_as)
            with file.open("wb") as empty:
                empty.truncate(stored.size)
            self._settle(file, stored)
        names = [
            path
            for path in self.files
            if path.rpartition("/")[2].removesuffix(layout.COPY) in INDEXES
            or layout.history_timeline(path.rpartition("/")[2]) is not None
        ]
        self._fill(names)

    def open_reader(self, ctx: BackupContext, here: Workspace) -> BackupContext:
        """Open the stanza's repository in the directory."""
        config = replace(ctx.config, repository=replace(ctx.config.repository, path=str(self.root)))
        scratch, paths = scratch_stanza(ctx, here), here.pgbackrest
        text = pgbackrest_conf.render(
            ctx.settings, config, paths, role="backup_reader", stanzas=[scratch], local=True
        )
        pgbackrest_conf.write(paths.config_file, text, ctx.settings.run_as)
        plain = ctx.pgbackrest
        mirrored = MirroredPgBackRest(
            plain.binary,
            paths.config_file,
            plain.stanza,
            plain.run_as,
            plain.environment,
            plain.answer_seconds,
            stall_seconds=plain.stall_seconds,
            repository=plain.repository,
            fill=lambda path: self._fill([path]),
        )
        return replace(ctx, stanza=scratch, pgbackrest=mirrored, paths=paths)

    def keep_only(self, needed: Sequence[str]) -> None:
        """Download these files and remove all others. Raises CheckFailed when there is no room for them."""
        missing = [path for path in needed if path not in self._filled]
        require_space(self.root, sum(self.files[path].size for path in missing))
        for path in self.files.keys() - set(needed) - self._filled:
            (self.root / path).unlink(missing_ok=True)
        self._fill(missing)

    def _fill(self, paths: Iterable[str]) -> None:
        """Download these objects; what there is not, pgBackRest itself will miss."""
        self.store.client  # noqa: B018 - build it once, before threads share it

        def download(path: str) -> None:
            stored = self.files[path]
            with (
                self.store.reading(stored.key, stored.version_id) as chunks,
                (self.root / path).open("wb") as file,
            ):
                for chunk in chunks:
                    file.write(chunk)
            self._settle(self.root / path, stored)

        wanted = [path for path in paths if path in self.files and path not in self._filled]
        with ThreadPoolExecutor(READERS, thread_name_prefix="versions") as pool:
            list(pool.map(download, wanted))
        self._filled.update(wanted)

    def _settle(self, file: Path, stored: StoredObject) -> None:
        """Give the file its owner, and the time at which the object was stored: archives are dated by it."""
        set_owner(file, self.run_as)
        seconds = stored.modified_at.timestamp()
        os.utime(file, (seconds, seconds))
