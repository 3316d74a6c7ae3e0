"""Prefixes and patterns of the data map with a subject's own values in them."""

from __future__ import annotations

import re

from ops_platform.gdpr.subject.row_predicates import Identity

_PLACE = re.compile(r"\{([^{}]*)\}")


def filled(pattern: str, who: Identity) -> str | None:
    """``creators/{id}/`` with the subject's id; None when the subject lacks an identifier that is in it.

    An empty one is none: it would lead to everybody's.
    """
    if any(str(who.values.get(name, "")) == "" for name in _PLACE.findall(pattern)):
        return None
    return _PLACE.sub(lambda found: str(who.values[found.group(1)]), pattern)
