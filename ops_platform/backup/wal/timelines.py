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
from functools import cached_property

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
        for line in text.split("\n"):  # as PostgreSQL: the name of a restore point may hold any character
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

    def names(self, timeline: int) -> bool:
        """Tell whether any part of ``timeline`` belongs to this history."""
        return timeline == self.timeline or any(ancestor == timeline for ancestor, _ in self.left)

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
class Written:
    """The timeline that the server said it writes, and when it said so."""

    timeline: int
    at: datetime

    def holds_against(self, began_at: Mapping[int, datetime]) -> bool:
        """Tell whether no higher timeline began since; ``began_at``: timeline -> when its history arrived.

        After a restore in place the old answer stays for a moment, while the new timeline is there.
        """
        return all(at <= self.at for timeline, at in began_at.items() if timeline > self.timeline)


@dataclass(frozen=True)
class Lineage:
    """The timelines of one cluster's archive; ``seen`` are those that hold a segment or a history file.

    ``writes`` is the timeline that the server itself says it writes, None when it was not asked.
    """

    histories: Mapping[int, History]
    seen: frozenset[int]
    writes: int | None = None

    @classmethod
    def of(
        cls, histories: Mapping[int, History], timelines: Iterable[int], writes: int | None = None
    ) -> Lineage:
        """Join the history files with the timelines of the archived segments."""
        ancestors = (timeline for history in histories.values() for timeline, _ in history.left)
        return cls(histories, frozenset({*histories, *timelines, *ancestors}), writes)

    @property
    def living(self) -> int:
        """The timeline that the cluster writes: what its server says, else the highest.

        PostgreSQL numbers a new timeline above all that it finds; but a copy that archives to the same place
        does so too. A timeline of which nothing has arrived yet does not count: its ancestry is not known.
        """
        return self.highest if self.writes is None or self.writes not in self.seen else self.writes

    @cached_property
    def highest(self) -> int:
        """The highest timeline of the archive, whoever wrote it."""
        return max(self.seen, default=1)

    def history(self, timeline: int | None = None) -> History:
        """Return the ancestry of ``timeline``, by default of the living one.

        Without a history file it has none: what was before it cannot be told.
        """
        timeline = self.living if timeline is None else timeline
        return self.histories.get(timeline, History(timeline))

    def parting(self, timeline: int) -> tuple[int, int, datetime | None]:
        """Return where ``timeline`` and the living one part: ancestor, LSN, and the time a history names.

        The ancestor is ``timeline`` itself where the living one left it; the time is that of the first commit
        behind that point.
        """
        way, own = self.history(), self.history(timeline)
        left = dict(way.left)
        if timeline in left:
            return timeline, left[timeline], way.first_lost.get(timeline)
        common = [(ancestor, lsn) for ancestor, lsn in own.left if way.names(ancestor)]
        if not common:
            return timeline, 0, None
        ancestor, lsn = common[-1]
        if left.get(ancestor, lsn) < lsn:
            return ancestor, left[ancestor], way.first_lost.get(ancestor)
        return ancestor, lsn, own.first_lost.get(ancestor)

    def is_abandoned(self, timeline: int, lsn: int) -> bool:
        """Tell whether ``lsn``, written on ``timeline``, is no part of what the cluster lives on."""
        return not self.history().holds_position(timeline, lsn)

    def why_abandoned(self, timeline: int) -> str:
        """Say where the living timeline left ``timeline``, or that it never was on it."""
        for ancestor, lsn in self.history().left:
            if ancestor == timeline:
                return f"timeline {timeline} was left at {format_lsn(lsn)}, timeline {self.living} lives"
        return f"timeline {self.living} lives, and its history does not name timeline {timeline}"
