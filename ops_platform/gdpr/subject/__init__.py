"""The data subject: key, identifiers, which rows are theirs, and names that somebody else has by now."""

from ops_platform.gdpr.subject.name_reuse import Gone, Times, sparing, successors, taken
from ops_platform.gdpr.subject.row_predicates import Identity, Sparing
from ops_platform.gdpr.subject.subject_key import SubjectKey
from ops_platform.gdpr.subject.templates import filled

__all__ = [
    "Gone",
    "Identity",
    "Sparing",
    "SubjectKey",
    "Times",
    "filled",
    "name_reuse",
    "row_predicates",
    "shared_prefix_guard",
    "sparing",
    "subject_key",
    "successors",
    "taken",
]
