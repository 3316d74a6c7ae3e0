"""The draft of a data map, from the catalogue and, where the role may read, from samples of values.

It never decides: what it guessed is ``undecided`` in the map, with the reason; ``map check`` refuses that.
"""

from ops_platform.gdpr.map_check.draft.kinds_proposal import draft_of_kinds
from ops_platform.gdpr.map_check.draft.map_proposal import draft
from ops_platform.gdpr.map_check.draft.value_look import ValueLook

__all__ = ["ValueLook", "draft", "draft_of_kinds"]
