"""Metrics of the audit ledger: what no seal covers yet. Sealing itself is in ``audit``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from ops_platform.agent.expiring_value import ExpiringValue
from ops_platform.agent.metrics.definition import Sample, gauge, known_sample
from ops_platform.clients.postgres import Connection

METRICS = (
    gauge("audit_known", "1 when the ledger's state could be read."),
    gauge("audit_unsealed_events", "Events of the ledger that no seal covers yet."),
    gauge(
        "audit_oldest_unsealed_timestamp_seconds",
        "Time of the oldest event without a seal; absent without one.",
    ),
    gauge("audit_last_seal_timestamp_seconds", "Time of the newest seal; absent before the first."),
)

# The row comparison walks the index in the order in which seals take events.
_LEDGER = """
    WITH newest AS (
        SELECT coalesce(opens, epoch) AS epoch, to_xid, sealed_at FROM audit_seals
        ORDER BY number DESC LIMIT 1
    )
    SELECT count(*) AS unsealed, min(occurred_at) AS oldest, (SELECT sealed_at FROM newest) AS sealed_at
    FROM audit_events
    WHERE (epoch, xid) >= (coalesce((SELECT epoch FROM newest), 0),
                           coalesce((SELECT to_xid FROM newest), '0'::xid8))
"""


@dataclass(frozen=True)
class LedgerState:
    """Events without a seal, counted; a time is None when there is no such event, or no seal yet."""

    unsealed: int
    oldest_unsealed_at: datetime | None
    last_seal_at: datetime | None


class AuditMetrics:
    """State of the ledger, kept for ``good_for`` seconds after each read."""

    def __init__(self, good_for: float) -> None:
        self.ledger: ExpiringValue[LedgerState] = ExpiringValue(good_for)

    def read(self, connection: Connection) -> None:
        """Read the ops database. Raises psycopg.Error."""
        self.ledger.put(ledger(connection))

    def samples(self, _now: float) -> Iterator[Sample]:
        """Yield what is known now."""
        state = self.ledger.get()
        yield Sample("audit_known", (), state is not None)
        if state is not None:
            yield Sample("audit_unsealed_events", (), state.unsealed)
            yield from known_sample("audit_oldest_unsealed_timestamp_seconds", (), state.oldest_unsealed_at)
            yield from known_sample("audit_last_seal_timestamp_seconds", (), state.last_seal_at)


def ledger(connection: Connection) -> LedgerState:
    """Count the events that the newest seal does not cover."""
    row = connection.execute(_LEDGER).fetchall()[0]
    return LedgerState(row["unsealed"], row["oldest"], row["sealed_at"])
