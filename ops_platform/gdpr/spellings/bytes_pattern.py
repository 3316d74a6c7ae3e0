"""Identifiers among bytes: an expression for the text that ``encode(..., 'escape')`` makes of them.

There, bytes from 128 on and zero are a backslash and three octal digits, a backslash is two, and all else
is as it is.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from uuid import UUID

from ops_platform.gdpr.spellings.characters import literal
from ops_platform.gdpr.spellings.searched_values import is_uuid, name_words
from ops_platform.gdpr.spellings.text_pattern import unaccented

_WIDE = {
    "utf-16-le": (r"(?:^|[^[:alnum:]_]\\000|\\[1-7][0-7]{2})", r"(?:$|[^[:alnum:]_])"),
    "utf-16-be": (r"(?:^|[^[:alnum:]_])", r"(?:$|\\000(?:$|[^[:alnum:]_])|[^\\]|\\[1-7])"),
}
"""What stands before and behind in encodings of two bytes a character."""
_BEFORE = r"(?:^|[^[:alnum:]_.-]|\\[0-7]{3}|(?:^|[^[:alnum:]_])[.-])"
_AFTER = r"(?:$|[^[:alnum:]_.-]|[.-](?:$|[^[:alnum:]_]))"


def expression(texts: Iterable[str]) -> str:
    """Write the expression for what is no ASCII in bytes: UTF-8, LATIN1, UTF-16, and bytes of a UUID."""
    texts = sorted(set(texts))
    forms = {form for text in texts for form in _forms(text)}
    narrow = {_escaped(form.encode(name)) for form in forms for name in _encodings(form)}
    branches = [f"{_BEFORE}(?:{'|'.join(sorted(narrow))})(?={_AFTER})"] if narrow else []
    for name, (before, after) in _WIDE.items():
        wide = sorted({_escaped(form.encode(name)) for form in forms})
        if wide:
            branches.append(f"{before}(?:{'|'.join(wide)})(?={after})")
    branches += [_escaped(UUID(text).bytes) for text in texts if is_uuid(text)]
    return "|".join(branches)


def _encodings(form: str) -> Iterable[str]:
    if form.isascii():
        return ()
    try:
        form.encode("latin-1")
    except UnicodeEncodeError:
        return ("utf-8",)
    return ("utf-8", "latin-1")


def _forms(text: str) -> Iterable[str]:
    forms = {text}
    if words := name_words(text):
        rest, last = " ".join(words[:-1]), words[-1]
        forms |= {f"{last}, {rest}", f"{last} {rest}"}
        forms |= {
            " ".join(plain) for plain in zip(*(unaccented(word) or [word] for word in words), strict=False)
        }
    forms = {unicodedata.normalize(name, form) for form in forms for name in ("NFC", "NFD")}
    return forms | {case(form) for form in forms if not form.isascii() for case in (str.lower, str.upper)}


def as_written(raw: bytes) -> str:
    """Write bytes as ``encode(..., 'escape')`` does."""
    return "".join(
        f"\\{byte:03o}" if byte == 0 or byte >= 0x80 else "\\\\" if byte == 0x5C else chr(byte)
        for byte in raw
    )


def _escaped(raw: bytes) -> str:
    return literal(as_written(raw))
