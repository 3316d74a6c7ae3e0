"""The spellings of an identifier in stored values, and the SQL that finds and replaces them.

The residue scan, rows found by a mention, and their redaction use the same matching. Which rows belong to
whom is not known here.
"""

from ops_platform.gdpr.spellings.column_test import Kind, Sought
from ops_platform.gdpr.spellings.lexemes import Lexemes
from ops_platform.gdpr.spellings.searched_values import MIN_LENGTH, is_email, is_uuid, mailbox, why_skipped
from ops_platform.gdpr.spellings.text_pattern import OTHERS, expression, replaceable

__all__ = [
    "MIN_LENGTH",
    "OTHERS",
    "Kind",
    "Lexemes",
    "Sought",
    "expression",
    "is_email",
    "is_uuid",
    "lexemes",
    "mailbox",
    "replaceable",
    "row_look",
    "why_skipped",
]
