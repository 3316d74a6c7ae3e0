"""What is asked of a backup run, and what comes of it. Only values; the rows are in ``records``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from ops_platform.backup.repository import BackupSet
from ops_platform.backup.stanza import Kind

LaunchedBy = Literal["dagster", "cli", "agent"]


@dataclass(frozen=True)
class BackupRequest:
    """Who wants which backup. ``root_run_id``: the run that a replay goes back to, else the run itself."""

    stanza: str
    kind: Kind
    run_id: str
    root_run_id: str
    launched_by: LaunchedBy

    @property
    def backup_id(self) -> str:
        return f"{self.stanza}:{self.run_id}"

    @property
    def object(self) -> str:
        """What the audit ledger calls it."""
        return f"stanza/{self.stanza}"


@dataclass(frozen=True)
class BackupReport:
    """A completed run and the set it stands for."""

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
        """Plain values, times in ISO 8601."""
        made = self.backup_set
        return {
            "backup_id": self.backup_id,
            "stanza": self.stanza,
            "requested_kind": self.requested_kind,
            "kind": made.kind,
            "label": made.label,
            "prior": made.prior,
            "adopted": self.adopted,
            "started_at": made.started_at.isoformat(),
            "completed_at": made.completed_at.isoformat(),
            "duration_ms": self.duration_ms,
            "size_bytes": made.size_bytes,
            "delta_bytes": made.delta_bytes,
            "repo_size_bytes": made.repo_size_bytes,
            "repo_delta_bytes": made.repo_delta_bytes,
            "lsn_start": made.lsn_start,
            "lsn_stop": made.lsn_stop,
            "wal_start": made.wal_start,
            "wal_stop": made.wal_stop,
            "repository_uri": self.repository_uri,
            "throughput_bytes_per_second": self.throughput_bytes_per_second,
        }
