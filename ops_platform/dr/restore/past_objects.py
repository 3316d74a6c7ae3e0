"""What a bucket held of a repository at a moment, and what else in it is in pgBackRest's way. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from ops_platform.clients.object_store import StoredObject, as_of
from ops_platform.clients.pgbackrest import Layout

LONGEST_NAME = 255
"""The most bytes that a file system takes for one name."""


@dataclass(frozen=True)
class PastObjects:
    """The files of a repository at a moment: path -> the version that was current."""

    files: Mapping[str, StoredObject]
    passed_over: tuple[str, ...]
    """Paths of that moment that are no files of one directory."""
    longest_folder: int
    """The most versions, delete markers and folders, of whatever time, in one folder."""
    confusing: bool
    """Whether pgBackRest would be led astray: by paths that are no files, whenever they were written, or by
    a version and a delete marker of one second, whose order listings do not tell."""


NOTHING = PastObjects({}, (), 0, confusing=False)


def read(versions: Iterable[StoredObject], key_prefix: str, moment: datetime) -> PastObjects:
    """Sort out the versions below ``key_prefix``, which come by key and of each key the newest first."""
    first_written: dict[str, datetime] = {}
    seen: set[str] = set()
    entries: Counter[str] = Counter()
    newest: dict[str, StoredObject] = {}
    confusing = False

    def noted() -> Iterator[StoredObject]:
        nonlocal confusing
        for stored in versions:
            path = stored.key.removeprefix(key_prefix)
            seen.add(path)
            entries[path.rpartition("/")[0]] += 1
            if not stored.delete_marker:
                # The newest comes first, so the oldest stays.
                first_written[path] = stored.modified_at
            if stored.modified_at <= moment:
                known = newest.setdefault(path, stored)
                confusing |= (
                    known.modified_at == stored.modified_at and known.delete_marker != stored.delete_marker
                )
            yield stored

    then = {stored.key.removeprefix(key_prefix): stored for stored in as_of(noted(), moment)}
    kept = files_of({path: first_written[path] for path in then})
    for folder in {folder for path in seen for folder in _folders_of(path)}:
        entries[folder.rpartition("/")[0]] += 1
    return PastObjects(
        {path: stored for path, stored in then.items() if path in kept},
        tuple(path for path in then if path not in kept),
        # Manifests of all sets there ever were; a restore reads none of them.
        max((count for folder, count in entries.items() if not _is_history(folder)), default=0),
        confusing or len(files_of(dict.fromkeys(seen, moment))) < len(seen),
    )


def files_of(first_written: Mapping[str, datetime]) -> set[str]:
    """Choose of keys, given with the time of their first version, those that can be files in one directory.

    Whoever holds the key of the backups can write any key: one that leads out of the directory, and one that
    makes a path both a file and a directory. Of these the older is kept: the repository was there first.
    """
    files: set[str] = set()
    directories: set[str] = set()
    for path in sorted(first_written, key=lambda path: (first_written[path], path)):
        above = set(_folders_of(path))
        if not all(map(_is_name, path.split("/"))) or path in directories or above & files:
            continue
        files.add(path)
        directories |= above
    return files


def _folders_of(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:depth]) for depth in range(1, len(parts))]


def _is_name(part: str) -> bool:
    return part not in ("", ".", "..") and "\0" not in part and len(part.encode()) <= LONGEST_NAME


def _is_history(folder: str) -> bool:
    parts = folder.split("/")
    return len(parts) > 2 and "/".join(parts[:3]) == Layout(parts[1]).set_history
