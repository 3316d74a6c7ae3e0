"""Contents of a stanza's repository: backup sets with their chains, and the archive of write-ahead log.

They are read from pgBackRest here, and judged in ``monitoring`` and ``recovery_point``.
"""

from ops_platform.backup.repository.archive_reader import ArchiveReader
from ops_platform.backup.repository.backup_sets import BackupSet, Database, Repository
from ops_platform.backup.repository.kept_index import KeptIndex
from ops_platform.backup.repository.segment_folders import ArchivedSegment
from ops_platform.backup.repository.stored_files import ListedFile, StoredFiles, without_manifest
from ops_platform.backup.repository.wal_archive import (
    Archive,
    geometry_of,
    needed_segments,
)

__all__ = [
    "Archive",
    "ArchiveReader",
    "ArchivedSegment",
    "BackupSet",
    "Database",
    "KeptIndex",
    "ListedFile",
    "Repository",
    "StoredFiles",
    "geometry_of",
    "index_files",
    "needed_segments",
    "place_token",
    "repair",
    "segment_probe",
    "without_manifest",
]
