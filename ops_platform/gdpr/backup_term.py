"""How long backups can bring back what was erased, as the schedule and the retention have it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

MARGIN = timedelta(days=2)
"""Until the run that expires sets has come, and for one full backup that came late."""


@dataclass(frozen=True)
class BackupTerm:
    """``retention``: any moment of it can be restored. ``full_every``: the longest time between full backups.

    A full backup made just before an erasure goes when the next one is as old as the retention.
    """

    stanza: str
    retention: timedelta
    full_every: timedelta

    def expires(self, gone_at: datetime) -> datetime:
        """When the last backup goes that was made before ``gone_at``, if backups run as they should."""
        return gone_at + self.full_every + self.retention + MARGIN
