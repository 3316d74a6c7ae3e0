"""Gaps of an archive: what a recovery along one timeline would find.

Pure. The archive is listed in ``repository.wal_archive``; what a gap costs is in ``recovery_point.rpo``.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass

from ops_platform.backup.wal.positions import Geometry, Segment
from ops_platform.backup.wal.timelines import History


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
    """State of the archive from one segment on, along ``history``.

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


def archive_state(
    present: Iterable[Segment],
    history: History,
    geometry: Geometry,
    start: Segment,
    known: Segment | None = None,
) -> ArchiveState:
    """Compute what a recovery from ``start`` along ``history`` finds, in O(n log n) of the segments present.

    ``known`` was archived once, as a set in the repository proves: what is missing up to it is a gap, not
    a segment that has yet to arrive.
    """
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
