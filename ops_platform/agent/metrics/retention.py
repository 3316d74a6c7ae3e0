"""Metrics of retention: rows beyond their term, and when each table with a term was looked at.

The terms come from the data map itself: a table that no run has looked at is unknown, not in time.
"""

from __future__ import annotations

from collections.abc import Iterator
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
        ("table",),
    ),
    gauge(
        "gdpr_retention_looked_timestamp_seconds",
        "When a run of retention last looked at a table with a term; 0: never.",
        ("table",),
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
    """The newest looks, kept for ``good_for`` seconds after each read. ``data_map``: None without one."""

    def __init__(self, good_for: float, data_map: Path | None = None) -> None:
        self.terms = Terms(data_map)
        self.looks: ExpiringValue[list[Look]] = ExpiringValue(good_for)

    def read(self, connection: Connection) -> None:
        """Read the ops database and, when it has changed, the map. Raises psycopg.Error."""
        looks = {look.table: look for look in retention_store.looks(connection)}
        never = {table: Look(table, None, None) for table in self.terms.tables()}
        self.looks.put([*{**never, **looks}.values()])

    def samples(self, now: float) -> Iterator[Sample]:
        """Yield what is known; of a table that could not be looked at only when that was possible last."""
        for look in self.looks.get() or ():
            looked = 0.0 if look.looked_at is None else look.looked_at.timestamp()
            yield Sample("gdpr_retention_looked_timestamp_seconds", (look.table,), looked)
            if look.overdue is not None:
                yield Sample("gdpr_retention_overdue_rows", (look.table,), look.overdue)
