"""Identifiers within base64: a case-sensitive regular expression for bytes at any place of the encoded text.

Three bytes are four characters, so a word has three encodings, by the place at which it begins. The
characters that it shares with its neighbours are looked at, too: ``tom.3`` is not in ``tom.30``.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence

from ops_platform.gdpr.spellings.searched_values import is_uuid, name_words
from ops_platform.gdpr.spellings.text_pattern import unaccented

MIN_BYTES = 8
"""Bytes of the shortest identifier that is searched for in base64: a shorter one is there by chance."""
MIN_ANCHOR = 4
"""Bytes of the shortest word whose encodings are rare enough to be looked for first."""
_STANDARD = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_BREAK = r"(?:\r?\n|(?:\\+r)?\\+n)?"
"""The end of a line, which mail puts into longer texts, also as JSON writes it."""
_ALPHABET = "[A-Za-z0-9+/_-]"
_NEIGHBOURS = [byte for byte in range(128) if not (chr(byte).isalnum() or chr(byte) == "_")]
"""Bytes that may stand beside an identifier."""


def expression(texts: Iterable[str]) -> str | None:
    """Write the expression for any of ``texts``, in UTF-8 and any case; None when all are too short."""
    branches = []
    for text in sorted(set(texts)):
        for form in encoded_forms(text):
            cases = [_cases(byte) for byte in form]
            free = is_uuid(text)
            branches += [_at(cases, offset, free=free) for offset in range(3)]
    return "|".join(branches) if branches else None


def encoded_forms(text: str) -> list[bytes]:
    """List the bytes whose encodings are searched for, in lower case where they are ASCII."""
    texts = [text]
    if words := name_words(text):
        rest, last = " ".join(words[:-1]), words[-1]
        texts += [f"{last}, {rest}", f"{last} {rest}"]
        texts += [
            " ".join(plain) for plain in zip(*(unaccented(word) or [word] for word in words), strict=False)
        ]
    forms = [unicodedata.normalize("NFC", form).encode() for form in texts]
    return [form for form in dict.fromkeys(forms) if len(form) >= MIN_BYTES]


def anchors(form: bytes) -> Iterator[str]:
    """Yield the characters that encode nothing but ``form``, for each place at which it may begin."""
    for offset in range(3):
        cases = [(byte,) for byte in form]
        places = range(-(-offset * 8 // 6), (offset + len(form)) * 8 // 6)
        encoded = "".join(_STANDARD[_character(cases, offset, place)[0]] for place in places)
        # What differs between the two alphabets cannot be part of it.
        yield max(re.split("[+/]", encoded), key=len)


def _cases(byte: int) -> tuple[int, ...]:
    char = chr(byte)
    return (ord(char.lower()), ord(char.upper())) if char.isascii() and char.isalpha() else (byte,)


def _character(cases: Sequence[tuple[int, ...]], offset: int, place: int) -> list[int]:
    """Compute the values that the character at ``place`` may have; all its bits are of the identifier."""
    first, last = place * 6 // 8 - offset, (place * 6 + 5) // 8 - offset
    shift = (last + offset + 1) * 8 - (place + 1) * 6
    if first == last:
        return sorted({byte >> shift & 63 for byte in cases[first]})
    return sorted({(high << 8 | low) >> shift & 63 for high in cases[first] for low in cases[last]})


def _at(cases: Sequence[tuple[int, ...]], offset: int, *, free: bool) -> str:
    """Write the expression for the bytes when the first is the ``offset``-th of three."""
    begin, end = -(-offset * 8 // 6), (offset + len(cases)) * 8 // 6
    inner = _BREAK.join(_class(_character(cases, offset, place)) for place in range(begin, end))
    if free:
        return f"(?:{inner})"
    return f"(?:{_before(cases[0], offset)}{_BREAK}{inner}{_after(cases[-1], (offset + len(cases) - 1) % 3)})"


def _before(own: tuple[int, ...], offset: int) -> str:
    """Write what may stand before: another byte, in the characters that it has to itself or shares."""
    pairs = []
    for byte in _NEIGHBOURS:
        if offset == 0:
            pairs.append(({q << 2 | byte >> 6 for q in range(16)}, {byte & 63}))
        elif offset == 1:
            pairs.append(({byte >> 2}, {(byte & 3) << 4 | first >> 4 for first in own}))
        else:
            pairs.append(
                ({q << 4 | byte >> 4 for q in range(4)}, {(byte & 15) << 2 | first >> 6 for first in own})
            )
    either = _either(pairs)
    return f"(?:^|[^A-Za-z0-9+/_-]|{either})" if offset == 0 else either


def _after(own: tuple[int, ...], place: int) -> str:
    """Write what may stand behind the byte at ``place`` of three: another byte, padding or the end."""
    pairs, ends = [], set[int]()
    for byte in _NEIGHBOURS:
        if place == 0:
            pairs.append(
                ({(last & 3) << 4 | byte >> 4 for last in own}, {(byte & 15) << 2 | q for q in range(4)})
            )
            ends = {(last & 3) << 4 for last in own}
        elif place == 1:
            pairs.append(({(last & 15) << 2 | byte >> 6 for last in own}, {byte & 63}))
            ends = {(last & 15) << 2 for last in own}
        else:
            pairs.append(({byte >> 2}, {(byte & 3) << 4 | q for q in range(16)}))
    either, over = f"{_BREAK}{_either(pairs)}", f"(?:$|(?!{_ALPHABET}))"
    return f"(?:{either}|{_BREAK + _class(sorted(ends)) if ends else ''}{over})"


def _either(pairs: Sequence[tuple[set[int], set[int]]]) -> str:
    """Write the expression for any of these pairs of characters."""
    by_second: dict[frozenset[int], set[int]] = {}
    for first, second in pairs:
        by_second.setdefault(frozenset(second), set()).update(first)
    by_first: dict[frozenset[int], set[int]] = {}
    for second_values, first in by_second.items():
        by_first.setdefault(frozenset(first), set()).update(second_values)
    branches = [
        f"{_class(sorted(first))}{_BREAK}{_class(sorted(second))}" for first, second in by_first.items()
    ]
    return f"(?:{'|'.join(branches)})"


def _class(values: Sequence[int]) -> str:
    """Write a class of characters, in both alphabets."""
    chars = "".join(_STANDARD[value] for value in values)
    chars = chars.replace("+", "").replace("/", "") + "+" * ("+" in chars) + "/_" * ("/" in chars)
    return f"[{chars}{'-' if '+' in chars else ''}]"
