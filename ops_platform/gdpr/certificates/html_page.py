"""The page of a certificate, to be read rather than checked: one file, no scripts. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from typing import Any

from ops_platform.gdpr.certificates.document import Issued
from ops_platform.gdpr.certificates.page_texts import TEXTS

_STYLE = """
:root{color-scheme:light dark;--text:#16202c;--soft:#4b5866;--page:#f4f6f8;--card:#fff;--line:#c9d1d9;
font:1rem/1.55 system-ui,-apple-system,"Segoe UI",Roboto,Arial,sans-serif}
@media(prefers-color-scheme:dark){:root{--text:#e8edf2;--soft:#aab6c2;--page:#10161d;--card:#1a222c;--line:#3a4654}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:52rem;padding:1.5rem 1rem 3rem;background:var(--page);color:var(--text)}
h1{line-height:1.2}h2{margin:2rem 0 .5rem;font-size:1.25rem}
dl{margin:0;display:grid;gap:.5rem 1.5rem;grid-template-columns:repeat(auto-fill,minmax(min(100%,16rem),1fr))}
dl>div{min-width:0}dt{color:var(--soft);font-size:.875rem}dd{margin:0;overflow-wrap:anywhere}
.wide{overflow-x:auto}table{border-collapse:collapse;width:100%;background:var(--card)}
th,td{border:1px solid var(--line);padding:.375rem .5rem;text-align:left;overflow-wrap:anywhere}
td.number{text-align:right}
@media print{tr{break-inside:avoid}}
"""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def page(issued: Issued, language: str) -> str:
    """Compose the page of a certificate of any format; what an old one does not say is left out."""
    return "\n".join(_lines(json.loads(issued.document), issued.file_name, TEXTS[language], language)) + "\n"


def _lines(said: Mapping[str, Any], file_name: str, texts: Mapping[str, str], language: str) -> Iterator[str]:
    title = escape(texts["title"])
    yield f'<!DOCTYPE html>\n<html lang="{language}"><head><meta charset="utf-8">'
    yield f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>{title}</title><style>{_STYLE}</style></head><body><main><h1>{title}</h1>"
    yield f"<p>{escape(texts['intro'].format(file=file_name))}</p>"
    yield _terms(_facts(said, texts))
    fields = ("before", "changed", "after")
    yield f'<h2>{escape(texts["what"])}</h2><div class="wide" tabindex="0"><table><thead><tr>'
    yield "".join(f'<th scope="col">{escape(texts[name])}</th>' for name in ("store", "action", *fields))
    yield "</tr></thead><tbody>"
    for effect in said["effects"]:
        numbers = "".join(f'<td class="number">{int(effect[name])}</td>' for name in fields)
        yield f"<tr><td>{escape(effect['place'])}</td><td>{escape(effect['action'])}</td>{numbers}</tr>"
    yield "</tbody></table></div>"
    for name, items in _lists(said, texts):
        if items:
            yield f"<h2>{escape(texts[name])}</h2><ul>"
            yield "".join(f"<li>{escape(item)}</li>" for item in items) + "</ul>"
    yield "</main></body></html>"


def _facts(said: Mapping[str, Any], texts: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    controller = said.get("controller") or {}
    if controller:
        values = {"name": None, **controller}.values()  # the name first
        parts = [part for part in values if isinstance(part, str) and part]
        yield texts["controller"], ", ".join(parts)
    yield texts["request"], said["request_id"]
    yield texts["certificate"], said["certificate_id"]
    for name in ("received", "confirmed", "due", "done", "issued"):
        if said.get(f"{name}_at"):
            yield texts[name], _moment(said[f"{name}_at"])
    yield texts["expires"], _moment(said["last_backup_expires_at"])
    for database in said.get("databases", ()):
        yield (
            texts["database"],
            f"{database['database']} ({database['stanza'] or texts['unknown']}, "
            f"{database['system_identifier']}, PostgreSQL {database['server_version']})",
        )
        if "last_backup_expires_at" in database:
            at = database["last_backup_expires_at"]
            yield f"{texts['expires']} ({database['name']})", _moment(at) if at else texts["unknown"]
    yield texts["map"], said.get("map_sha256") or said["map_version"]


def _lists(said: Mapping[str, Any], texts: Mapping[str, str]) -> Iterable[tuple[str, Sequence[str]]]:
    yield (
        "kept",
        [
            f"{kept['table']}: {kept['rows']} {texts['rows']}; {kept['basis']}; {kept['term']}"
            for kept in said["kept_by_law"]
            if kept["rows"]
        ],
    )
    yield (
        "accepted",
        [
            f"{place['place']}: {place['rows']} {texts['rows']}; {place['because']}"
            for place in said.get("accepted", ())
        ],
    )
    if searched := said.get("searched"):
        yield (
            "searched",
            [
                texts["columns"].format(
                    columns=sum(len(names) for names in searched["columns"].values()),
                    tables=len(searched["columns"]),
                    names=", ".join(searched["identifiers"]) or texts["unknown"],
                )
            ],
        )
    yield "not_searched", [f"{name}: {why}" for name, why in said.get("not_searched", {}).items()]
    yield (
        "processors",
        [
            f"{processor['name']} ({processor['purpose']}): "
            + texts["told"].format(
                told=_moment(processor["told_at"]) if processor["told_at"] else texts["never"],
                answered=(
                    _moment(processor["acknowledged_at"]) if processor["acknowledged_at"] else texts["never"]
                ),
            )
            for processor in said.get("processors", ())
        ],
    )
    yield "limits", said["limits"]


def _terms(facts: Iterable[tuple[str, str]]) -> str:
    terms = [f"<div><dt>{escape(name)}</dt><dd>{escape(text)}</dd></div>" for name, text in facts]
    return f"<dl>{''.join(terms)}</dl>"


def _moment(text: str) -> str:
    return datetime.fromisoformat(text).astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
