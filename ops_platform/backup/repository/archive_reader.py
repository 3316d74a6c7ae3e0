"""Reader of a stanza's WAL archive, which lists again only what can have changed."""

from __future__ import annotations

import functools
import itertools
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from ops_platform.backup.repository.backup_sets import Database
from ops_platform.backup.repository.listing_cache import ListedFolder, ListingCache
from ops_platform.backup.repository.segment_folders import (
    ArchivedSegment,
    FolderedSegments,
    SegmentFolder,
    parse_folder,
)
from ops_platform.backup.repository.segment_objects import sort_out
from ops_platform.backup.repository.stored_files import ListedFile
from ops_platform.backup.repository.wal_archive import Archive
from ops_platform.backup.wal import Gap, Geometry, History, Lineage, Segment, Written
from ops_platform.clients.pgbackrest import PgBackRest, StoredEntry, layout
from ops_platform.errors import CheckFailed

RELIST_SECONDS = 6 * 3600.0
"""Time in which all folders that no longer grow are listed again in turn, to find what somebody deleted."""
OTHER_TAIL_SECONDS = 240.0
"""Age at which the newest folder of a timeline that does not live is: a copy may go on writing it."""
FEW_FOLDERS = 8
"""So many are listed one by one, each a process of pgBackRest; more in one go."""
MANY_FOLDERS = 30
"""After so many folders that were asked for one by one, all others are listed in one go."""
GAP_FOLDERS = 2
"""Folders with a gap that each look lists again: a segment may have arrived late."""
PAGE = 1000
"""The most files that S3 lists in one request."""

Flat = Callable[[str, str], Iterable[ListedFile]]
"""(folder, after) -> its files, those of folders in it too, whose paths in it sort after ``after``."""


@dataclass
class ArchiveReader:
    """Lister of a stanza's archive. A reader that is kept costs one or two small listings each time.

    ``cache``: the directory where listings of folders that no longer grow are kept for other processes; None
    keeps them in this reader only. Not for two threads at once.
    """

    pgbackrest: PgBackRest
    cache: Path | None = None
    clock: Callable[[], float] = time.time
    flat: Flat | None = None
    """Lists with requests of our own, a page each, across folders; without it pgBackRest does."""
    _folders: dict[str, ListedFolder] = field(default_factory=dict)
    _histories: dict[str, tuple[StoredEntry, History]] = field(default_factory=dict)
    """File name -> its entry in the listing, and what was read of it."""
    _names: Mapping[str, StoredEntry] = field(default_factory=dict)
    """Folders and history files of the archive."""
    _names_at: float | None = None
    _seen: tuple[Database, Geometry] | None = None
    _tail: str | None = None
    """The newest folder on the living timeline's way at the last look."""
    _turned_at: float | None = None
    """Until then all turns of folders were taken."""

    def read(
        self,
        database: Database,
        geometry: Geometry,
        *,
        gaps: Sequence[Gap] = (),
        written: Written | None = None,
        names_age: float = 0.0,
    ) -> Archive:
        """List the archive of ``database``: all of it the first time, later what can have changed.

        That is the newest folder of the living timeline, new ones, those of ``gaps`` that an earlier look
        found (a segment may arrive late), and of the others so many in turn that each comes up in
        ``RELIST_SECONDS``. Which folders and history files there are may be known from a listing of
        ``names_age`` seconds ago; with ``flat`` those behind the newest folder are seen at each look.
        ``written`` is what the server said, None when it was not asked.
        Raises PgBackRestError.
        """
        base = self.pgbackrest.layout.archive(database.archive_id)
        kept = ListingCache(None if self.cache is None else self.cache / database.archive_id, geometry)
        if (database, geometry) != self._seen:
            self._folders, self._histories, self._names_at, self._seen = {}, {}, None, None
        now = self.clock()
        paged: dict[str, Mapping[str, StoredEntry]] = {}
        is_young = self._names_at is not None and 0 <= now - self._names_at < names_age
        if not is_young or (self.flat is not None and self._tail is None):
            self._names = self.pgbackrest.repo_ls(base)
            self._names_at = now
        elif self.flat is not None and self._tail is not None:
            paged |= self._look_behind(self.flat, base, self._tail)
        histories, began_at = self._read_histories(base, self._names)
        writes = written.timeline if written is not None and written.holds_against(began_at) else None
        present = {name for name in self._names if layout.is_folder(name)}
        lineage = Lineage.of(histories, (layout.timeline_of(name) for name in present), writes)
        self._folders = {name: listed for name, listed in self._folders.items() if name in present}
        again = self._to_list(present, lineage.living, geometry, gaps, kept)
        if self.flat is not None:
            paged |= self._page_in_turn(self.flat, base, again | set(paged))
            again |= set(paged)
        self._list(base, again & present, geometry, kept, set(_tails(present).values()), paged)
        self._seen = (database, geometry)
        # A timeline begins with its history; its folders sort behind those of the timelines before it.
        self._tail = max(
            (name for name in present if layout.timeline_of(name) <= lineage.living), default=None
        )
        folders = FolderedSegments(listed.folder for listed in self._folders.values())
        oldest = min((listed.at for listed in self._folders.values()), default=now)
        listed_since = datetime.fromtimestamp(oldest, UTC)
        return Archive(geometry, folders, histories, began_at, writes, listed_since)

    def glance(self, database: Database, geometry: Geometry, *, written: Written | None = None) -> Archive:
        """List which folders and timelines there are; each folder only when its segments are asked for.

        For a restore, which needs those from its set on. Any use of the archive may then raise
        PgBackRestError. ``written``: see ``read``.
        """
        base = self.pgbackrest.layout.archive(database.archive_id)
        names = self.pgbackrest.repo_ls(base)
        histories, began_at = self._read_histories(base, names)
        writes = written.timeline if written is not None and written.holds_against(began_at) else None
        listing = _OnDemand(self.pgbackrest, base, geometry)
        folders = FolderedSegments(
            SegmentFolder(name, functools.partial(listing.segments, name))
            for name in names
            if layout.is_folder(name)
        )
        return Archive(geometry, folders, histories, began_at, writes)

    def _to_list(
        self, present: set[str], living: int, geometry: Geometry, gaps: Sequence[Gap], kept: ListingCache
    ) -> set[str]:
        """Choose the folders that can have changed since they were listed."""
        now, tails = self.clock(), _tails(present)
        known = sorted(name for name in self._folders if layout.timeline_of(name) == living)
        unknown = {name for name in present if name not in self._folders}
        again = set(unknown)
        for name in unknown - set(tails.values()):
            listed = kept.load(name)
            if listed is not None and 0 <= now - listed.at < RELIST_SECONDS:
                self._folders[name] = listed
                again.remove(name)
        # The folder that was the newest may have got its last segments since, when there is a newer one.
        again.update(known[-1:])
        damaged = {
            geometry.folder(Segment(gap.first.timeline, number))
            for gap in gaps
            for number in range(gap.first.number, gap.last.number + 1, geometry.per_log)
        } | {geometry.folder(gap.last) for gap in gaps}
        again.update(sorted(damaged & present)[-GAP_FOLDERS:])
        if self.flat is None:
            again.update(self._in_turn(now, again))
        overdue = [
            (now - listed.at - (OTHER_TAIL_SECONDS if name in tails.values() else RELIST_SECONDS), name)
            for name, listed in self._folders.items()
            if name not in again
        ]
        few = max(1, FEW_FOLDERS - len(again))
        return again | {name for seconds, name in sorted(overdue)[-few:] if seconds > 0}

    def _in_turn(self, now: float, again: set[str], at_least: int = 1) -> list[str]:
        """Choose the folders whose turn has come since the last look, those listed longest ago first.

        None while it is the turn of fewer than ``at_least``.
        """
        if not self._folders or self._turned_at is None or now < self._turned_at:
            self._turned_at = now
            return []
        pause = RELIST_SECONDS / (len(self._folders) + at_least - 1)
        turns = int((now - self._turned_at) / pause)
        if turns < at_least:
            return []
        self._turned_at += turns * pause
        others = sorted((listed.at, name) for name, listed in self._folders.items() if name not in again)
        return [name for _, name in others[:turns]]

    def _look_behind(self, flat: Flat, base: str, tail: str) -> dict[str, Mapping[str, StoredEntry]]:
        """List all from the folder ``tail`` on, and know what folders and histories are there."""
        paths = _entries(flat(base, layout.before(tail)))
        found = _by_folder(paths)
        self._names = {
            **{name: entry for name, entry in self._names.items() if name < tail},
            **{name: entry for name, entry in paths.items() if "/" not in name},
            **{name: StoredEntry(is_file=False) for name in found},
        }
        return found

    def _page_in_turn(self, flat: Flat, base: str, again: set[str]) -> dict[str, Mapping[str, StoredEntry]]:
        """List, when it is time for it, a page of folders from that on which was listed longest ago."""
        segments = sum(listed.folder.facts.count for listed in self._folders.values())
        a_page = min(PAGE * len(self._folders) // max(1, segments), len(self._folders))
        turn = self._in_turn(self.clock(), again, max(1, a_page))
        if not turn:
            return {}
        first = turn[0]
        files = iter(flat(base, layout.before(first)))
        page = list(itertools.islice(files, PAGE))
        found = _by_folder(_entries(page))
        if len(page) == PAGE and max(found, default=first) == first:
            rest = itertools.takewhile(lambda file: file[0].startswith(f"{first}/"), files)
            return {first: {**found.get(first, {}), **_by_folder(_entries(rest)).get(first, {})}}
        if len(page) == PAGE:
            found.pop(max(found))  # the rest of it is on the next page
        last = max(found, default=first)
        return {
            name: found.get(name, {}) for name in self._folders if first <= name <= last and name not in again
        }

    def _list(
        self,
        base: str,
        again: set[str],
        geometry: Geometry,
        kept: ListingCache,
        tails: set[str],
        paged: Mapping[str, Mapping[str, StoredEntry]],
    ) -> None:
        """List these folders, but for those of ``paged``; many of them in one go, with all others."""
        many = len(again - set(paged)) > FEW_FOLDERS
        whole = self._list_whole(base) if many else {}
        for name in sorted(again):
            if name in paged:
                listing = paged[name]
            else:
                listing = whole.get(name, {}) if many else self.pgbackrest.repo_ls(f"{base}/{name}")
            listed = ListedFolder(parse_folder(name, listing, geometry), self.clock())
            self._folders[name] = listed
            if listed.folder.faults:
                kept.forget(name)  # others shall not go on with one from before the fault
            elif name not in tails:
                kept.store(listed)
        if again - tails:
            kept.forget_all_but(set(self._folders))

    def _list_whole(self, base: str) -> dict[str, Mapping[str, StoredEntry]]:
        if self.flat is not None:
            return _by_folder(_entries(self.flat(base, "")))
        return _by_folder(self.pgbackrest.repo_ls(base, recurse=True))

    def _read_histories(
        self, base: str, names: Mapping[str, StoredEntry]
    ) -> tuple[dict[int, History], dict[int, datetime]]:
        """Read the history files that are new or were written again."""
        files = {name: entry for name, entry in names.items() if layout.history_timeline(name) is not None}
        self._histories = {name: read for name, read in self._histories.items() if name in files}
        histories, began_at = {}, {}
        for name, entry in files.items():
            timeline = layout.history_timeline(name) or 0
            known = self._histories.get(name)
            if known is None or known[0] != entry:
                known = entry, self._history(f"{base}/{name}", timeline)
                self._histories[name] = known
            histories[timeline] = known[1]
            began_at[timeline] = entry.at
        return histories, began_at

    def _history(self, path: str, timeline: int) -> History:
        """Read one history. Raises PgBackRestError, CheckFailed when it is damaged."""
        try:
            return History.parse(timeline, self.pgbackrest.repo_get(path))
        except ValueError:
            raise CheckFailed(
                f"{path} in the repository is no history of timeline {timeline}: put back an earlier version "
                f"of it, or pg_wal/{path.rpartition('/')[2]} of a server that has it"
            ) from None

    def names(self, database: Database, folders: Sequence[str], geometry: Geometry) -> set[str]:
        """List the names of the usable segments in some folders only. Raises PgBackRestError."""
        base = self.pgbackrest.layout.archive(database.archive_id)
        return {
            segment
            for folder in folders
            for segment in sort_out(self.pgbackrest.repo_ls(f"{base}/{folder}"), geometry)[0]
        }


@dataclass
class _OnDemand:
    """Lister of folders that are asked for one by one, and all at once when they become many."""

    pgbackrest: PgBackRest
    base: str
    geometry: Geometry
    _listed: int = 0
    _whole: Mapping[str, Mapping[str, StoredEntry]] | None = None

    def segments(self, name: str) -> Sequence[ArchivedSegment]:
        """List one folder. Raises PgBackRestError."""
        if self._whole is None and self._listed >= MANY_FOLDERS:
            self._whole = _by_folder(self.pgbackrest.repo_ls(self.base, recurse=True))
        self._listed += 1
        if self._whole is not None:
            return parse_folder(name, self._whole.get(name, {}), self.geometry).segments
        return parse_folder(name, self.pgbackrest.repo_ls(f"{self.base}/{name}"), self.geometry).segments


def _tails(present: set[str]) -> dict[int, str]:
    """Find the newest folder of each timeline."""
    return {layout.timeline_of(name): name for name in sorted(present)}


def _entries(files: Iterable[ListedFile]) -> dict[str, StoredEntry]:
    """Make entries of listed files."""
    return {path: StoredEntry(True, size, at) for path, size, at in files}


def _by_folder(listing: Mapping[str, StoredEntry]) -> dict[str, Mapping[str, StoredEntry]]:
    """Sort a listing of all folders: folder -> file name -> entry."""
    inside: dict[str, dict[str, StoredEntry]] = {}
    for path, entry in listing.items():
        folder, _, name = path.rpartition("/")
        if layout.is_folder(folder):
            inside.setdefault(folder, {})[name] = entry
    return dict(inside)
