"""A contested archive: a second timeline went on growing in it when the living one had begun.

Then two servers archived to one stanza, and which of them is the cluster cannot be told from what is stored.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from ops_platform.backup.repository import Archive

LATE = timedelta(minutes=2)
"""WAL of a server that was stopped may arrive for so long after its successor's history file."""
STILL = timedelta(hours=1)
"""A timeline grows still when something of it arrived within this time: an idle copy archives seldom."""
REMEMBERED = timedelta(hours=24)
"""For so long before the end of the archive a contest counts when nobody can ask the server."""


@dataclass(frozen=True)
class Contest:
    """Two timelines that grew at once; the newest segment of ``other`` arrived at ``newest_at``."""

    living: int
    other: int
    newest_at: datetime

    @property
    def summary(self) -> str:
        """One line that names both."""
        return (
            f"timeline {self.other} was archived beside timeline {self.living}, until "
            f"{self.newest_at:%Y-%m-%d %H:%M:%S}+00: two servers wrote to one archive"
        )


def find(archive: Archive, since: datetime | None) -> Contest | None:
    """Find the newest contest that went on until ``since`` or later, None for any time; None without one."""
    lineage, found = archive.lineage, []
    for timeline, newest_at in archive.left_behind().items():
        ancestor, _, _ = lineage.parting(timeline)
        began = archive.began(ancestor)
        beside = timeline > lineage.living or (began is not None and newest_at > began + LATE)
        if beside and (since is None or newest_at >= since):
            found.append(Contest(lineage.living, timeline, newest_at))
    return max(found, key=lambda contest: contest.newest_at, default=None)


def remembered(archive: Archive) -> Contest | None:
    """Find a contest of the last day of the archive, for those who cannot ask the server."""
    end = archive.newest_at()
    return None if end is None else find(archive, end - REMEMBERED)
