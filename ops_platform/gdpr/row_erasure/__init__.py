"""The erasure of rows: plan, batches, statements, journal, collateral check and residue scan.

Tombstones, objects, caches and certificates are not known here.
"""

from ops_platform.gdpr.row_erasure.engine import RowErasure, erase, forget, remaining, residue
from ops_platform.gdpr.row_erasure.journal import Journal

__all__ = [
    "Journal",
    "RowErasure",
    "erase",
    "forget",
    "materialised_views",
    "plan",
    "preview",
    "remaining",
    "residue",
]
