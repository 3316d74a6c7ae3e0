"""pgBackRest's commands, exit codes and log, the layout of its repository and the manifests in it.

Reports, locks and retention are not known here.
"""

from ops_platform.clients.pgbackrest import abilities
from ops_platform.clients.pgbackrest.answers import BackupEntry, StanzaInfo, StoredEntry, TablespaceEntry
from ops_platform.clients.pgbackrest.command import LABEL_NOT_NEWEST, LOCKED, PgBackRest, PgBackRestError
from ops_platform.clients.pgbackrest.decryption import archive_passphrase, decrypt
from ops_platform.clients.pgbackrest.exit_codes import CRYPTO
from ops_platform.clients.pgbackrest.layout import Layout, SegmentFile
from ops_platform.clients.pgbackrest.log_lines import ArchiveRange
from ops_platform.clients.pgbackrest.manifest import Manifest, StoredFile, StoredObject, checked_lines

__all__ = [
    "CRYPTO",
    "LABEL_NOT_NEWEST",
    "LOCKED",
    "ArchiveRange",
    "BackupEntry",
    "Layout",
    "Manifest",
    "PgBackRest",
    "PgBackRestError",
    "SegmentFile",
    "StanzaInfo",
    "StoredEntry",
    "StoredFile",
    "StoredObject",
    "TablespaceEntry",
    "abilities",
    "archive_passphrase",
    "checked_lines",
    "decrypt",
    "layout",
    "log_lines",
    "supported_servers",
]
