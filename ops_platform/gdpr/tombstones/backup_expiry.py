"""The time for which backups can bring back erased data, by schedule and retention. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

MARGIN = timedelta(days=2)
"""Allowance for a full backup and a cleanup that come late."""


@dataclass(frozen=True)
class BackupTerm:
    """A stanza's backups.

    ``set_lifetime``: from the start of a backup set until the last version of its objects is deleted.
    ``elsewhere``: that of the subject's other databases, by name; None: it is not known.
    """

    stanza: str
    set_lifetime: timedelta
    elsewhere: Mapping[str, timedelta | None] = field(default_factory=dict)

    def expires(self, gone_at: datetime) -> datetime:
        """Compute when the last backup from before ``gone_at`` is deleted, if backups run on schedule.

        Of all databases of which it is known.
        """
        return gone_at + self._longest + MARGIN

    def each(self, expires: datetime) -> dict[str, datetime | None]:
        """Compute for each database when its last one is deleted, by name; "" is the home database's.

        ``expires``: when the last of all is. None: it is not known.
        """
        lifetimes = {"": self.set_lifetime, **self.elsewhere}
        return {
            name: None if lifetime is None else expires - (self._longest - lifetime)
            for name, lifetime in lifetimes.items()
        }

    @property
    def _longest(self) -> timedelta:
        return max((self.set_lifetime, *(known for known in self.elsewhere.values() if known is not None)))
