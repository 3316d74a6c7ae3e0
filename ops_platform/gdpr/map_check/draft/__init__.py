"""The draft of a data map, from the catalogue and, where the role may read, from samples of values.

It never decides: what it guessed is ``undecided`` in the map, with the reason; ``map check`` refuses that.
"""

from ops_platform.gdpr.map_check.draft.kinds_proposal import draft_of_kinds
from ops_platform.gdpr.map_check.draft.map_proposal import draft, draft_of_database
from ops_platform.gdpr.map_check.draft.value_look import Subjects, ValueLook

__all__ = ["Subjects", "ValueLook", "draft", "draft_of_database", "draft_of_kinds"]
