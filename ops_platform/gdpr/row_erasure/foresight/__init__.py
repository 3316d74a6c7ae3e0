"""The proof before an erasure: what it would leave is found while it can still be decided.

Not here: the search itself (``residue_scan``), and what an erasure leaves on purpose
(``residue_exemptions``).
"""

from ops_platform.gdpr.row_erasure.foresight.after_image import AfterImage
from ops_platform.gdpr.row_erasure.foresight.outlook import AcceptedPlace, Outlook
from ops_platform.gdpr.row_erasure.foresight.uncovered import Foresight, Uncovered, foresee, foresee_each

__all__ = [
    "AcceptedPlace",
    "AfterImage",
    "Foresight",
    "Outlook",
    "Uncovered",
    "foresee",
    "foresee_each",
    "outlook",
]
