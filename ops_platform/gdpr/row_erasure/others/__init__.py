"""Other people's rows: told apart by the catalogue's foreign keys, not the data map; other kinds' by roles.

Not here: what becomes of the subject's own rows (``plan``, ``statements``), and which rows of a table changed
at all (``collateral_check``).
"""

from ops_platform.gdpr.row_erasure.others.anybody import takes
from ops_platform.gdpr.row_erasure.others.decisions import Decisions
from ops_platform.gdpr.row_erasure.others.owners import Ownership, joined
from ops_platform.gdpr.row_erasure.others.reach import Reach
from ops_platform.gdpr.row_erasure.others.register import Recorded, Register, SharedRows
from ops_platform.gdpr.row_erasure.others.telling_apart import join_told, told_apart

__all__ = [
    "Decisions",
    "Ownership",
    "Reach",
    "Recorded",
    "Register",
    "SharedRows",
    "bystanders",
    "join_told",
    "joined",
    "register",
    "takes",
    "told_apart",
]
