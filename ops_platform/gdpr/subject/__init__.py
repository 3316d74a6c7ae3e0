"""The data subject: key, identifiers, which rows are theirs, and names that somebody else has by now.

Not here: what happens to these rows (``gdpr.row_erasure``, ``gdpr.export``).
"""

from ops_platform.gdpr.subject.identity import Identity, folded, is_subject, joint_name
from ops_platform.gdpr.subject.name_reuse import (
    FirstErasure,
    Times,
    reused_names,
    reused_values,
    spared_rows,
    successors,
)
from ops_platform.gdpr.subject.other_kinds import Theirs
from ops_platform.gdpr.subject.row_predicates import SparedRows
from ops_platform.gdpr.subject.subject_key import SubjectKey
from ops_platform.gdpr.subject.templates import fill_placeholders, placeholders

__all__ = [
    "FirstErasure",
    "Identity",
    "SparedRows",
    "SubjectKey",
    "Theirs",
    "Times",
    "constant_sql",
    "fill_placeholders",
    "folded",
    "is_subject",
    "joint_name",
    "name_reuse",
    "other_kinds",
    "others_addresses",
    "placeholders",
    "reused_names",
    "reused_values",
    "row_predicates",
    "shared_prefix_guard",
    "spared_rows",
    "subject_key",
    "successors",
]
