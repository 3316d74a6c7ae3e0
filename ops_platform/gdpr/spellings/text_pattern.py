"""Regular expressions for identifiers in text, in the spellings that programs and people give them.

An identifier counts where it stands by itself: ``tom.3`` is not in ``tom.30``. All expressions are for
PostgreSQL, and for matching without regard to case.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator

from ops_platform.gdpr.spellings import phone_pattern
from ops_platform.gdpr.spellings.characters import SOFT_BREAK, SPACE, as_entity, spelled
from ops_platform.gdpr.spellings.searched_values import is_email, is_phone, is_uuid, mailbox, name_words

_SEPARATOR_BYTES = "[01][0-9a-f]|2[0-9abcf]|3[a-f]|40|5[b-e]|60|7[b-f]"
"""ASCII's codes of all but letters, digits, underscore, dot and hyphen."""
_MARKS = (
    "deleted|removed|erased|archived|disabled|deactivated|inactive|blocked|banned|anonymi[sz]ed|invalid"
    "|former|closed|backup|bak|old|gdpr"
)
"""Words with which products mark an address or a handle that is out of use."""
_ENDINGS = (
    "png|jpe?g|gif|webp|svg|bmp|tiff?|heic|avif|pdf|docx?|xlsx?|pptx?|odt|ods|txt|csv|tsv|jsonl?|xml|ya?ml"
    "|html?|eml|msg|mbox|vcf|ics|zip|gz|tgz|tar|bz2|xz|zst|7z|log|sql|parquet|mp3|mp4|m4a|wav|ogg|mov|avi|mkv"
    "|webm|md|rtf|tmp|key|pem|p12"
)
"""Endings of file names."""
_BEFORE = (
    r"(?:^|[^[:alnum:]_.-]|(?:^|[^[:alnum:]_])[.-]|\\+[nrt]"
    rf"|(?:%(?:25)*|=|\\+u00|\\+x)(?:{_SEPARATOR_BYTES})|(?:^|[^[:alpha:]])(?:{_MARKS})[_-][0-9_:-]*)"
)
# A dot or hyphen belongs to a name only when the name continues behind it: "by tom.3." ends a sentence.
_AFTER = (
    rf"(?:$|[^[:alnum:]_.-]|[.-](?:$|[^[:alnum:]_])|[._-]+(?:{_MARKS})(?:$|[^[:alpha:]])"
    rf"|\.(?:{_ENDINGS})(?:$|[^[:alnum:]]))"
)
_NO_ADDRESS = (
    rf"(?!(?:{spelled('+')}[[:alnum:]._%=&;#+-]+)?{spelled('@')}[[:alnum:]-]+{spelled('.')}[[:alnum:]])"
)
"""What may not stand behind a name, where it is then the first part of an address."""
OTHERS = "\u0002others\u0002"
"""The place in a pattern for an expression of addresses that are other people's."""
_BEFORE_IN_FILE = r"(?:^|[^[:alnum:].])"
_AFTER_IN_FILE = rf"(?:(?:[_-][[:alnum:]_.-]*)?\.(?:{_ENDINGS})(?:$|[^[:alnum:]]))"
_LONG_HANDLE = 8
"""Characters from which a handle of one word may be part of a file's name."""
_TRANSLITERATED = str.maketrans(
    {**{umlaut: f"{vowel}e" for umlaut, vowel in zip("äöü", "aou", strict=True)}, "ø": "oe", "å": "aa"}
)
_PLAIN = str.maketrans(
    {"ß": "ss", "æ": "ae", "ø": "o", "œ": "oe", "þ": "th", "ð": "d", "đ": "d", "ł": "l", "ı": "i"}
)


def expression(texts: Iterable[str], *, in_addresses: bool = True) -> str:
    """Write the expression for any of ``texts``, in any of its spellings, standing by itself.

    ``in_addresses``: also as the first part of an address that is none of them.
    """
    return "|".join(f"{before}{body}{after}" for before, body, after in _places(texts, in_addresses))


def replaceable(
    texts: Iterable[str], *, values_of_json: bool = False, others: bool = False
) -> tuple[str, str]:
    r"""Write the expression for replacing, not in addresses, and what goes before the replacement: ``\1\2``.

    What stands behind is looked at and not part of the match. ``values_of_json``: only within the strings
    of a JSON document that are no keys. ``others``: not where ``OTHERS`` matches, which is to be replaced.
    """
    within = r'(?=(?:[^"\\]|\\.)*"[[:space:]]*(?:[],}]|$))' if values_of_json else ""
    places = _places(texts, in_addresses=False)
    but = f"(?!{OTHERS})" if others else ""
    pattern = "|".join(f"({before}){but}{body}(?={after}){within}" for before, body, after in places)
    return pattern, "".join(f"\\{number}" for number in range(1, len(places) + 1))


def _places(texts: Iterable[str], in_addresses: bool) -> list[tuple[str, str, str]]:
    """List what is looked for, and what must stand before it and behind it."""
    texts = sorted(set(texts))
    words = [text for text in texts if not is_uuid(text)]
    uuids = [text for text in texts if is_uuid(text)]
    phones = [phone_pattern.pattern(text) for text in words if is_phone(text)]
    words = [text for text in words if not is_phone(text)]
    bodies = [
        f"{body}{'' if in_addresses or is_email(text) else _NO_ADDRESS}"
        for text in words
        for body in _bodies(text)
    ]
    in_files = [body for text in words if _in_file_names(text) for body in _bodies(text)]
    digits = [text.replace("-", "") for text in uuids]
    places = [
        (_BEFORE, bodies, _AFTER),
        (_BEFORE_IN_FILE, in_files, _AFTER_IN_FILE),
        (phone_pattern.BEFORE, phones, phone_pattern.AFTER),
        # A UUID is unique, so it counts within a word too: usr_<uuid>, <uuid>.jpg.
        ("", uuids, ""),
        ("(?:^|[^0-9a-f])", digits, "(?:$|[^0-9a-f])"),
    ]
    return [(before, _any_of(found), after) for before, found, after in places if found]


def any_of(texts: Iterable[str]) -> str:
    """Write the expression for any of ``texts`` in any spelling, whatever stands around it.

    Of an address only as it is: with another word behind a plus sign it may be another person's.
    """
    return _any_of([body for text in sorted(set(texts)) for body in _exact(text)])


def _exact(text: str) -> Iterator[str]:
    if is_phone(text):
        yield phone_pattern.pattern(text)
    elif is_email(text):
        yield _spelled(unicodedata.normalize("NFC", text))
    else:
        yield from _bodies(text)


def _any_of(bodies: list[str]) -> str:
    return f"(?:{'|'.join(dict.fromkeys(bodies))})"


def _in_file_names(text: str) -> bool:
    return not text.isalnum() or len(text) >= _LONG_HANDLE


def _bodies(text: str) -> Iterator[str]:
    text = unicodedata.normalize("NFC", text)
    if words := name_words(text):
        yield from _name(words)
    elif is_email(text):
        yield from _email(text)
        yield "".join(as_entity(char) for char in text)
    else:
        yield _spelled(text)
        yield "".join(as_entity(char) for char in text)


def _spelled(text: str) -> str:
    return SOFT_BREAK.join(spelled(char) for char in text)


def _email(address: str) -> Iterator[str]:
    """Yield the address, with and without what stands behind a plus sign: it is the same mailbox."""
    local, domain = mailbox(address)
    yield f"{_spelled(local)}(?:{spelled('+')}[[:alnum:]._%=&;#+-]+)?{SOFT_BREAK}{_spelled('@' + domain)}"


def _name(words: list[str]) -> Iterator[str]:
    """Yield the name as it is said and with any of its last words first, with and without a comma."""
    spelled_words = [_word(word) for word in words]
    yield SPACE.join(spelled_words)
    for split in range(1, len(words)):
        surname, given = SPACE.join(spelled_words[split:]), SPACE.join(spelled_words[:split])
        yield f"{surname}(?:{spelled(',')}{SPACE.removesuffix('+')}*|{SPACE}){given}"


def _word(word: str) -> str:
    """Write the expression for a word of a name, with its accents or without them."""
    forms = dict.fromkeys((word, *unaccented(word)))
    return f"(?:{'|'.join(_spelled(form) for form in forms)})"


def unaccented(word: str) -> list[str]:
    """List the ASCII spellings of a word: without its accents, and as German and Danish write it."""
    lower = unicodedata.normalize("NFC", word.lower())
    forms = []
    for replaced in (lower.translate(_PLAIN), lower.translate(_TRANSLITERATED).translate(_PLAIN)):
        decomposed = unicodedata.normalize("NFKD", replaced)
        forms.append("".join(char for char in decomposed if not unicodedata.combining(char)))
    return [form for form in dict.fromkeys(forms) if form != lower]
