"""Metrics of the audit ledger: what no seal covers yet, its verifications, the bucket's newest seal.

Sealing and verifying are in ``audit``; the bucket is asked by a loop of its own.
"""

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
    gauge("audit_bucket_known", "1 when the ledger bucket could be listed."),
    gauge("audit_bucket_last_seal_number", "Number of the newest seal in the bucket; 0 before the first."),
    gauge(
        "audit_tail_missing_seals",
        "Newest seals of the bucket that the database, asked afterwards, does not have.",
    ),
    gauge(
        "audit_bucket_last_seal_timestamp_seconds",
        "Time at which the bucket got its newest seal, by its own clock; absent before the first.",
    ),
    gauge("audit_verified_timestamp_seconds", "Start of the newest verification without a finding."),
    gauge("audit_verified_in_full_timestamp_seconds", "Start of the newest one of all events."),
    gauge(
        "audit_verification_findings",
        "Findings of the newest verification and of the newest one in full, the more of the two.",
    ),
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
_VERIFICATIONS = """
    SELECT max(started_at) FILTER (WHERE findings = 0) AS verified_at,
           max(started_at) FILTER (WHERE findings = 0 AND since = 0) AS verified_in_full_at,
           (SELECT max(findings) FROM (
               (SELECT findings FROM audit_verifications ORDER BY id DESC LIMIT 1)
               UNION ALL
               (SELECT findings FROM audit_verifications WHERE since = 0 ORDER BY id DESC LIMIT 1)
           ) AS newest) AS findings
    FROM audit_verifications
"""


@dataclass(frozen=True)
class LedgerState:
    """Events without a seal, counted; a time is None when there is no such event, or no seal yet."""

    unsealed: int
    oldest_unsealed_at: datetime | None
    last_seal_at: datetime | None


@dataclass(frozen=True)
class VerificationState:
    """Newest verifications without a finding, and the findings of the newest; None before the first."""

    verified_at: datetime | None = None
    verified_in_full_at: datetime | None = None
    findings: int | None = None


@dataclass(frozen=True)
class BucketState:
    """Newest seal in the ledger bucket, and when the bucket got it; 0 and None before the first.

    ``missing``: how many of its newest the database does not have.
    """

    last_seal: int
    last_seal_at: datetime | None
    missing: int


class AuditMetrics:
    """State of the ledger, kept for ``good_for`` seconds after each read; of the bucket, longer."""

    def __init__(self, good_for: float, bucket_good_for: float) -> None:
        self.ledger: ExpiringValue[LedgerState] = ExpiringValue(good_for)
        self.verification: ExpiringValue[VerificationState] = ExpiringValue(good_for)
        self.bucket: ExpiringValue[BucketState] = ExpiringValue(bucket_good_for)

    def read(self, connection: Connection) -> None:
        """Read the ops database. Raises psycopg.Error."""
        self.ledger.put(ledger(connection))
        self.verification.put(verification(connection))

    def samples(self, _now: float) -> Iterator[Sample]:
        """Yield what is known now."""
        state = self.ledger.get()
        yield Sample("audit_known", (), state is not None)
        if state is not None:
            yield Sample("audit_unsealed_events", (), state.unsealed)
            yield from known_sample("audit_oldest_unsealed_timestamp_seconds", (), state.oldest_unsealed_at)
            yield from known_sample("audit_last_seal_timestamp_seconds", (), state.last_seal_at)
        bucket = self.bucket.get()
        yield Sample("audit_bucket_known", (), bucket is not None)
        if bucket is not None:
            yield Sample("audit_bucket_last_seal_number", (), bucket.last_seal)
            yield Sample("audit_tail_missing_seals", (), bucket.missing)
            yield from known_sample("audit_bucket_last_seal_timestamp_seconds", (), bucket.last_seal_at)
        verified = self.verification.get() or VerificationState()
        yield from known_sample("audit_verified_timestamp_seconds", (), verified.verified_at)
        yield from known_sample("audit_verified_in_full_timestamp_seconds", (), verified.verified_in_full_at)
        yield from known_sample("audit_verification_findings", (), verified.findings)


def ledger(connection: Connection) -> LedgerState:
    """Count the events that the newest seal does not cover."""
    row = connection.execute(_LEDGER).fetchall()[0]
    return LedgerState(row["unsealed"], row["oldest"], row["sealed_at"])


def verification(connection: Connection) -> VerificationState:
    """Read when the ledger was verified last, and what was found."""
    row = connection.execute(_VERIFICATIONS).fetchall()[0]
    return VerificationState(row["verified_at"], row["verified_in_full_at"], row["findings"])
