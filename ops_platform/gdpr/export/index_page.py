"""The files that explain an export: about.json, manifest.json and a page for people. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from html import escape
from typing import Any
from urllib.parse import quote

from ops_platform.gdpr.data_map import DataMap
from ops_platform.gdpr.export.texts import RIGHTS, TEXTS
from ops_platform.gdpr.export.zip_archive import Entry
from ops_platform.gdpr.requests import Language

FORMAT = "ops-platform-export/1"
LONGEST_CELL = 200
"""Characters of a value that a cell shows."""
_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1a1a1a}"
    "table{border-collapse:collapse;display:block;overflow-x:auto;margin:.5rem 0}"
    "th,td{border:1px solid #bbb;padding:.25rem .5rem;text-align:left;vertical-align:top}"
    "th{background:#f2f2f2}td{overflow-wrap:anywhere}h3{margin-top:2rem}"
)


@dataclass
class Part:
    """The rows of one table in one role, or the objects of one prefix."""

    place: str
    role: str
    purpose: str
    retention: str
    shared: bool = False
    rows: int = 0
    files: int = 0
    entry: Entry | None = None
    """The file of the rows; None when there are no rows."""
    folder: str | None = None
    first: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class Overview:
    """Facts of one export for all three files; ``now``: when it was made."""

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
        "recipients": [
            {"name": processor.name, "purpose": processor.purpose, "contact": processor.email}
            for processor in overview.data_map.processors
        ],
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


def index(overview: Overview) -> str:
    """Compose index.html: no scripts, nothing loaded from elsewhere, every text escaped."""
    return "\n".join(_lines(overview)) + "\n"


def _lines(overview: Overview) -> Iterator[str]:
    texts = TEXTS[overview.language]
    title = escape(texts["title"])
    yield (
        f'<!DOCTYPE html>\n<html lang="{overview.language}"><head><meta charset="utf-8">'
        f"<title>{title}</title>"
    )
    yield (
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body>'
    )
    yield f"<h1>{title}</h1>"
    yield f"<p>{escape(texts['made'].format(date=overview.now.strftime('%Y-%m-%d %H:%M UTC')))}</p>"
    yield f"<p>{escape(texts['how'])}</p><p>{escape(texts['others'])}</p>"
    yield f"<h2>{escape(texts['contents'])}</h2>"
    yield _table(
        [texts[name] for name in ("file", "role", "count", "purpose", "retention")],
        [
            [_link(part, texts["nothing"])]
            + [
                escape(text)
                for text in (part.role, str(part.rows + part.files), part.purpose, part.retention)
            ]
            for part in overview.parts
        ],
    )
    for part in overview.parts:
        if part.first:
            yield f"<h3>{escape(part.place)}: {escape(part.role)}</h3>"
            if part.shared:
                yield f"<p>{escape(texts['shared'])}</p>"
            counted = texts["first"].format(shown=len(part.first), rows=part.rows)
            yield f"<p>{escape(counted)}</p>"
            names = list(part.first[0])
            yield _table(names, [[_cell(row.get(name)) for name in names] for row in part.first])
    yield f"<h2>{escape(texts['recipients'])}</h2><ul>"
    for processor in overview.data_map.processors:
        yield f"<li>{escape(processor.name)}: {escape(processor.purpose)} ({escape(processor.email)})</li>"
    if not overview.data_map.processors:
        yield f"<li>{escape(texts['no-recipients'])}</li>"
    yield f"</ul><h2>{escape(texts['rights'])}</h2><ul>"
    for article, right in RIGHTS[overview.language]:
        yield f"<li>{escape(article)}: {escape(right)}</li>"
    yield "</ul></body></html>"


def _table(names: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Compose an HTML table; ``names`` are texts to escape, cells are HTML."""
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in names)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _link(part: Part, nothing: str) -> str:
    path = part.entry.path if part.entry else part.folder + "/" if part.folder and part.files else None
    if path is None:
        return f"{escape(part.place)} ({escape(nothing)})"
    return f'<a href="{escape(quote(path))}">{escape(part.place)}</a>'


def _cell(value: Any) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return escape(text if len(text) <= LONGEST_CELL else text[:LONGEST_CELL] + "…")
