"""Questions to a restored server: schema, row fingerprints, defects that PostgreSQL itself can tell.

Each answer is a check result. Which questions are asked when is in ``dr.verification``.
"""

from ops_platform.dr.inspection.check_result import (
    CRITICAL,
    RUN,
    SPEED,
    VERIFICATIONS,
    Rung,
    Verification,
    ask,
    climb,
    failed,
    missing,
    named,
    unknown,
    verdict,
)
from ops_platform.dr.inspection.inherent_defects import Weak
from ops_platform.dr.inspection.row_fingerprints import EXACT_ROWS, Closed, Live
from ops_platform.dr.inspection.schema_comparison import Objects

__all__ = [
    "CRITICAL",
    "EXACT_ROWS",
    "RUN",
    "SPEED",
    "VERIFICATIONS",
    "Closed",
    "Live",
    "Objects",
    "Rung",
    "Verification",
    "Weak",
    "ask",
    "climb",
    "failed",
    "inherent_defects",
    "missing",
    "named",
    "row_fingerprints",
    "schema_comparison",
    "unknown",
    "verdict",
]
