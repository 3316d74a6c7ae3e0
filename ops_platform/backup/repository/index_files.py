"""The four small files that a repository cannot be read without: backup.info, archive.info, and their copies.

In an encrypted repository they hold the keys of everything else. pgBackRest writes each twice, byte by byte
the same, and reads the copy where the first is lost. Here they are looked at one by one; ``kept_index`` keeps
them elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ops_platform.backup.repository.stored_files import StoredFiles
from ops_platform.backup.stanza import BackupContext
from ops_platform.clients.pgbackrest import CRYPTO, PgBackRestError, checked_lines, layout
from ops_platform.errors import CheckFailed

State = Literal["good", "lost", "broken"]


@dataclass(frozen=True)
class IndexFile:
    """One of the four files; ``body`` as it is stored, None when it is lost."""

    path: str
    state: State
    body: bytes | None


@dataclass(frozen=True)
class IndexPair:
    """An index and its copy."""

    name: str
    files: tuple[IndexFile, IndexFile]

    @property
    def good(self) -> bytes | None:
        """The bytes of a good file, the index's before its copy's; None when neither is good."""
        return next((file.body for file in self.files if file.state == "good"), None)

    @property
    def bad(self) -> tuple[IndexFile, ...]:
        """The files that are lost or broken."""
        return tuple(file for file in self.files if file.state != "good")


def look(ctx: BackupContext) -> tuple[IndexPair, IndexPair]:
    """Look at the four files. Raises the store's errors, and PgBackRestError when they cannot be judged."""
    stored = StoredFiles.open(ctx)
    paths = ctx.pgbackrest.layout
    return (
        _pair(ctx, stored, layout.BACKUP_INFO, paths.backup_info),
        _pair(ctx, stored, layout.ARCHIVE_INFO, paths.archive_info),
    )


def is_readable(ctx: BackupContext, path: str) -> bool:
    """Tell whether pgBackRest can read the index at ``path``, and its checksum is right.

    Raises PgBackRestError for any other trouble than that of the file itself.
    """
    try:
        text = ctx.pgbackrest.repo_get(path)
    except PgBackRestError as error:
        if error.code != CRYPTO:
            raise
        return False
    return has_right_checksum(text)


def has_right_checksum(text: str) -> bool:
    """Tell whether an index's own checksum is that of its contents."""
    try:
        for _ in checked_lines(text):
            pass
    except (CheckFailed, ValueError):
        return False
    return True


def was_ever_made(ctx: BackupContext, pairs: Sequence[IndexPair]) -> bool:
    """Tell whether the repository holds anything of the stanza; without, there is no index to be lost."""
    if any(file.body is not None for pair in pairs for file in pair.files):
        return True
    paths = ctx.pgbackrest.layout
    return any(ctx.pgbackrest.repo_ls(folder) for folder in (paths.sets, paths.archives))


def _pair(ctx: BackupContext, stored: StoredFiles, name: str, path: str) -> IndexPair:
    bodies = [stored.get(place) for place in (path, path + layout.COPY)]
    first = _file(ctx, path, bodies[0])
    if bodies[1] is not None and bodies[1] == bodies[0]:
        return IndexPair(name, (first, IndexFile(path + layout.COPY, first.state, bodies[1])))
    return IndexPair(name, (first, _file(ctx, path + layout.COPY, bodies[1])))


def _file(ctx: BackupContext, path: str, body: bytes | None) -> IndexFile:
    if body is None:
        return IndexFile(path, "lost", None)
    return IndexFile(path, "good" if is_readable(ctx, path) else "broken", body)
