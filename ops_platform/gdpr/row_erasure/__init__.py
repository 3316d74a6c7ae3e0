"""The erasure of rows: plan, batches, statements, journal, the collateral check and the residue scan."""

from ops_platform.gdpr.row_erasure.engine import Erasing, erase, forget, remaining, residue
from ops_platform.gdpr.row_erasure.journal import Journal

__all__ = [
    "Erasing",
    "Journal",
    "erase",
    "forget",
    "materialised_views",
    "plan",
    "preview",
    "remaining",
    "residue",
]
