"""Names and values of columns as people read them, as HTML. Pure."""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from html import escape
from typing import Any

LONGEST_VALUE = 1000
"""Characters of a text that are shown; the file has all of it."""
DEEPEST_VALUE = 20
"""Levels of lists within lists that are shown as such. PostgreSQL stores thousands, and Python cannot."""
_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d(:?\d\d)?)?")
_PICTURES = {
    b"\x89PNG\r\n\x1a\n": "png",
    b"\xff\xd8\xff": "jpg",
    b"GIF87a": "gif",
    b"GIF89a": "gif",
}


@dataclass(frozen=True)
class Words:
    """The words of a language that stand in values; ``binary`` with ``{bytes}`` in it."""

    yes: str
    no: str
    binary: str


def label(name: str) -> str:
    """Write the name of a table, column or member as people do: ``creatorId``: Creator id."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name.rpartition(".")[2])
    text = re.sub(r"[_\s-]+", " ", words).strip()
    if not text.isupper() and not re.search(r"[A-Z].* [A-Z]", text):
        text = text.lower()
    return text[:1].upper() + text[1:]


def value(content: Any, words: Words, *, is_binary: bool = False, depth: int = 0) -> str:
    """Write a value of a row as HTML; objects and lists as lists within, below DEEPEST_VALUE as JSON."""
    if depth >= DEEPEST_VALUE and isinstance(content, dict | list):
        try:
            return escape(_shortened(json.dumps(content, ensure_ascii=False)))
        except RecursionError:
            return "…"
    inside = partial(value, words=words, depth=depth + 1)
    if isinstance(content, bool):
        return escape(words.yes if content else words.no)
    if isinstance(content, dict):
        groups = "".join(
            f"<div><dt>{escape(label(str(name)))}</dt><dd>{inside(inner)}</dd></div>"
            for name, inner in content.items()
            if inner is not None
        )
        return f"<dl>{groups}</dl>" if groups else ""
    if isinstance(content, list):
        if all(not isinstance(inner, dict | list) for inner in content):
            return ", ".join(inside(inner) for inner in content if inner is not None)
        return f"<ul>{''.join(f'<li>{inside(inner)}</li>' for inner in content)}</ul>"
    if is_binary and isinstance(content, str):
        return escape(words.binary.format(bytes=len(content) * 3 // 4 - content[-2:].count("=")))
    text = _moment(content) if isinstance(content, str) else str(content)
    return escape(_shortened(text))


def _shortened(text: str) -> str:
    return text if len(text) <= LONGEST_VALUE else text[:LONGEST_VALUE] + "…"


def _moment(text: str) -> str:
    if not _TIME.fullmatch(text):
        return text
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text
    if moment.tzinfo is None:
        return f"{moment:%Y-%m-%d %H:%M}"
    try:
        return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    except OverflowError:
        return text


def picture(content: Any) -> tuple[bytes, str] | None:
    """Decode a base64 value that is an image; with its file name extension. None: it is no image."""
    if not isinstance(content, str):
        return None
    try:
        data = base64.b64decode(content, validate=True)
    except (binascii.Error, ValueError):
        return None
    ending = next((name for magic, name in _PICTURES.items() if data.startswith(magic)), None)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        ending = "webp"
    return None if ending is None else (data, ending)
