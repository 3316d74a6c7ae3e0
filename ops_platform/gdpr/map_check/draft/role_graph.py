"""The roles of a draft through which others are found: as many as lead in no circle."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Entries = Mapping[str, Mapping[str, Any]]
"""The entries of ``tables``, by name."""


def widen(entries: Entries) -> None:
    """Add to ``roles`` of each row the parent's other roles that delete, where that leads in no circle.

    Rows that go in a role that is not named would leave rows behind that refer to them.
    """
    for table, entry in entries.items():
        for row in entry.get("rows", ()):
            if "roles" not in row:
                continue
            for parent in entries[row["through"]].get("rows", ()):
                if parent["erase"] != "delete" or parent["role"] in row["roles"]:
                    continue
                row["roles"].append(parent["role"])
                if _leads_to(entries, row, (table, row["role"])):
                    row["roles"].remove(parent["role"])


def _leads_to(entries: Entries, row: Mapping[str, Any], end: tuple[str, str]) -> bool:
    """Tell whether the rows of ``row`` are found by way of the role ``end``."""
    seen, level = set[tuple[str, str]](), list(_parents(entries, row))
    while level:
        table, parent = level.pop()
        place = (table, parent["role"])
        if place == end:
            return True
        if place not in seen:
            seen.add(place)
            level += _parents(entries, parent)
    return False


def _parents(entries: Entries, row: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    table = row.get("through")
    if table is not None:
        for parent in entries[table].get("rows", ()):
            if "roles" not in row or parent["role"] in row["roles"]:
                yield table, parent
