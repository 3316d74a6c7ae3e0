"""Folders of the archive, each parsed once: what is asked of many segments is answered folder by folder.

pgBackRest keeps the segments of one log (4 GiB) of a timeline in one folder; only the newest of them grows.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import overload

from ops_platform.backup.repository.segment_objects import sort_out
from ops_platform.backup.wal import Geometry, Run, Segment, runs_of, runs_of_numbers
from ops_platform.clients.pgbackrest import StoredEntry, layout

Row = tuple[int, int, int]
"""Number, size and arrival (Unix seconds) of a segment: a fifth of the memory of an object."""


@dataclass(frozen=True)
class ArchivedSegment:
    """A segment in the archive; ``size`` in bytes as stored, ``archived_at`` when S3 received it."""

    segment: Segment
    size: int
    archived_at: datetime


@dataclass(frozen=True)
class FolderFacts:
    """What most questions about a folder need."""

    count: int
    runs: tuple[Run, ...]
    oldest_at: datetime | None
    newest_at: datetime | None


@dataclass(frozen=True)
class SegmentFolder:
    """One folder and its segments, listed and parsed when they are first asked for."""

    name: str
    load: Callable[[], Sequence[ArchivedSegment]]
    known: FolderFacts | None = None
    """The facts where they are known without the segments."""
    rows: tuple[Row, ...] | None = field(default=None, repr=False)
    """What was listed, None where it is not known."""
    faults: Mapping[str, str] = field(default_factory=dict)
    """Segments that are there and cannot be used, so that they count as missing: name -> why."""

    @property
    def timeline(self) -> int:
        """The timeline that wrote all of its segments."""
        return layout.timeline_of(self.name)

    @cached_property
    def segments(self) -> tuple[ArchivedSegment, ...]:
        """Its segments in their order."""
        return tuple(sorted(self.load(), key=lambda archived: archived.segment))

    @property
    def known_rows(self) -> tuple[Row, ...]:
        """What was listed, in the order of the segments."""
        if self.rows is not None:
            return self.rows
        return tuple(
            (archived.segment.number, archived.size, int(archived.archived_at.timestamp()))
            for archived in self.segments
        )

    @cached_property
    def facts(self) -> FolderFacts:
        """Its segments in short."""
        if self.known is not None:
            return self.known
        times = [archived.archived_at for archived in self.segments]
        return FolderFacts(
            len(times),
            tuple(runs_of(archived.segment for archived in self.segments)),
            min(times, default=None),
            max(times, default=None),
        )

    @property
    def runs(self) -> tuple[Run, ...]:
        """Its segments as runs without a gap."""
        return self.facts.runs

    @property
    def newest_at(self) -> datetime | None:
        """When the newest segment arrived; None when the folder is empty."""
        return self.facts.newest_at

    @property
    def oldest_at(self) -> datetime | None:
        """When the first segment arrived; None when the folder is empty."""
        return self.facts.oldest_at

    def holds(self, segment: Segment) -> bool:
        """Tell whether a segment of this folder's timeline is in it."""
        at = bisect.bisect_right(self.runs, segment.number, key=lambda run: run.first) - 1
        return at >= 0 and self.runs[at].last >= segment.number

    def without(self, unusable: Mapping[str, str], name: Callable[[Segment], str]) -> SegmentFolder:
        """Return the folder as it is when the segments of ``unusable`` (name -> why) count as missing.

        ``name`` tells the name of a segment.
        """
        return SegmentFolder(
            self.name,
            lambda: [found for found in self.segments if name(found.segment) not in unusable],
            faults={**unusable, **self.faults},
        )

    def only(self, keep: Callable[[ArchivedSegment], bool]) -> SegmentFolder:
        """Return the folder with the segments to keep."""
        kept = tuple(archived for archived in self.segments if keep(archived))
        return self if len(kept) == len(self.segments) else SegmentFolder(self.name, lambda: kept)


def folder_of_rows(name: str, rows: Sequence[Row]) -> SegmentFolder:
    """Make a folder of what was listed in it, in the order of the segments; objects only when asked for."""
    timeline, times = layout.timeline_of(name), [at for _, _, at in rows]

    def load() -> list[ArchivedSegment]:
        return [
            ArchivedSegment(Segment(timeline, number), size, datetime.fromtimestamp(at, UTC))
            for number, size, at in rows
        ]

    facts = FolderFacts(
        len(rows),
        tuple(runs_of_numbers(timeline, (number for number, _, _ in rows))),
        datetime.fromtimestamp(min(times), UTC) if times else None,
        datetime.fromtimestamp(max(times), UTC) if times else None,
    )
    return SegmentFolder(name, load, facts, tuple(rows))


def parse_folder(name: str, listing: Mapping[str, StoredEntry], geometry: Geometry) -> SegmentFolder:
    """Read the listing of one folder: file name -> entry. Raises ValueError for an impossible segment."""
    entries, faults = sort_out(listing, geometry)
    rows = (
        (geometry.parse(segment).number, entry.size, entry.time)
        for segment, entry in entries.items()
        if layout.folder_of(segment) == name
    )
    return replace(folder_of_rows(name, sorted(rows)), faults=faults)


class FolderedSegments(Sequence[ArchivedSegment]):
    """All segments of an archive, in folders."""

    def __init__(self, folders: Iterable[SegmentFolder]) -> None:
        """Take the folders in any order."""
        self.folders = tuple(sorted(folders, key=lambda folder: folder.name))

    @classmethod
    def of(cls, segments: Sequence[ArchivedSegment], geometry: Geometry) -> FolderedSegments:
        """Sort segments into folders; those that are in folders stay as they are."""
        if isinstance(segments, cls):
            return segments
        inside: dict[str, list[ArchivedSegment]] = {}
        for archived in segments:
            inside.setdefault(geometry.folder(archived.segment), []).append(archived)
        return cls(SegmentFolder(name, _giving(inside[name])) for name in inside)

    def __len__(self) -> int:
        return sum(folder.facts.count for folder in self.folders)

    def __iter__(self) -> Iterator[ArchivedSegment]:
        for folder in self.folders:
            yield from folder.segments

    @overload
    def __getitem__(self, index: int) -> ArchivedSegment: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[ArchivedSegment]: ...
    def __getitem__(self, index: int | slice) -> ArchivedSegment | Sequence[ArchivedSegment]:
        return tuple(self)[index]


def _giving(segments: list[ArchivedSegment]) -> Callable[[], Sequence[ArchivedSegment]]:
    return lambda: segments
