"""The page of an export for people: index.html. It needs no program but a browser. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from typing import Any
from urllib.parse import quote

from ops_platform.gdpr.export.overview import Overview, Part
from ops_platform.gdpr.export.page_values import Words, label, value
from ops_platform.gdpr.export.texts import RIGHTS, TEXTS
from ops_platform.gdpr.transparency import disclosure

_STYLE = """
:root{color-scheme:light dark;
--text:#16202c;--soft:#4b5866;--page:#f4f6f8;--card:#fff;--line:#c9d1d9;--link:#1d4ed8;
font:1rem/1.55 system-ui,-apple-system,"Segoe UI",Roboto,Arial,sans-serif}
@media(prefers-color-scheme:dark){:root{--text:#e8edf2;--soft:#aab6c2;--page:#10161d;--card:#1a222c;--line:#3a4654;
--link:#93c5fd}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:60rem;padding:1.5rem 1rem 3rem;background:var(--page);color:var(--text)}
a{color:var(--link)}h1{line-height:1.2;margin:.25rem 0 1rem}
h2{margin:2.5rem 0 .75rem}h3{margin:0;font-size:1.125rem}
.soft{color:var(--soft)}
.part{background:var(--card);border:1px solid var(--line);border-radius:.75rem;margin:0 0 .75rem}
.part>summary{cursor:pointer;padding:.875rem 1rem;display:flex;flex-wrap:wrap;
gap:.125rem 1rem;align-items:baseline}
.part>summary::before{content:"+";font-weight:700;width:1ch}.part[open]>summary::before{content:"\\2013"}
.part>summary h3{flex:1 1 12rem}
.inside{padding:0 1rem 1rem}
.entry{border-top:1px solid var(--line);padding:.75rem 0}
dl{margin:0;display:grid;gap:.5rem 1.5rem;grid-template-columns:repeat(auto-fill,minmax(min(100%,15rem),1fr))}
dl>div{min-width:0}dl>.wide{grid-column:1/-1}
dt{color:var(--soft);font-size:.875rem}dd{margin:0;overflow-wrap:anywhere;white-space:pre-line}
dd dl{border-left:2px solid var(--line);padding-left:.75rem}dd ul{margin:0;padding-left:1.25rem}
img{display:block;max-width:100%;max-height:12rem;border-radius:.375rem}
.tech{margin-top:.5rem;font-size:.875rem}.tech summary{cursor:pointer;color:var(--soft)}
:focus-visible{outline:3px solid var(--link);outline-offset:2px}
@media print{.part{break-inside:avoid}}
"""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' file:"


def index(overview: Overview) -> str:
    """Compose index.html: no scripts, nothing loaded from elsewhere, every text escaped."""
    return "\n".join(_lines(overview)) + "\n"


def _lines(overview: Overview) -> Iterator[str]:
    texts = TEXTS[overview.language]
    title = escape(texts["title"])
    yield f'<!DOCTYPE html>\n<html lang="{overview.language}"><head><meta charset="utf-8">'
    yield f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>{title}</title><style>{_STYLE}</style></head><body><main>"
    yield f"<h1>{title}</h1>"
    yield f"<p>{escape(texts['made'].format(date=overview.now.strftime('%Y-%m-%d %H:%M UTC')))}</p>"
    yield f"<p>{escape(texts['how'])}</p><p>{escape(texts['others'])}</p>"
    yield f"<h2>{escape(texts['contents'])}</h2>"
    filled = [part for part in overview.parts if part.rows or part.files]
    for number, part in enumerate(filled):
        yield from _part(overview, part, is_open=not number)
    empty = [part for part in overview.parts if not (part.rows or part.files)]
    if empty:
        yield f"<h2>{escape(texts['empty'])}</h2><ul>"
        for part in empty:
            yield f"<li>{escape(part.title)} ({escape(part.role)}): {escape(part.purpose)}</li>"
        yield "</ul>"
    yield from _disclosure(overview, texts)
    yield f"<h2>{escape(texts['rights'])}</h2><ul>"
    for article, right in RIGHTS[overview.language]:
        yield f"<li>{escape(article)}: {escape(right)}</li>"
    yield "</ul></main></body></html>"


def _disclosure(overview: Overview, texts: Mapping[str, str]) -> Iterator[str]:
    """Write what the map states of the processing; what it leaves out is left out."""
    told = disclosure.statement(overview.data_map)
    if "controller" in told:
        who = told["controller"]
        lines = [who["name"], *([who["address"]] if "address" in who else [])]
        lines += [
            texts[name].format(**{name: who[name]})
            for name in ("contact", "representative", "dpo")
            if name in who
        ]
        if "supervisory_authority" in told:
            lines.append(texts["supervisory_authority"].format(authority=told["supervisory_authority"]))
        yield _listed(texts["controller"], lines)
    if told.get("sources"):
        yield _listed(texts["sources"], told["sources"])
    yield _listed(
        texts["recipients"],
        [
            f"{recipient['name']}: {recipient['purpose']}"
            + (f" ({recipient['contact']})" if "contact" in recipient else "")
            for recipient in told["recipients"]
        ]
        or [texts["no-recipients"]],
    )
    for name in ("third_countries", "automated_decisions"):
        if name in told:
            items = [" · ".join(item.values()) for item in told[name]]
            yield _listed(texts[name], items or [texts[f"no-{name}"]])


def _listed(title: str, items: Iterable[str]) -> str:
    return f"<h2>{escape(title)}</h2><ul>{''.join(f'<li>{escape(item)}</li>' for item in items)}</ul>"


def _part(overview: Overview, part: Part, *, is_open: bool) -> Iterator[str]:
    texts = TEXTS[overview.language]
    count = texts["entries"].format(count=part.rows) if part.rows else texts["files"].format(count=part.files)
    yield f'<details class="part"{" open" if is_open else ""}><summary><h3>{escape(part.title)}</h3>'
    yield f'<span class="soft">{escape(part.role)} · {escape(count)}</span></summary><div class="inside">'
    if part.purpose.rstrip(".") != part.title:
        yield f"<p>{escape(part.purpose)}</p>"
    facts = [texts["shared"]] if part.shared else []
    if part.retention:
        facts.append(f"{texts['retention']}: {part.retention}")
    path = part.entry.path if part.entry else f"{part.folder}/"
    yield f'<p class="soft">{escape(" ".join(facts))} <a href="{escape(quote(path))}">{escape(path)}</a></p>'
    if part.rows > len(part.first):
        yield f"<p>{escape(texts['first'].format(shown=len(part.first), rows=part.rows))}</p>"
    words = Words(texts["yes"], texts["no"], texts["binary"])
    for number, row in enumerate(part.first):
        yield f'<div class="entry">{_entry(part, number, row, words, texts["technical"])}</div>'
    yield "</div></details>"


def _entry(part: Part, number: int, row: Mapping[str, Any], words: Words, technical_title: str) -> str:
    plain = [name for name in row if name not in part.technical]
    technical = [name for name in row if name in part.technical]
    # Rows that have nothing but technical columns would be empty.
    shown, hidden = (plain, technical) if _has_values(row, plain) else (list(row), [])
    html = _facts(part, number, row, shown, words)
    if _has_values(row, hidden):
        inner = _facts(part, number, row, hidden, words)
        html += f'<details class="tech"><summary>{escape(technical_title)}</summary>{inner}</details>'
    return html


def _has_values(row: Mapping[str, Any], names: Iterable[str]) -> bool:
    return any(not _is_empty(row[name]) for name in names)


def _is_empty(content: Any) -> bool:
    return content is None or content in ("", [], {})


def _facts(part: Part, number: int, row: Mapping[str, Any], names: Sequence[str], words: Words) -> str:
    groups = []
    for name in names:
        if _is_empty(row[name]):
            continue
        picture = part.pictures.get((number, name))
        title = part.titles.get(name) or label(name)
        if picture:
            url = escape(quote(picture))
            shown = f'<a href="{url}"><img src="{url}" alt="{escape(title)}"></a>'
        else:
            shown = value(row[name], words, is_binary=name in part.binary)
        wide = ' class="wide"' if len(shown) > 120 and not picture else ""
        groups.append(f"<div{wide}><dt>{escape(title)}</dt><dd>{shown}</dd></div>")
    return f"<dl>{''.join(groups)}</dl>"
