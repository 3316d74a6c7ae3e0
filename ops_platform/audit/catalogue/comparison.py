"""The comparison of the catalogue with what the migrations of this version make.

``recorded.json`` beside this file is made from a migrated database by
``python -m ops_platform_tests.audit.catalogue_record``; a test sees to it that it is current.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

from ops_platform.audit.findings import Finding

EPOCH_COLUMN = "column public.audit_events.epoch"
RECORD = Path(__file__).with_name("recorded.json")
_UNREADABLE = re.compile(
    r"public\.audit_(?:events|seals)$|(?:policy|rule|child) .* of public\.audit_(?:events|seals)$"
)


def recorded() -> dict[str, str]:
    """Read the facts by place that the migrations of this version make."""
    facts: dict[str, str] = json.loads(RECORD.read_text(encoding="utf-8"))
    return facts


def compare(facts: Mapping[str, str], expected: Mapping[str, str]) -> list[Finding]:
    """List each place whose fact is missing, not expected, or another one."""
    return [
        Finding(place, what)
        for place in sorted(facts.keys() | expected.keys())
        if (what := _difference(place, facts.get(place), expected.get(place))) is not None
    ]


def forbids_reading(finding: Finding) -> bool:
    """Tell whether what the finding is about decides which rows a query shows, or runs code for it."""
    return _UNREADABLE.match(finding.where) is not None


def _difference(place: str, fact: str | None, expected: str | None) -> str | None:
    if place == EPOCH_COLUMN and fact is not None and expected is not None:
        # Each opening of an epoch raises the default; the chain says to what.
        fact, expected = (re.sub(r"default=\d+$", "default=N", text) for text in (fact, expected))
    if fact == expected:
        return None
    if fact is None:
        return f"is missing: removed, or 'ops-platform migrate' was not run; is made as: {expected}"
    if expected is None:
        return f"was not made by the migrations of this version: {fact}"
    return f"is not as the migrations of this version made it: {fact}, not {expected}"
