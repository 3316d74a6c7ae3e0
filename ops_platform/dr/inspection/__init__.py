"""The schema, row fingerprints and defects of a database, and the type of a check's result.

Which checks run when is in ``dr.verification``.
"""

from ops_platform.dr.inspection.check_result import (
    CRITICAL,
    RUN,
    SPEED,
    THEFT,
    VERIFICATIONS,
    Check,
    Verification,
    failed,
    missing,
    named,
    run_check,
    run_checks,
    unknown,
    verdict,
)
from ops_platform.dr.inspection.inherent_defects import Defects
from ops_platform.dr.inspection.row_fingerprints import EXACT_ROWS, ClosedRows, LiveTable
from ops_platform.dr.inspection.schema_comparison import Objects

__all__ = [
    "CRITICAL",
    "EXACT_ROWS",
    "RUN",
    "SPEED",
    "THEFT",
    "VERIFICATIONS",
    "Check",
    "ClosedRows",
    "Defects",
    "LiveTable",
    "Objects",
    "Verification",
    "change_mark",
    "failed",
    "inherent_defects",
    "missing",
    "named",
    "row_fingerprints",
    "run_check",
    "run_checks",
    "schema_comparison",
    "unknown",
    "verdict",
]
