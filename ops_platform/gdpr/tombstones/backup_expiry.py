"""How long backups can bring back what was erased, as the schedule and the retention have it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

MARGIN = timedelta(days=2)
"""For a full backup and a cleanup that came late."""


@dataclass(frozen=True)
class BackupTerm:
    """``sets_live``: from when a set of the stanza is taken until it is gone."""

    stanza: str
    sets_live: timedelta

    def expires(self, gone_at: datetime) -> datetime:
        """When the last backup goes that was made before ``gone_at``, if backups run as they should."""
        return gone_at + self.sets_live + MARGIN
