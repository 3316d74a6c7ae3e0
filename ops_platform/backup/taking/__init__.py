"""Taking a backup: preflight, run, verification and record, each safe to repeat.

Rows of ``backup_reports`` are written here and nowhere else.
"""

from ops_platform.backup.taking.execution import Backup, BackupRequest, Phase, RecordReport, TakeSet
from ops_platform.backup.taking.preflight import create_stanza
from ops_platform.backup.taking.report import BackupReport

__all__ = [
    "Backup",
    "BackupReport",
    "BackupRequest",
    "Phase",
    "RecordReport",
    "TakeSet",
    "create_stanza",
    "execution",
    "precedence",
    "preflight",
    "recorded_sets",
    "report_store",
    "stanza_upgrade",
]
