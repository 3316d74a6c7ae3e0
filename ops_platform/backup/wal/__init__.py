"""Arithmetic of write-ahead log: positions and segments, timelines, the gaps of an archive.

Pure, without any input or output: the archive is listed in ``backup.repository``.
"""

from ops_platform.backup.wal.gaps import ArchiveState, Gap, archive_state
from ops_platform.backup.wal.positions import (
    DEFAULT_SEGMENT_SIZE,
    SEGMENT_SIZES,
    Geometry,
    Segment,
    format_lsn,
    infer_geometry,
    parse_lsn,
)
from ops_platform.backup.wal.timelines import History, Lineage

__all__ = [
    "DEFAULT_SEGMENT_SIZE",
    "SEGMENT_SIZES",
    "ArchiveState",
    "Gap",
    "Geometry",
    "History",
    "Lineage",
    "Segment",
    "archive_state",
    "format_lsn",
    "infer_geometry",
    "parse_lsn",
]
