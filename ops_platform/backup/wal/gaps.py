"""Gaps of an archive: what a recovery along one timeline would find.

Pure. The archive is listed in ``repository.wal_archive``; what a gap costs is in ``recovery_point.rpo``.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
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


@dataclass(frozen=True)
class Run:
    """Segments ``first`` to ``last`` of one timeline, by number, both included and none missing."""

    timeline: int
    first: int
    last: int


def runs_of(segments: Iterable[Segment]) -> list[Run]:
    """Join segments into runs, in order. O(n log n), O(n) when they are sorted."""
    numbers: dict[int, list[int]] = {}
    for segment in segments:
        numbers.setdefault(segment.timeline, []).append(segment.number)
    return [
        run for timeline in sorted(numbers) for run in runs_of_numbers(timeline, sorted(numbers[timeline]))
    ]


def runs_of_numbers(timeline: int, numbers: Iterable[int]) -> Iterator[Run]:
    """Join the segments of one timeline into runs; their ``numbers`` are in order."""
    first = last = None
    for number in numbers:
        if first is None or last is None:
            first = number
        elif number > last + 1:
            yield Run(timeline, first, last)
            first = number
        last = number
    if first is not None and last is not None:
        yield Run(timeline, first, last)


def archive_state(
    present: Iterable[Run],
    history: History,
    geometry: Geometry,
    start: Segment,
    known: Segment | None = None,
) -> ArchiveState:
    """Compute what a recovery from ``start`` along ``history`` finds, in O(n log n) of the runs present.

    ``known`` was archived once, as a set in the repository proves: what is missing up to it is a gap, not
    a segment that has yet to arrive.
    """

    def at(number: int) -> Segment:
        return Segment(history.timeline_of(number, geometry), number)

    gaps: list[Gap] = []
    expected = start.number
    contiguous = start.number - 1
    newest: int | None = None
    for first, last in sorted(_on_way(present, history, geometry, start.number)):
        if first > expected:
            gaps += _split(expected, first - 1, history, geometry)
        elif not gaps:
            contiguous = max(contiguous, last)
        expected = max(expected, last + 1)
        newest = expected - 1
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
        newest=None if newest is None else at(newest),
        gaps=tuple(gaps),
    )


def _on_way(
    runs: Iterable[Run], history: History, geometry: Geometry, start: int
) -> Iterator[tuple[int, int]]:
    """Yield the parts of runs that recovery reads: each timeline from where it began to where it was left."""
    begins = [0, *(geometry.number_at(lsn) for _, lsn in history.left)]
    timelines = [*(timeline for timeline, _ in history.left), history.timeline]
    parts = {
        timeline: (begin, end)
        for timeline, begin, end in zip(timelines, begins, [*begins[1:], None], strict=True)
    }
    for run in runs:
        if run.timeline not in parts:
            continue
        begin, end = parts[run.timeline]
        first = max(run.first, begin, start)
        last = run.last if end is None else min(run.last, end - 1)
        if first <= last:
            yield first, last


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
