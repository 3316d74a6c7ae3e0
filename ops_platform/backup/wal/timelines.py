"""Timelines: the ancestry of each, and the lineage of an archive that holds several.

Pure. A recovery that ends anywhere but at the very end of the log begins a new timeline; what the old one
wrote behind that point is abandoned, although the archive keeps it. History files follow PostgreSQL's
timeline.c.
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from ops_platform.backup.wal.positions import Geometry, Segment, format_lsn, parse_lsn

_STOPPED_BEFORE = re.compile(r"before (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?[+-]\d\d(?::?\d\d)?)\s*")


@dataclass(frozen=True)
class History:
    """Ancestry of a timeline; ``left``: its ancestors, oldest first, each with the LSN where it was left.

    ``first_lost``: ancestor -> time of the first commit that was left behind there, where recovery stopped
    for a target in time and the history file says so.
    """

    timeline: int
    left: tuple[tuple[int, int], ...] = ()
    first_lost: Mapping[int, datetime] = field(default_factory=dict)

    @classmethod
    def parse(cls, timeline: int, text: str) -> History:
        """Read a ``.history`` file: lines of timeline, LSN, reason. Raises ValueError."""
        left, first_lost = [], {}
        for line in text.splitlines():
            words = line.split(maxsplit=2)
            if not words or words[0].startswith("#"):
                continue
            if len(words) < 2 or not words[0].isdigit():
                raise ValueError(f"{line!r} is no line of a timeline history")
            left.append((int(words[0]), parse_lsn(words[1])))
            stopped = _STOPPED_BEFORE.fullmatch(words[2]) if len(words) > 2 else None
            if stopped is not None:
                first_lost[int(words[0])] = datetime.fromisoformat(stopped[1])
        ancestors = [ancestor for ancestor, _ in left]
        if ancestors != sorted(set(ancestors)) or (ancestors and ancestors[-1] >= timeline):
            raise ValueError(f"the history of timeline {timeline} is not in order")
        return cls(timeline, tuple(left), first_lost)

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

    @property
    def begin(self) -> int:
        """The LSN where the timeline left its parent; 0 for one without a parent."""
        return self.left[-1][1] if self.left else 0


@dataclass(frozen=True)
class Lineage:
    """The timelines of one cluster's archive; ``seen`` are those that hold a segment or a history file."""

    histories: Mapping[int, History]
    seen: frozenset[int]

    @classmethod
    def of(cls, histories: Mapping[int, History], timelines: Iterable[int]) -> Lineage:
        """Join the history files with the timelines of the archived segments."""
        ancestors = (timeline for history in histories.values() for timeline, _ in history.left)
        return cls(histories, frozenset({*histories, *timelines, *ancestors}))

    @property
    def living(self) -> int:
        """The timeline that the cluster writes: PostgreSQL numbers a new one above all that it finds."""
        return max(self.seen, default=1)

    def history(self, timeline: int | None = None) -> History:
        """Return the ancestry of ``timeline``, by default of the living one.

        Without a history file it has none: what was before it cannot be told.
        """
        timeline = self.living if timeline is None else timeline
        return self.histories.get(timeline, History(timeline))

    def is_abandoned(self, timeline: int, lsn: int) -> bool:
        """Tell whether ``lsn``, written on ``timeline``, is no part of what the cluster lives on."""
        return not self.history().holds_position(timeline, lsn)

    def why_abandoned(self, timeline: int) -> str:
        """Say where the living timeline left ``timeline``, or that it never was on it."""
        for ancestor, lsn in self.history().left:
            if ancestor == timeline:
                return f"timeline {timeline} was left at {format_lsn(lsn)}, timeline {self.living} lives"
        return f"timeline {self.living} lives, and its history does not name timeline {timeline}"
