"""Observations of a stanza's repository and server, and verdicts on whether it is protected now.

Nothing here changes anything. The agent makes metrics and alerts from these verdicts.
"""

from ops_platform.backup.monitoring.archiver import FAULTS, ArchiveEnd, Archiver, Fault
from ops_platform.backup.monitoring.observation import Observation, Observer, glance, observe
from ops_platform.backup.monitoring.verdict import Verdict
from ops_platform.backup.monitoring.wal_disk import WalDisk
from ops_platform.backup.monitoring.window import Window

__all__ = [
    "FAULTS",
    "ArchiveEnd",
    "Archiver",
    "Fault",
    "Observation",
    "Observer",
    "Verdict",
    "WalDisk",
    "Window",
    "accounts",
    "archiver",
    "contest",
    "freshness",
    "glance",
    "health",
    "observe",
    "repository_lock",
    "status",
    "wal_disk",
    "window",
]
