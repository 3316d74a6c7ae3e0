"""Arithmetic of write-ahead log: positions and segments, timelines, the gaps of an archive.

Pure, without any input or output: the archive is listed in ``backup.repository``.
"""

from ops_platform.backup.wal.gaps import ArchiveState, Gap, Run, archive_state, runs_of, runs_of_numbers
from ops_platform.backup.wal.positions import (
    DEFAULT_SEGMENT_SIZE,
    SEGMENT_SIZES,
    Geometry,
    Segment,
    format_lsn,
    infer_geometry,
    parse_lsn,
)
from ops_platform.backup.wal.timelines import History, Lineage, Written

__all__ = [
    "DEFAULT_SEGMENT_SIZE",
    "SEGMENT_SIZES",
    "ArchiveState",
    "Gap",
    "Geometry",
    "History",
    "Lineage",
    "Run",
    "Segment",
    "Written",
    "archive_state",
    "format_lsn",
    "infer_geometry",
    "parse_lsn",
    "runs_of",
    "runs_of_numbers",
]
