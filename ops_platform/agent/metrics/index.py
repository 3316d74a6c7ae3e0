"""Metrics of a repository's index: the four small files, and their kept versions."""

from __future__ import annotations

from collections.abc import Iterator

from ops_platform.agent.expiring_value import ExpiringValue
from ops_platform.agent.metrics.definition import Sample, gauge, known_sample

_STANZA = ("stanza",)

METRICS = (
    gauge(
        "backup_index_lost",
        "1 when backup.info or archive.info cannot be read, nor its copy; 0 when both can.",
        _STANZA,
    ),
    gauge(
        "backup_index_damaged_files",
        "Files of the four (backup.info, archive.info, their copies) that are lost or broken.",
        _STANZA,
    ),
    gauge("backup_index_kept", "1 when the index as it is now is kept in the ledger's bucket.", _STANZA),
)


class IndexState:
    """Facts about the index of one stanza, kept for ``good_for`` seconds after each look."""

    def __init__(self, good_for: float) -> None:
        self.lost: ExpiringValue[bool] = ExpiringValue(good_for)
        self.damaged_files: ExpiringValue[int] = ExpiringValue(good_for)
        self.kept: ExpiringValue[bool] = ExpiringValue(good_for)

    def samples(self, stanza: str) -> Iterator[Sample]:
        """Yield what is known of ``stanza``."""
        yield from known_sample("backup_index_lost", (stanza,), self.lost.get())
        yield from known_sample("backup_index_damaged_files", (stanza,), self.damaged_files.get())
        yield from known_sample("backup_index_kept", (stanza,), self.kept.get())
