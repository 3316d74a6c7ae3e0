"""Taking a backup: preflight, run, verification and record, each safe to repeat.

Rows of ``backup_reports`` are written here and nowhere else.
"""

from ops_platform.backup.taking.execution import BackupRequest
from ops_platform.backup.taking.preflight import create_stanza
from ops_platform.backup.taking.report import BackupReport

__all__ = ["BackupReport", "BackupRequest", "create_stanza", "execution", "preflight", "report_store"]
