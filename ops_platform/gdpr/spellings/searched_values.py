"""The identifiers that are searched for, what kind of word each is, and why others are skipped.

Numbers, short texts and common words occur everywhere: a hit would say nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any
from uuid import UUID

MIN_LENGTH = 5
"""Characters of the shortest text that is searched for."""
MIN_PHONE_DIGITS = 8
MAX_PHONE_DIGITS = 15
"""E.164's longest number."""
MAX_NAME_WORDS = 5

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_EMAIL = re.compile(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)*\.[^\W\d_]{2,}")
_PHONE = re.compile(r"[+(]?[0-9][0-9 ().\u00a0/-]*[0-9]")
_NAME_WORD = re.compile(r"[^\W\d_](?:[^\W\d_]|['\u2019.\u0300-\u036f-])*")
_COMMON_WORDS = """
about above account active admin administrator after again agent alias allow alone among android angel
anonymous apple archive archived author banned basic because before below billing black blocked board
bonus brand business button buyer cancelled center chair change channel check child class clean client
close closed cloud color company contact content country cover create creator crown current customer daily
death default delete deleted demo design detail digital disabled doctor dream driver early earth editor
email employee empty enabled english erased error event every example expert extra false family field
final first flash focus follow force former forum found free french friend front german ghost global
google grace grand great green group guest happy heart hello hidden homepage honey horse house human
iphone image inactive index invalid italian julia large laser later learn level light limit linux local
login lucky magic major manager maria master media member message metal micro model money month moore
moral mother mouse movie music never night nobody north none@none.com null number nurse ocean office
online orange order other owner panel paper party patient peace person phone photo piece pilot place plain
planet plant player please point power press price prime prince private profile public purple queen quick
quiet radio random ready register removed reply report right river robot root round royal sales sample
school score search secret seller senior server service share shared short silver simple small smart smile
smith solid sound south space spanish spare sport staff standard start state status still stone store
storm story strong student studio style sugar summer super support system table taxes teacher terms
test@test.com testing thank their there these thing think third those three tiger title today token total
touch tower track trade train trial truck trust truth under union unknown until update urban
user@example.com username users valid value video visitor voice watch water website wheel where which
while white whole winter woman women world write young yours zebra
"""
_COMMON = frozenset(_COMMON_WORDS.split())
"""Words that stand in anybody's text, or in many accounts at once."""


def is_uuid(value: Any) -> bool:
    """Tell whether the value is a UUID, or the text of one."""
    return isinstance(value, UUID) or (isinstance(value, str) and _UUID.fullmatch(value) is not None)


def is_email(text: str) -> bool:
    """Tell whether the text is an e-mail address."""
    return _EMAIL.fullmatch(text) is not None


def mailbox(address: str) -> tuple[str, str]:
    """Split an address into the local part without what stands behind a plus sign, and the domain."""
    local, _, domain = address.rpartition("@")
    return local.split("+")[0] or local, domain


def is_phone(text: str) -> bool:
    """Tell whether the text is a telephone number long enough to identify somebody."""
    digits = sum(char.isdigit() for char in text)
    return _PHONE.fullmatch(text) is not None and MIN_PHONE_DIGITS <= digits <= MAX_PHONE_DIGITS


def name_words(text: str) -> list[str]:
    """Split a person's name into its words; empty when the text is no name of several words."""
    words = text.split()
    is_name = 2 <= len(words) <= MAX_NAME_WORDS and all(_NAME_WORD.fullmatch(word) for word in words)
    return words if is_name else []


def why_skipped(value: Any) -> str | None:
    """Say why a value is not searched for; None when it is."""
    if is_uuid(value):
        return None
    if not isinstance(value, str):
        return "no text and no UUID"
    if len(value.strip()) < MIN_LENGTH:
        return f"shorter than {MIN_LENGTH} characters"
    if value.strip().lower() in _COMMON:
        return "a common word"
    return None


def searched(values: Iterable[Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Select the texts to search for, UUIDs among them, and the UUIDs alone; both in lower order."""
    values = [value for value in values if why_skipped(value) is None]
    uuids = sorted({str(value).lower() for value in values if is_uuid(value)})
    texts = sorted({value.strip() for value in values if isinstance(value, str) and not is_uuid(value)})
    return tuple(sorted({*texts, *uuids})), tuple(uuids)
