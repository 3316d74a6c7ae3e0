"""The facts of one export, and the files that explain it to programs: about.json and manifest.json. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ops_platform.gdpr.data_map import DataMap
from ops_platform.gdpr.export.texts import RIGHTS, TEXTS
from ops_platform.gdpr.export.zip_archive import Entry
from ops_platform.gdpr.requests import Language
from ops_platform.gdpr.transparency import disclosure

FORMAT = "ops-platform-export/1"


@dataclass
class Part:
    """The rows of one table in one role, or the objects of one prefix.

    ``title``, ``titles``: names for people, of the whole and of columns. ``technical``: columns that the page
    shows only when asked; ``binary``: columns in base64. ``pictures``: the files of images among the first
    rows, by the row's number and the column.
    """

    place: str
    role: str
    purpose: str
    retention: str
    title: str
    titles: Mapping[str, str] = field(default_factory=dict)
    technical: frozenset[str] = frozenset()
    binary: frozenset[str] = frozenset()
    shared: bool = False
    rows: int = 0
    files: int = 0
    entry: Entry | None = None
    """The file of the rows; None when there are no rows."""
    folder: str | None = None
    first: list[dict[str, Any]] = field(default_factory=list)
    pictures: dict[tuple[int, str], str] = field(default_factory=dict)
    schema: Mapping[str, Any] = field(default_factory=dict)
    """The JSON schema of a row."""


@dataclass(frozen=True)
class Overview:
    """Facts of one export for all its files; ``now``: when it was made."""

    data_map: DataMap
    parts: Sequence[Part]
    language: Language
    now: datetime
    request_id: str | None


def about(overview: Overview) -> dict[str, Any]:
    """Compose about.json: what Art. 15(1) GDPR requires beside the data themselves."""
    purposes: dict[tuple[str, str, str], None] = {
        (part.place, part.purpose, part.retention): None for part in overview.parts
    }
    return {
        "made_at": overview.now.isoformat(),
        "data": [
            {"place": place, "purpose": purpose, **({"retention": retention} if retention else {})}
            for place, purpose, retention in purposes
        ],
        **disclosure.statement(overview.data_map),
        "rights": [{"article": article, "right": right} for article, right in RIGHTS[overview.language]],
        "explanation": [TEXTS[overview.language]["how"], TEXTS[overview.language]["others"]],
    }


def manifest(overview: Overview, entries: Iterable[Entry]) -> dict[str, Any]:
    """Compose manifest.json: every part, also those without rows, and every file but the manifest."""
    part_of = {part.entry.path: part for part in overview.parts if part.entry}
    return {
        "format": FORMAT,
        "made_at": overview.now.isoformat(),
        "request_id": overview.request_id,
        "subject": overview.data_map.subject.kind,
        "map_version": overview.data_map.version,
        "parts": [
            {
                "place": part.place,
                "role": part.role,
                **({"files": part.files} if part.folder else {"rows": part.rows}),
                "shared": part.shared,
            }
            for part in overview.parts
        ],
        "files": [
            {
                "path": entry.path,
                "bytes": entry.bytes,
                "sha256": entry.sha256,
                **({"rows": part_of[entry.path].rows} if entry.path in part_of else {}),
            }
            for entry in entries
        ],
    }
