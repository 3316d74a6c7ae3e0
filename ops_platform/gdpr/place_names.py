"""Prefixes and patterns of the data map with a subject's own values in them."""

from __future__ import annotations

import re

from ops_platform.gdpr.subject_rows import Identity

_PLACE = re.compile(r"\{([^{}]*)\}")


def filled(pattern: str, who: Identity) -> str | None:
    """``creators/{id}/`` with the subject's id; None when the subject lacks an identifier that is in it."""
    if any(name not in who.values for name in _PLACE.findall(pattern)):
        return None
    return _PLACE.sub(lambda found: str(who.values[found.group(1)]), pattern)
