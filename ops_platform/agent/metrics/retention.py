"""Metrics of retention: rows beyond their term, and when each table with a term was looked at.

The terms come from the data map itself: a table that no run has looked at is unknown, not in time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ops_platform.agent.expiring_value import ExpiringValue
from ops_platform.agent.metrics.definition import Sample, gauge
from ops_platform.clients.postgres import Connection
from ops_platform.errors import OpsError
from ops_platform.gdpr.data_map import parser
from ops_platform.gdpr.retention import retention_store
from ops_platform.gdpr.retention.retention_store import Look

METRICS = (
    gauge(
        "gdpr_retention_overdue_rows",
        "Rows a day and more beyond their term, without those under a legal hold, at the newest look.",
        ("stanza", "table"),
    ),
    gauge(
        "gdpr_retention_looked_timestamp_seconds",
        "When a run of retention last looked at a table with a term; 0: never.",
        ("stanza", "table"),
    ),
)


@dataclass
class Terms:
    """The tables with a term in a data map, read again when the file has changed."""

    file: Path | None
    _stamp: tuple[int, int] | None = None
    _tables: tuple[str, ...] = ()

    def tables(self) -> tuple[str, ...]:
        """List the tables; those known last while the map cannot be read."""
        try:
            status = self.file.stat() if self.file is not None else None
            stamp = (status.st_mtime_ns, status.st_size) if status else None
            if self.file is not None and stamp != self._stamp:
                loaded = parser.load(self.file)
                self._tables = tuple(str(table.name) for table in loaded.tables.values() if table.term)
                self._stamp = stamp
        except (OSError, OpsError):
            # The daily run fails over such a map, and the newest looks grow old.
            self._stamp = None
        return self._tables


class RetentionMetrics:
    """The newest looks, kept for ``good_for`` seconds after each read. ``data_map``: None without one.

    ``stanza``: that of the map's product; None where it is not known here.
    """

    def __init__(self, good_for: float, data_map: Path | None = None, stanza: str | None = None) -> None:
        self.terms = Terms(data_map)
        self.stanza = stanza
        self.looks: ExpiringValue[list[Look]] = ExpiringValue(good_for)

    def read(self, connection: Connection) -> None:
        """Read the ops database and, when it has changed, the map. Raises psycopg.Error."""
        self.looks.put(with_never(retention_store.looks(connection), self.terms.tables(), self.stanza))

    def samples(self, now: float) -> Iterator[Sample]:
        """Yield what is known; of a table that could not be looked at only when that was possible last."""
        for look in self.looks.get() or ():
            looked = 0.0 if look.looked_at is None else look.looked_at.timestamp()
            yield Sample("gdpr_retention_looked_timestamp_seconds", (look.stanza, look.table), looked)
            if look.overdue is not None:
                yield Sample("gdpr_retention_overdue_rows", (look.stanza, look.table), look.overdue)


def with_never(looks: Sequence[Look], tables: Sequence[str], stanza: str | None) -> list[Look]:
    """Add a look that never was for each of ``tables``, which have a term, that no run has looked at.

    ``stanza``: that of their product; None: not known, and a look of any stanza counts.
    """
    seen = {look.table for look in looks if stanza is None or look.stanza == stanza}
    return [*looks, *(Look(stanza or "", table, None, None) for table in tables if table not in seen)]
