"""Encodings of a single character: regular expressions of PostgreSQL, for matching without regard to case.

The expressions are ASCII, whatever the character: a database in another encoding can read them.
"""

from __future__ import annotations

import functools
import html.entities
import unicodedata
from collections.abc import Iterator

AMPERSAND = "&(?:amp;)*"
"""The beginning of an entity, also of one that was escaped again."""
PERCENT = "%(?:25)*"
"""The beginning of an encoded byte of a URL, also of one that was encoded again."""
SOFT_BREAK = r"(?:=(?:\r?\n|(?:\\+r)?\\+n))?"
"""A line break that quoted-printable puts between any two characters."""
SPACE = (
    r"(?:[[:space:]]|\u00a0|[+_]|%(?:25)*(?:20|2b|c2%(?:25)*a0)|=(?:20|a0|c2=a0)"
    r"|&(?:amp;)*(?:nbsp|#(?:0*(?:32|160)|x0*(?:20|a0)));?|\\+u00(?:20|a0)|\\+[nt])+"
)
"""Whatever separates the words of a name."""

_ENTITIES: dict[str, list[str]] = {}
for _name, _value in html.entities.html5.items():
    if _name.endswith(";"):
        _ENTITIES.setdefault(_value, []).append(_name[:-1])


def literal(text: str) -> str:
    """Write a text as a regular expression for itself."""
    return "".join(_literal(char) for char in text)


def _literal(char: str) -> str:
    if char.isascii() and (char.isalnum() or char == "_"):
        return char
    if char.isascii() and char.isprintable():
        return "\\" + char
    return f"\\u{ord(char):04x}" if ord(char) <= 0xFFFF else f"\\U{ord(char):08x}"


@functools.cache
def spelled(char: str) -> str:
    """Write the expression for a character as it is, decomposed, or encoded.

    ASCII letters and digits are found as they are: encoders leave them. See ``as_entity`` for those that
    do not.
    """
    if char.isspace():
        return SPACE
    if char.isascii() and char.isalnum():
        return char
    if char == '"':
        # JSON escapes it, at each level again; rows of PostgreSQL double it.
        own = r'(?:\\*")+'
    elif char == "\\":
        own = r"(?:\\)+"
    else:
        own = _literal(char)
    return f"(?:{'|'.join(dict.fromkeys((own, *_encoded(char))))})"


def as_entity(char: str) -> str:
    """Write the expression for a character as a numeric entity, which hides addresses from robots."""
    if char.isspace():
        return SPACE
    numbers = "|".join(f"0*{ord(case)}|x0*{ord(case):x}" for case in _cases(char))
    return f"(?:{AMPERSAND}#(?:{numbers});?)"


def _cases(char: str) -> list[str]:
    return [case for case in dict.fromkeys((char, char.lower(), char.upper())) if len(case) == 1]


def _encoded(char: str) -> Iterator[str]:
    for case in _cases(char):
        if not char.isascii():
            # A database without a locale ignores case for ASCII letters only.
            yield _literal(case)
        yield from _bytes(case)
        yield from _escapes(case)
    decomposed = unicodedata.normalize("NFD", char)
    if decomposed != char:
        yield "".join(spelled(part) for part in decomposed)


def _bytes(char: str) -> Iterator[str]:
    for encoding in ("utf-8", "latin-1"):
        try:
            encoded = char.encode(encoding)
        except UnicodeEncodeError:
            continue
        yield "".join(f"{PERCENT}{byte:02x}" for byte in encoded)
        yield "".join(f"={byte:02x}" for byte in encoded)
    if not char.isascii():
        # UTF-8 that was taken for one of the 8-bit encodings.
        for encoding in ("latin-1", "cp1252"):
            try:
                yield literal(char.encode().decode(encoding))
            except UnicodeDecodeError:
                continue


def _escapes(char: str) -> Iterator[str]:
    code = ord(char)
    yield f"{AMPERSAND}#(?:0*{code}|x0*{code:x});?"
    names = sorted({name.lower() for name in _ENTITIES.get(char, ())})
    if names:
        yield f"{AMPERSAND}(?:{'|'.join(names)});"
    units = char.encode("utf-16-be")
    pairs = [units[at : at + 2].hex() for at in range(0, len(units), 2)]
    yield "".join(rf"\\+u{pair}" for pair in pairs)
    if code < 0x100:
        yield rf"\\+x{code:02x}"
