"""Arithmetic of write-ahead log: positions, segments, timelines, and the gaps of an archive.

Pure. The archive is listed in ``repository.wal_archive``; what a gap costs is in ``recovery_point.rpo``.
Names and timelines follow PostgreSQL's xlog_internal.h and timeline.c.
"""

from __future__ import annotations

import bisect
import itertools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

_SEGMENT_NAME = re.compile(r"[0-9A-F]{24}")
_LSN = re.compile(r"([0-9A-Fa-f]{1,8})/([0-9A-Fa-f]{1,8})")
_LOG_BYTES = 1 << 32
SEGMENT_SIZES = tuple(1 << power for power in range(20, 31))
"""1 MiB to 1 GiB: what initdb --wal-segsize can make."""
DEFAULT_SEGMENT_SIZE = 16 << 20


def parse_lsn(text: str) -> int:
    """Convert an LSN such as ``0/3000028`` to bytes since the beginning. Raises ValueError."""
    match = _LSN.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no LSN")
    return (int(match[1], 16) << 32) | int(match[2], 16)


def format_lsn(lsn: int) -> str:
    """Write a position in bytes as PostgreSQL does, for example ``0/3000028``."""
    return f"{lsn >> 32:X}/{lsn & 0xFFFFFFFF:X}"


@dataclass(frozen=True, order=True)
class Segment:
    """One WAL segment; ``number`` counts from 0 through all logs."""

    timeline: int
    number: int


@dataclass(frozen=True)
class Geometry:
    """Names and positions for one segment size in bytes."""

    size: int = DEFAULT_SEGMENT_SIZE

    def __post_init__(self) -> None:
        if self.size not in SEGMENT_SIZES:
            raise ValueError(f"{self.size} is no size of a WAL segment")

    @property
    def per_log(self) -> int:
        """Number of segments in a log of 4 GiB."""
        return _LOG_BYTES // self.size

    def parse(self, name: str) -> Segment:
        """Read a segment's name of 24 hexadecimal digits.

        Raises ValueError for a name that no server with this segment size writes.
        """
        if _SEGMENT_NAME.fullmatch(name) is None:
            raise ValueError(f"{name!r} is no WAL segment")
        timeline, log, part = (int(name[at : at + 8], 16) for at in (0, 8, 16))
        if part >= self.per_log or timeline == 0:
            raise ValueError(f"{name!r} is no WAL segment of {self.size} bytes")
        return Segment(timeline, log * self.per_log + part)

    def name(self, segment: Segment) -> str:
        """Write a segment's name of 24 hexadecimal digits."""
        log, part = divmod(segment.number, self.per_log)
        return f"{segment.timeline:08X}{log:08X}{part:08X}"

    def folder(self, segment: Segment) -> str:
        """Name the segment's directory (16 digits): pgBackRest keeps one for each log of a timeline."""
        return self.name(segment)[:16]

    def number_at(self, lsn: int) -> int:
        """Compute the number of the segment that holds the byte at ``lsn``."""
        return lsn // self.size

    def start(self, number: int) -> int:
        """Compute the position where the segment of this number begins."""
        return number * self.size


def infer_geometry(positions: Iterable[tuple[str, str]]) -> Geometry:
    """Infer the segment size that fits all pairs of (segment name, LSN of a byte in it).

    Where several fit (all pairs at the beginning of a log), the default if it is among them, else
    the largest. Raises ValueError when none fits.
    """
    sizes = set(SEGMENT_SIZES)
    for name, lsn_text in positions:
        lsn = parse_lsn(lsn_text)
        sizes = {size for size in sizes if _fits(size, name, lsn)}
    if not sizes:
        raise ValueError("no WAL segment size fits these names and positions")
    return Geometry(DEFAULT_SEGMENT_SIZE if DEFAULT_SEGMENT_SIZE in sizes else max(sizes))


def _fits(size: int, name: str, lsn: int) -> bool:
    try:
        number = Geometry(size).parse(name).number
    except ValueError:
        return False
    return number == lsn // size


@dataclass(frozen=True)
class History:
    """Ancestry of a timeline; ``left``: its ancestors, oldest first, each with the LSN where it was left."""

    timeline: int
    left: tuple[tuple[int, int], ...] = ()

    @classmethod
    def parse(cls, timeline: int, text: str) -> History:
        """Read a ``.history`` file: lines of timeline, LSN, reason. Raises ValueError."""
        left = []
        for line in text.splitlines():
            words = line.split(maxsplit=2)
            if not words or words[0].startswith("#"):
                continue
            if len(words) < 2 or not words[0].isdigit():
                raise ValueError(f"{line!r} is no line of a timeline history")
            left.append((int(words[0]), parse_lsn(words[1])))
        ancestors = [ancestor for ancestor, _ in left]
        if ancestors != sorted(set(ancestors)) or (ancestors and ancestors[-1] >= timeline):
            raise ValueError(f"the history of timeline {timeline} is not in order")
        return cls(timeline, tuple(left))

    def timeline_of(self, number: int, geometry: Geometry) -> int:
        """Tell which timeline's file recovery reads for a segment: the newest that began in it or before.

        The segment in which a timeline was left exists on the new one too, beginning with a copy.
        """
        begins = [geometry.number_at(lsn) for _, lsn in self.left]
        timelines = [*(timeline for timeline, _ in self.left), self.timeline]
        return timelines[bisect.bisect_right(begins, number)]

    def holds(self, segment: Segment, geometry: Geometry) -> bool:
        """Tell whether recovery to this timeline can start from a backup that began in ``segment``."""
        for timeline, lsn in self.left:
            if timeline == segment.timeline:
                return segment.number <= geometry.number_at(lsn)
        return segment.timeline == self.timeline

    def holds_position(self, timeline: int, lsn: int) -> bool:
        """Tell whether ``lsn``, written on ``timeline``, is part of this history."""
        for ancestor, end in self.left:
            if ancestor == timeline:
                return lsn <= end
        return timeline == self.timeline


@dataclass(frozen=True)
class Gap:
    """Missing segments ``first`` to ``last``, both included, all on one timeline."""

    first: Segment
    last: Segment

    @property
    def segments(self) -> int:
        """Number of missing segments."""
        return self.last.number - self.first.number + 1


@dataclass(frozen=True)
class ArchiveState:
    """State of the archive from one segment on, along the newest timeline that leads from there.

    ``contiguous_end`` is the LSN up to which nothing is missing (exclusive), None when the first
    segment is missing already. Segments behind ``newest`` have not been archived yet: no gap.
    """

    start: Segment
    history: History
    contiguous_end: int | None
    contiguous_last: Segment | None
    newest: Segment | None
    gaps: tuple[Gap, ...]

    @property
    def gap_segments(self) -> int:
        """Number of missing segments in all gaps."""
        return sum(gap.segments for gap in self.gaps)

    def covers(self, timeline: int, lsn: int) -> bool:
        """Tell whether recovery from ``start`` reaches ``lsn`` of ``timeline`` with what is archived."""
        if self.contiguous_end is None or lsn > self.contiguous_end:
            return False
        return self.history.holds_position(timeline, lsn)


def newest_history(start: Segment, histories: Mapping[int, History], geometry: Geometry) -> History:
    """Find the history of the newest timeline that recovery from ``start`` can follow.

    Like PostgreSQL's ``recovery_target_timeline = latest``: timelines are tried one after the other
    until one has no history file; those on which ``start`` does not lie cannot be followed.
    """
    best = histories.get(start.timeline, History(start.timeline))
    timeline = start.timeline + 1
    while timeline in histories:
        if histories[timeline].holds(start, geometry):
            best = histories[timeline]
        timeline += 1
    return best


def archive_state(
    present: Iterable[Segment],
    histories: Mapping[int, History],
    geometry: Geometry,
    start: Segment,
    known: Segment | None = None,
) -> ArchiveState:
    """Compute the state that a recovery from ``start`` would find, in O(n log n) of the segments present.

    ``known`` was archived once, as a set in the repository proves: what is missing up to it is a gap, not
    a segment that has yet to arrive.
    """
    history = newest_history(start, histories, geometry)
    numbers = sorted(
        {
            segment.number
            for segment in present
            if segment.number >= start.number
            and history.timeline_of(segment.number, geometry) == segment.timeline
        }
    )

    def at(number: int) -> Segment:
        return Segment(history.timeline_of(number, geometry), number)

    gaps: list[Gap] = []
    expected = start.number
    contiguous = start.number - 1
    for number in numbers:
        if number != expected:
            gaps += _split(expected, number - 1, history, geometry)
        elif not gaps:
            contiguous = number
        expected = number + 1
    # Segments after the last one may have yet to arrive, unless they come before ``known``, which was
    # there once; a missing start is a gap whatever follows.
    certain = start.number
    if known is not None and history.timeline_of(known.number, geometry) == known.timeline:
        certain = max(certain, known.number)
    if expected <= certain:
        gaps += _split(expected, certain, history, geometry)
    start_present = contiguous >= start.number
    return ArchiveState(
        start=start,
        history=history,
        contiguous_end=geometry.start(contiguous + 1) if start_present else None,
        contiguous_last=at(contiguous) if start_present else None,
        newest=at(numbers[-1]) if numbers else None,
        gaps=tuple(gaps),
    )


def _split(first: int, last: int, history: History, geometry: Geometry) -> list[Gap]:
    """Split the gap ``first`` to ``last`` into one for each timeline that it touches."""
    bounds = sorted(
        {
            first,
            last + 1,
            *(begin for _, lsn in history.left if first < (begin := geometry.number_at(lsn)) <= last),
        }
    )
    return [
        Gap(
            Segment(history.timeline_of(begin, geometry), begin),
            Segment(history.timeline_of(begin, geometry), end - 1),
        )
        for begin, end in itertools.pairwise(bounds)
    ]
