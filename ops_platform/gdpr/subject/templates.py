"""Prefixes and patterns of the data map with a subject's own values in them."""

from __future__ import annotations

import re

from ops_platform.gdpr.subject.identity import Identity

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")


def placeholders(template: str) -> list[str]:
    """List the identifiers that a prefix or pattern names."""
    return _PLACEHOLDER.findall(template)


def fill_placeholders(pattern: str, identity: Identity) -> str | None:
    """Fill ``creators/{id}/`` with the subject's id; None when the subject lacks an identifier.

    An empty identifier counts as lacking: the result would match everybody's.
    """
    if any(str(identity.values.get(name, "")) == "" for name in _PLACEHOLDER.findall(pattern)):
        return None
    return _PLACEHOLDER.sub(lambda placeholder: str(identity.values[placeholder.group(1)]), pattern)
