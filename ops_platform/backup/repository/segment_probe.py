"""Probe of one archived segment, asked for by the name that only its bytes give.

pgBackRest puts the SHA-1 of a segment into the name of its object. Where the server's own file can be read,
one HEAD tells that these bytes have arrived. A listing costs twelve times as much and reads names.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from ops_platform.backup.repository.backup_sets import Database
from ops_platform.backup.repository.segment_objects import fault_of
from ops_platform.backup.repository.stored_files import StoredFiles
from ops_platform.backup.stanza import BackupContext
from ops_platform.backup.wal import Geometry
from ops_platform.clients.pgbackrest import SegmentFile, StoredEntry, layout

MOST_BYTES = 64 << 20
"""Larger segments are not read for this: each takes a tenth of a second of CPU."""


def find(
    ctx: BackupContext, stored: StoredFiles, database: Database, segment: str, geometry: Geometry
) -> StoredEntry | None:
    """Find the object of the segment ``segment`` as the server's own file of it is now.

    None where there is no such file here (any more), or no usable object of its bytes: a listing tells more.
    Raises the store's errors.
    """
    checksum = _checksum(ctx.stanza.data_dir(ctx.settings) / "pg_wal" / segment, geometry.size)
    if checksum is None:
        return None
    codec = ctx.stanza.compression.type
    file = SegmentFile(segment, checksum, None if codec == "none" else codec)
    folder = ctx.pgbackrest.layout.folder(database.archive_id, layout.folder_of(segment))
    head = stored.head(f"{folder}/{file.name}")
    if head is None:
        return None
    entry = StoredEntry(True, head.size, int(head.modified_at.timestamp()))
    return entry if fault_of([(file, entry)], geometry) is None else None


def _checksum(path: Path, size: int) -> str | None:
    """Compute the SHA-1 of a segment's file; None where it cannot be read or is no whole segment.

    The server gives the file another name when it uses it again, so what is read under this one is this one.
    """
    if size > MOST_BYTES:
        return None
    try:
        body = path.read_bytes()
    except OSError:
        return None
    return hashlib.sha1(body, usedforsecurity=False).hexdigest() if len(body) == size else None
