"""WAL archive of a stanza at one moment: what is there, and what a recovery would find in it.

It is listed in ``archive_reader``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property

from ops_platform.backup.repository.backup_sets import BackupSet
from ops_platform.backup.repository.segment_folders import (
    ArchivedSegment,
    FolderedSegments,
    SegmentFolder,
    folder_of_rows,
)
from ops_platform.backup.wal import (
    ArchiveState,
    Geometry,
    History,
    Lineage,
    Segment,
    archive_state,
    infer_geometry,
)
from ops_platform.clients.pgbackrest import StoredEntry, layout

BEHIND = timedelta(hours=1)
"""So long after a moment its WAL has arrived: recovery to it needs no folder that began later."""


@dataclass(frozen=True)
class Archive:
    """All segments of one cluster in the archive, and the timelines known there.

    ``began_at``: timeline -> when S3 received its history file. ``writes``: the timeline that the server
    itself said it writes, None when it was not asked.
    """

    geometry: Geometry
    segments: Sequence[ArchivedSegment]
    histories: Mapping[int, History]
    began_at: Mapping[int, datetime] = field(default_factory=dict)
    writes: int | None = None
    listed_since: datetime | None = None
    """When the oldest listing was made that this rests on; None where nobody listed."""

    @cached_property
    def folders(self) -> Mapping[str, SegmentFolder]:
        """The segments by folder, in the order of their names."""
        foldered = FolderedSegments.of(self.segments, self.geometry)
        return {folder.name: folder for folder in foldered.folders}

    @cached_property
    def lineage(self) -> Lineage:
        """Which timeline lives, and how it descends from the others."""
        return Lineage.of(self.histories, (folder.timeline for folder in self.folders.values()), self.writes)

    def state_from(
        self,
        name: str,
        known: str | None = None,
        timeline: int | None = None,
        until: datetime | int | None = None,
    ) -> ArchiveState:
        """Tell what a recovery would find that begins in the segment ``name`` and follows ``timeline``.

        By default it follows the living timeline. ``known`` names a segment that was archived once; see
        ``archive_state``. With ``until``, a moment or an LSN in bytes, nothing is looked at that recovery to
        there cannot need. Raises ValueError when ``name`` does not lie on that timeline's way.
        """
        start, history = self.geometry.parse(name), self.lineage.history(timeline)
        if not history.holds(start, self.geometry):
            raise ValueError(f"{name} does not lie on the way of timeline {history.timeline}")
        known_segment = None if known is None else self.geometry.parse(known)
        runs = (run for folder in self._on_way(history, name, until) for run in folder.runs)
        return archive_state(runs, history, self.geometry, start, known_segment)

    def _on_way(self, history: History, first: str, until: datetime | int | None) -> Iterator[SegmentFolder]:
        """Yield the folders that recovery along ``history`` reads, from that of the segment ``first`` on."""
        log = layout.log_of(layout.folder_of(first))
        for folder in self.folders.values():
            if layout.log_of(folder.name) < log or not history.names(folder.timeline):
                continue
            if isinstance(until, int) and self._start(folder) > until:
                return
            yield folder
            if isinstance(until, datetime) and folder.oldest_at and folder.oldest_at > until + BEHIND:
                return

    def without(self, unusable: Mapping[str, str]) -> Archive:
        """Return the archive as it is when the segments of ``unusable`` (name -> why) count as missing.

        Of those that are not there nothing is said.
        """
        inside: dict[str, dict[str, str]] = {}
        for name, why in unusable.items():
            folder = layout.folder_of(name)
            if folder in self.folders and self.holds(name):
                inside.setdefault(folder, {})[name] = why
        if not inside:
            return self
        folders = (
            folder.without(inside[folder.name], self.geometry.name) if folder.name in inside else folder
            for folder in self.folders.values()
        )
        return replace(self, segments=FolderedSegments(folders))

    def expects(self, name: str) -> bool:
        """Tell whether the segment ``name`` comes next on the living timeline, in a folder that is known.

        Of one that is there and unusable only a listing tells more: another object of it may be the fault.
        """
        try:
            segment = self.geometry.parse(name)
        except ValueError:
            return False
        newest = self.newest_on(self.lineage.living)
        return (
            newest is not None
            and segment == Segment(newest.timeline, newest.number + 1)
            and self.geometry.folder(segment) in self.folders
            and name not in self.faults()
        )

    def with_arrived(self, name: str, entry: StoredEntry) -> Archive:
        """Return the archive with a segment that it ``expects``."""
        segment = self.geometry.parse(name)
        grown = self.folders[self.geometry.folder(segment)]
        longer = replace(
            folder_of_rows(grown.name, (*grown.known_rows, (segment.number, entry.size, entry.time))),
            faults=grown.faults,
        )
        folders = (longer if folder is grown else folder for folder in self.folders.values())
        return replace(self, segments=FolderedSegments(folders))

    def at(self, moment: datetime) -> Archive:
        """Return the archive as it was at ``moment``."""
        folders = [
            folder
            if folder.newest_at is not None and folder.newest_at < moment
            else folder.only(lambda archived: archived.archived_at < moment)
            for folder in self.folders.values()
        ]
        histories = {
            timeline: history
            for timeline, history in self.histories.items()
            if timeline not in self.began_at or self.began_at[timeline] < moment
        }
        segments = FolderedSegments(folder for folder in folders if folder.facts.count)
        return replace(self, segments=segments, histories=histories)

    def missing_segments(self, backup_set: BackupSet) -> list[str]:
        """Name the segments that the set needs to become consistent and that are not archived."""
        return [
            self.geometry.name(segment)
            for segment in needed_segments(backup_set, self.geometry)
            if not self.has(segment)
        ]

    def holds(self, name: str) -> bool:
        """Tell whether the segment ``name`` is archived; False for no segment of this cluster's size."""
        try:
            return self.has(self.geometry.parse(name))
        except ValueError:
            return False

    def faults(self) -> Mapping[str, str]:
        """Name the segments that are there and count as missing, since recovery cannot use them, with why."""
        return {
            segment: fault for folder in self.folders.values() for segment, fault in folder.faults.items()
        }

    def newest_on(self, timeline: int) -> Segment | None:
        """Find the newest archived segment of ``timeline``; None when none is."""
        last = [
            folder.runs[-1].last
            for folder in self.folders.values()
            if folder.timeline == timeline and folder.runs
        ]
        return Segment(timeline, last[-1]) if last else None

    def has(self, segment: Segment) -> bool:
        """Tell whether a segment is archived."""
        folder = self.folders.get(self.geometry.folder(segment))
        return folder is not None and folder.holds(segment)

    def between(self, since: datetime, until: datetime) -> list[ArchivedSegment]:
        """List the segments that arrived from ``since`` (included) to ``until`` (excluded)."""
        return [
            archived
            for folder in self.folders.values()
            if folder.newest_at is not None and folder.newest_at >= since
            for archived in folder.segments
            if since <= archived.archived_at < until
        ]

    def newest_at(self) -> datetime | None:
        """Tell when the newest segment of any timeline arrived; None when the archive is empty."""
        return max((at for folder in self._tails() if (at := folder.newest_at)), default=None)

    def arrived_at(self, segment: Segment) -> datetime | None:
        """Tell when a segment arrived; None when it is not there."""
        folder = self.folders.get(self.geometry.folder(segment))
        found = () if folder is None else folder.segments
        return max((archived.archived_at for archived in found if archived.segment == segment), default=None)

    def oldest_at(self) -> datetime | None:
        """Tell when the first of the segments that are left arrived; None when the archive is empty."""
        return min((at for folder in self.folders.values() if (at := folder.oldest_at)), default=None)

    def ends(self) -> Mapping[int, int]:
        """Tell for each timeline where its newest archived segment ends, an LSN in bytes."""
        ends: dict[int, int] = {}
        for folder in self._tails():
            if folder.runs:
                ends[folder.timeline] = self.geometry.start(folder.runs[-1].last + 1)
        return ends

    def _tails(self) -> list[SegmentFolder]:
        """List the newest folder of each timeline."""
        return list({folder.timeline: folder for folder in self.folders.values()}.values())

    def _start(self, folder: SegmentFolder) -> int:
        """Compute the LSN where the log of a folder begins."""
        return self.geometry.start(self.geometry.parse(f"{folder.name}00000000").number)

    def began(self, after: int) -> datetime | None:
        """Tell when the archive first heard of what the living history has after timeline ``after``."""
        way = self.lineage.history()
        later = {timeline for timeline in (*dict(way.left), way.timeline) if timeline > after}
        first = {folder.timeline: folder for folder in reversed(list(self.folders.values()))}
        heard = [folder.oldest_at for timeline, folder in first.items() if timeline in later]
        heard += [at for timeline, at in self.began_at.items() if timeline in later]
        return min((at for at in heard if at is not None), default=None)

    def left_behind(self) -> Mapping[int, datetime]:
        """Tell for each timeline when the newest of it arrived that is no part of the living one's way."""
        newest: dict[int, datetime] = {}
        for timeline, archived in self._beside():
            if timeline not in newest or newest[timeline] < archived:
                newest[timeline] = archived
        return newest

    def _beside(self) -> Iterator[tuple[int, datetime]]:
        way = self.lineage.history()
        for folder in self.folders.values():
            timeline = folder.timeline
            if way.holds_position(timeline, self._start(folder) + self.geometry.start(self.geometry.per_log)):
                continue
            if not folder.runs or way.holds_position(timeline, self.geometry.start(folder.runs[-1].last + 1)):
                continue
            first = self.geometry.start(folder.runs[0].first + 1)
            if not way.holds_position(timeline, first) and folder.newest_at:
                yield timeline, folder.newest_at
                continue
            for archived in folder.segments:
                if not way.holds_position(timeline, self._end(archived)):
                    yield timeline, archived.archived_at

    def _end(self, archived: ArchivedSegment) -> int:
        return self.geometry.start(archived.segment.number + 1)


def needed_segments(backup_set: BackupSet, geometry: Geometry) -> list[Segment]:
    """List the WAL written while a set was taken, from its start to its stop; a backup keeps its timeline."""
    first, last = geometry.parse(backup_set.wal_start), geometry.parse(backup_set.wal_stop)
    return [Segment(first.timeline, number) for number in range(first.number, last.number + 1)]


def geometry_of(sets: Sequence[BackupSet]) -> Geometry:
    """Infer the segment size of the cluster that made these sets, without its server.

    Raises ValueError when none fits.
    """
    return infer_geometry((backup_set.wal_start, backup_set.lsn_start) for backup_set in sets)
