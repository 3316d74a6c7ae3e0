"""Anchors: short texts without one of which no spelling of an identifier is possible.

A value without any is passed over: comparing it with the long expressions would take ten times as long.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ops_platform.gdpr.spellings import base64_pattern
from ops_platform.gdpr.spellings.searched_values import is_email, is_phone, is_uuid, mailbox

MIN_LENGTH = 3
"""Characters of the shortest anchor."""
_FREQUENT = frozenset(
    (
        *("com", "org", "net", "edu", "gov", "www", "mail", "gmail", "hotmail", "outlook", "yahoo"),
        *("icloud", "proton", "example"),
    )
)
ENTITIES = ("&#", "amp;#")
"""Beginnings of a numeric entity, also of one that was escaped again."""
ENCODERS = ("&", "%", "=", "\\")
"""Characters, one of which stands where others are encoded."""


@dataclass(frozen=True)
class Anchors:
    """Texts in lower case. ``words``: of plain spellings, ``base64``: of those in base64.

    ``without``: identifiers of which nothing surely stands in each of their spellings.
    """

    words: tuple[str, ...]
    base64: tuple[str, ...]
    without: tuple[str, ...]


def of(texts: Iterable[str]) -> Anchors:
    """Choose as few anchors as possible for these identifiers; see ``last_digits`` for telephone numbers."""
    candidates = {text: _candidates(text) for text in sorted(set(texts)) if not is_phone(text)}
    words = list[str]()
    waiting = {text for text in candidates if candidates[text]}
    while waiting:
        covered = {
            word: {text for text in waiting if any(word in candidate for candidate in candidates[text])}
            for text in waiting
            for word in candidates[text]
        }
        # Most first; a word of three letters is in too many texts.
        best = max(covered, key=lambda word: (len(word) > MIN_LENGTH, len(covered[word]), len(word), word))
        words.append(best)
        waiting -= covered[best]
    encoded = {anchor.lower() for text in candidates for anchor in _encoded(text, words)}
    return Anchors(
        (*sorted(_shortest(words)), *(ENTITIES if any(not is_uuid(text) for text in candidates) else ())),
        tuple(sorted(_shortest(encoded))),
        tuple(text for text in candidates if not candidates[text]),
    )


def last_digits(text: str) -> tuple[str, str]:
    """List pairs of digits of a telephone number, of which one is together however digits are grouped."""
    digits = re.sub(r"[^0-9]", "", text)
    return digits[-2:], digits[-3:-1]


def needed(text: str, *, encoded: bool) -> tuple[str, ...]:
    """List the words that stand in every spelling of a text, entities for each character excepted.

    ``encoded``: in texts with encoded characters, too. Otherwise dots, hyphens and underscores are as they
    are, and the words longer.
    """
    lower = _lowered(text)
    if is_email(lower):
        lower = "@".join(mailbox(lower))
    words = _runs(lower)
    if not encoded and words:
        longer = [run.strip("._-") for run in re.findall(r"[a-z0-9._-]+", lower)]
        words = [run for run in longer if len(run) >= MIN_LENGTH]
    return () if is_uuid(text) else tuple(words)


def _candidates(text: str) -> list[str]:
    """List the runs of ASCII letters and digits that every spelling has."""
    if is_uuid(text):
        return [text.lower().rpartition("-")[2]]
    lower = _lowered(text)
    if is_email(lower):
        # The part before a plus sign stands in all spellings; the domain stands in those of others, too.
        local, domain = mailbox(lower)
        return _runs(local) or _runs(domain)
    return _runs(lower)


def _runs(text: str) -> list[str]:
    runs = [run for run in re.findall(r"[a-z0-9]+", text) if len(run) >= MIN_LENGTH]
    rare = [run for run in runs if run not in _FREQUENT]
    return rare or runs


def _lowered(text: str) -> str:
    """Lower ASCII letters alone, as ``Sought.lowered`` does: ``str`` makes an ASCII i of a dotted capital."""
    return re.sub("[A-Z]+", lambda letters: letters[0].lower(), unicodedata.normalize("NFC", text))


def _encoded(text: str, words: Iterable[str]) -> Iterator[str]:
    forms = base64_pattern.encoded_forms(text)
    text = unicodedata.normalize("NFC", text)
    within = [word for word in words if word in _lowered(text)]
    if not forms:
        return
    if is_uuid(text):
        cases = [text.lower().encode()]
    elif within and len(within[0]) >= base64_pattern.MIN_ANCHOR:
        word, place = within[0], _lowered(text).index(within[0])
        as_stored = text[place : place + len(word)]
        cases = [form.encode() for form in (as_stored, word, word.title(), word.upper())]
    else:
        cases = [
            form for case in (text, text.lower(), text.upper()) for form in base64_pattern.encoded_forms(case)
        ]
    for case in cases:
        yield from base64_pattern.anchors(case)


def _shortest(texts: Iterable[str]) -> list[str]:
    """Leave out texts that hold another one."""
    kept = list[str]()
    for text in sorted(set(texts), key=len):
        if not any(other in text for other in kept):
            kept.append(text)
    return kept
