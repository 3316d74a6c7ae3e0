"""Metrics of the rolling verification of stored bytes, as ``backup.proof`` keeps it in the ops database."""

from __future__ import annotations

from collections.abc import Iterator

from ops_platform.agent.expiring_value import ExpiringValue
from ops_platform.agent.metrics.definition import Sample, gauge, known_sample
from ops_platform.backup.proof import Summary, read_store
from ops_platform.clients.postgres import Connection

_STANZA = ("stanza",)

METRICS = (
    gauge(
        "backup_set_verified_timestamp_seconds",
        "Since then every byte of the oldest set was read and found right.",
        _STANZA,
    ),
    gauge("backup_unverified_bytes", "Stored bytes never read since, or not read again in time.", _STANZA),
    gauge(
        "backup_verification_due_timestamp_seconds",
        "When the next reading of a stored object is due; in the past it is late.",
        _STANZA,
    ),
    gauge("backup_damaged_files", "Stored objects of sets that hold other bytes than were written.", _STANZA),
    gauge("backup_damaged_segments", "WAL segments in the archive that cannot be read.", _STANZA),
)


class ReadingState:
    """What is known of the readings of one stanza, kept for ``good_for`` seconds."""

    def __init__(self, good_for: float) -> None:
        self.summary: ExpiringValue[Summary] = ExpiringValue(good_for)
        self.damaged_sets: ExpiringValue[dict[str, str]] = ExpiringValue(None)
        """Label -> what is wrong with its bytes. What was read as damaged stays so until it is read again."""
        self.damaged_segments: ExpiringValue[dict[str, dict[str, str]]] = ExpiringValue(None)
        """Archive id -> segment -> what is wrong with its bytes, as long."""

    def read(self, connection: Connection, stanza: str) -> None:
        """Read the ops database. Raises psycopg.Error."""
        self.summary.put(read_store.summary(connection, stanza))
        self.damaged_sets.put(read_store.damaged_sets(connection, stanza))
        self.damaged_segments.put(read_store.damaged_segments(connection, stanza))

    def samples(self, stanza: str) -> Iterator[Sample]:
        """Yield what is known; nothing of a stanza whose repository was never listed for reading."""
        summary, labels = self.summary.get(), (stanza,)
        if summary is None or summary.due_at is None:
            return
        yield Sample("backup_unverified_bytes", labels, summary.unverified_bytes)
        yield Sample("backup_damaged_files", labels, summary.damaged_files)
        yield Sample("backup_damaged_segments", labels, summary.damaged_segments)
        yield from known_sample("backup_verification_due_timestamp_seconds", labels, summary.due_at)
        yield from known_sample("backup_set_verified_timestamp_seconds", labels, summary.oldest_verified_at)
