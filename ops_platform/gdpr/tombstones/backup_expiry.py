"""The time for which backups can bring back erased data, by schedule and retention. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

MARGIN = timedelta(days=2)
"""Allowance for a full backup and a cleanup that come late."""


@dataclass(frozen=True)
class BackupTerm:
    """A stanza's backups.

    ``set_lifetime``: from the start of a backup set until the last version of its objects is deleted.
    """

    stanza: str
    set_lifetime: timedelta

    def expires(self, gone_at: datetime) -> datetime:
        """Compute when the last backup from before ``gone_at`` is deleted, if backups run on schedule."""
        return gone_at + self.set_lifetime + MARGIN
