"""Metrics of archiving: the server's own word, and what the repository says to it.

How the two are compared is in ``backup.monitoring.archiver``.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from ops_platform.agent.expiring_value import ExpiringValue
from ops_platform.agent.metrics.definition import Sample, counter, gauge, known_sample
from ops_platform.backup.monitoring import FAULTS, ArchiveEnd, Archiver, Fault, WalDisk, archiver

_STANZA = ("stanza",)
CONFIGURED: tuple[Fault, ...] = ("off", "discards", "drops")
"""Faults that the server's settings alone show."""

METRICS = (
    counter(
        "backup_archive_failed_total",
        "Failed archive attempts that PostgreSQL counted (pg_stat_archiver).",
        _STANZA,
    ),
    gauge("backup_archive_failing", "1 when the newest archive attempt failed.", _STANZA),
    gauge(
        "backup_archive_fault",
        "1 when the server's archiving is at fault in this way, 0 when it is not.",
        (*_STANZA, "fault"),
    ),
    gauge(
        "backup_archive_configured",
        "1 when the server archives with the configuration that the settings ask for.",
        _STANZA,
    ),
    gauge("backup_wal_disk_bytes", "Size of the disk of the server's WAL (pg_wal).", _STANZA),
    gauge("backup_wal_disk_free_bytes", "Free space of the disk of the server's WAL.", _STANZA),
)


class ArchivingState:
    """Facts about the archiving of one stanza, kept for ``good_for`` seconds after each look.

    What the repository says is looked at less often, and kept for ``looks_good_for`` seconds.

    Server and repository are looked at by two loops. Each compares its news with what the other saw before:
    so no segment that arrives between the two looks can be taken for a lost one.
    """

    def __init__(
        self, good_for: float, looks_good_for: float | None = None, *, of_server: bool = True
    ) -> None:
        """``of_server`` False: of a further repository; the first tells what the server says of itself."""
        self._of_server = of_server
        looks_good_for = looks_good_for or good_for
        self.archiver: ExpiringValue[Archiver] = ExpiringValue(good_for)
        self.end: ExpiringValue[ArchiveEnd] = ExpiringValue(looks_good_for)
        self.faults: dict[Fault, ExpiringValue[bool]] = {
            fault: ExpiringValue(good_for if fault in CONFIGURED else looks_good_for) for fault in FAULTS
        }
        self.disk: ExpiringValue[WalDisk] = ExpiringValue(good_for)
        self.configured: ExpiringValue[bool] = ExpiringValue(good_for)

    def server_seen(self, seen: Archiver) -> None:
        """Keep what the server just said, and compare it with the newest listing."""
        self.archiver.put(seen)
        configured = archiver.configured_faults(seen)
        for fault in CONFIGURED if self._of_server else ():
            self.faults[fault].put(fault in configured)
        end = self.end.get()
        if end is not None:
            self.faults["foreign"].put(archiver.foreign(end, seen) is not None)

    def archive_seen(self, end: ArchiveEnd, asked: Archiver | None) -> None:
        """Keep what was just listed, and compare it with what the server had said before the listing."""
        self.end.put(end)
        self.faults["contested"].put(archiver.contested(end, datetime.now(UTC)) is not None)
        named = None if asked is None else asked.last_archived_wal
        held = None if named is None else end.holds(named)
        if held is None:
            self.faults["elsewhere"].forget()
        else:
            self.faults["elsewhere"].put(not held)

    def samples(self, stanza: str) -> Iterator[Sample]:
        """Yield what is known of ``stanza``."""
        seen = self.archiver.get()
        if seen is not None and self._of_server:
            yield Sample("backup_archive_failed_total", (stanza,), seen.failed_count)
            yield Sample("backup_archive_failing", (stanza,), seen.failing)
        yield from known_sample("backup_archive_configured", (stanza,), self.configured.get())
        disk = self.disk.get()
        if disk is not None:
            yield Sample("backup_wal_disk_bytes", (stanza,), disk.size)
            yield Sample("backup_wal_disk_free_bytes", (stanza,), disk.free)
        for fault, present in self.faults.items():
            yield from known_sample("backup_archive_fault", (stanza, fault), present.get())
