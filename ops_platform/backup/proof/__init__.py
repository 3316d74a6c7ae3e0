"""Proof that a set can be restored, by what is stored: its files are there, and their bytes are right.

``presence`` and ``files_look`` list; ``rolling`` reads every byte again and again before it expires. Whether
WAL is missing is told by ``backup.wal``, and whether a restored cluster is sound by the exercises in ``dr``.
"""

from ops_platform.backup.proof.files_look import FilesLook, missing_files
from ops_platform.backup.proof.presence import Faults

__all__ = ["Faults", "FilesLook", "missing_files"]
