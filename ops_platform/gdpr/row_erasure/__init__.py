"""The erasure of rows: plan, batches, statements, journal, collateral check and residue scan.

Tombstones, objects, caches and certificates are not known here.
"""

from ops_platform.gdpr.row_erasure.batch import snapshot
from ops_platform.gdpr.row_erasure.collateral_check import Spread
from ops_platform.gdpr.row_erasure.engine import (
    RowErasure,
    Searched,
    erase,
    find_shared,
    forget,
    left_to_others,
    refuse_unredactable,
    remaining,
    residue,
    search,
    search_each,
    searching,
    unredactable,
)
from ops_platform.gdpr.row_erasure.foresight import Foresight, foresee, foresee_each
from ops_platform.gdpr.row_erasure.journal import Journal
from ops_platform.gdpr.row_erasure.residue_scan import Residue

__all__ = [
    "Foresight",
    "Journal",
    "Residue",
    "RowErasure",
    "Searched",
    "Spread",
    "collateral_check",
    "erase",
    "exempt_places",
    "find_shared",
    "foresee",
    "foresee_each",
    "foresight",
    "forget",
    "left_to_others",
    "materialised_views",
    "others",
    "plan",
    "preview",
    "redaction",
    "refuse_unredactable",
    "remaining",
    "residue",
    "search",
    "search_each",
    "searching",
    "snapshot",
    "unredactable",
]
