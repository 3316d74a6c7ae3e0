"""pgBackRest's commands, exit codes and log, and the layout of its repository.

Reports, locks and retention are not known here.
"""

from ops_platform.clients.pgbackrest.command import LABEL_NOT_NEWEST, LOCKED, PgBackRest, PgBackRestError
from ops_platform.clients.pgbackrest.layout import Layout, SegmentFile
from ops_platform.clients.pgbackrest.log_lines import ArchiveRange

__all__ = [
    "LABEL_NOT_NEWEST",
    "LOCKED",
    "ArchiveRange",
    "Layout",
    "PgBackRest",
    "PgBackRestError",
    "SegmentFile",
    "layout",
    "log_lines",
    "supported_servers",
]
