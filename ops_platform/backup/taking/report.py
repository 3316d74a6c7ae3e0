"""Values of a backup run: the request and the report. The stored rows are in ``report_store``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from ops_platform.backup.repository import BackupSet
from ops_platform.backup.stanza import Kind

LaunchedBy = Literal["dagster", "cli", "agent"]


@dataclass(frozen=True)
class BackupRequest:
    """A request for one backup.

    ``root_run_id`` is the first run of a chain of replays, or the run itself.
    """

    stanza: str
    kind: Kind
    run_id: str
    root_run_id: str
    launched_by: LaunchedBy
    allow_promotion: bool = False
    """True: a differential or incremental whose chain broke may become a full; a person has said so."""
    turn_seconds: float = 0.0
    """How long it waits for a backup into the cluster's other repository; 0: no schedule asked for it."""

    @property
    def backup_id(self) -> str:
        """Key of the run's row in backup_reports."""
        return f"{self.stanza}:{self.run_id}"

    @property
    def object(self) -> str:
        """Name of the stanza in the audit ledger."""
        return f"stanza/{self.stanza}"


@dataclass(frozen=True)
class BackupReport:
    """A completed run and its set; ``adopted``: an earlier run of the same root made the set."""

    backup_id: str
    stanza: str
    requested_kind: Kind
    run_id: str
    root_run_id: str
    adopted: bool
    duration_ms: int
    repository_uri: str
    throughput_bytes_per_second: float | None
    backup_set: BackupSet

    def as_json(self) -> dict[str, Any]:
        """Make plain values, times in ISO 8601."""
        backup_set = self.backup_set
        return {
            "backup_id": self.backup_id,
            "stanza": self.stanza,
            "requested_kind": self.requested_kind,
            "kind": backup_set.kind,
            "label": backup_set.label,
            "prior": backup_set.prior,
            "adopted": self.adopted,
            "started_at": backup_set.started_at.isoformat(),
            "completed_at": backup_set.completed_at.isoformat(),
            "duration_ms": self.duration_ms,
            "size_bytes": backup_set.size_bytes,
            "delta_bytes": backup_set.delta_bytes,
            "repo_size_bytes": backup_set.repo_size_bytes,
            "repo_delta_bytes": backup_set.repo_delta_bytes,
            "lsn_start": backup_set.lsn_start,
            "lsn_stop": backup_set.lsn_stop,
            "wal_start": backup_set.wal_start,
            "wal_stop": backup_set.wal_stop,
            "repository_uri": self.repository_uri,
            "throughput_bytes_per_second": self.throughput_bytes_per_second,
        }
