"""The data subject: key, identifiers, the rows that are theirs, and names that somebody else has by now."""

from ops_platform.gdpr.subject.name_reuse import Gone, Times, spared_rows, successors, taken
from ops_platform.gdpr.subject.row_predicates import Identity, SparedRows
from ops_platform.gdpr.subject.subject_key import SubjectKey
from ops_platform.gdpr.subject.templates import filled

__all__ = [
    "Gone",
    "Identity",
    "SparedRows",
    "SubjectKey",
    "Times",
    "filled",
    "name_reuse",
    "row_predicates",
    "shared_prefix_guard",
    "spared_rows",
    "subject_key",
    "successors",
    "taken",
]
