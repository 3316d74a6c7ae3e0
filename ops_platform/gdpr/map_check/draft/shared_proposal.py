"""The draft's proposals of what becomes of rows that a second subject can reach, too.

An erasure refuses them as long as the map says nothing: so the draft asks beforehand, wherever the catalogue
shows that there may be any.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ops_platform.errors import ConfigurationError
from ops_platform.gdpr.data_map import UNDECIDED, Delete, parser
from ops_platform.gdpr.row_erasure import others
from ops_platform.gdpr.schema import Catalogue
from ops_platform.gdpr.subject import Identity
from ops_platform.lined_yaml import Document

SHOWN = 2
"""Ways in which others reach the rows that a proposal names."""


def propose(document: dict[str, Any], catalogue: Catalogue) -> None:
    """Add ``shared`` to the roles of a drafted map whose rows others may reach, for people to confirm."""
    try:
        data_map = parser.parse(Document(Path("draft"), document, {}))
    except ConfigurationError:
        # The draft is for people all the same, and map check names the fault, with its line.
        return
    nobody = Identity(dict.fromkeys(data_map.subject.columns))
    rows = {
        (name, row["role"]): row
        for name, entry in document["tables"].items()
        for row in entry.get("rows", ())
    }
    for table, belonging, ways in others.register.possible(others.Reach(data_map, catalogue, nobody)):
        row = rows[str(table), belonging.role]
        deletes = isinstance(belonging.erasure, Delete)
        row["shared"] = "delete" if deletes else "stand_in"
        shown = ", ".join(way.text for way in ways[:SHOWN])
        says = "take such rows from them, too" if deletes else "set its columns there, too"
        asked = f"may also be {shown}; is it right to {says}"
        guess = row.get("undecided", "").removeprefix(f"{UNDECIDED}: ").removesuffix("?")
        row["undecided"] = f"{UNDECIDED}: {f'{guess}? and ' if guess else ''}{asked}?"
