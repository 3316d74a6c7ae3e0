"""Proof that a set can be restored, by what is stored: its files are there, and their bytes are right.

``presence`` and ``files_look`` list; ``rolling`` reads every byte again and again before it expires. Whether
WAL is missing is told by ``backup.wal``, and whether a restored cluster is sound by the exercises in ``dr``.
"""

from ops_platform.backup.proof.files_look import (
    OLDER_FILES_SECONDS,
    FilesLook,
    damage_of_segments,
    damage_of_sets,
)
from ops_platform.backup.proof.presence import Faults
from ops_platform.backup.proof.read_store import Summary

__all__ = [
    "OLDER_FILES_SECONDS",
    "Faults",
    "FilesLook",
    "Summary",
    "damage_of_segments",
    "damage_of_sets",
    "read_store",
    "reading_plan",
    "rolling",
]
