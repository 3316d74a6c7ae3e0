"""Telephone numbers: a regular expression for one number with any grouping and any kind of prefix."""

from __future__ import annotations

import re

GAPS = " ()./-"
"""What may stand between two digits."""
GAP = r"[ ()./-]*"
_END = 7
"""Digits that every form of a number ends with."""
BEFORE = r"(?:^|[^[:alnum:]_.])"
AFTER = r"(?:$|[^[:alnum:]_])"
_LONG_CODES = re.compile("2[1-689]|3[578]|42|5[09]|6[7-9]|8[0357-9]|9[679]")
"""Beginnings of country codes with three digits (ITU-T E.164); 1 and 7 have one, all others two."""


def pattern(number: str) -> str:
    """Write the expression for a telephone number, without what stands around it."""
    digits = re.sub(r"[^0-9]", "", number)
    if number.strip().startswith("+") or digits.startswith("00"):
        return _international(digits.removeprefix("00") if not number.strip().startswith("+") else digits)
    international = rf"(?:\+|00){GAP}[1-9][0-9]{{0,2}}{GAP}"
    if digits.startswith("0"):
        return rf"(?:{international}(?:\(?0\)?{GAP})?|0{GAP}){_spaced(digits[1:])}"
    return rf"(?:{international}|\+)?{_spaced(digits)}"


def end(number: str) -> str:
    """Return the digits that every form of the number ends with, once the gaps are taken out."""
    return re.sub(r"[^0-9]", "", number)[-_END:]


def _international(digits: str) -> str:
    width = 1 if digits[0] in "17" else 3 if _LONG_CODES.match(digits) else 2
    code, rest = digits[:width], digits[width:]
    prefixed = rf"(?:\+{GAP}|00{GAP})?{_spaced(code)}{GAP}(?:\(?0\)?{GAP})?"
    # At home the code is left out; where it is 1, nothing takes its place.
    at_home = f"1?{GAP}" if code == "1" else f"0{GAP}"
    return f"(?:{prefixed}|{at_home}){_spaced(rest)}"


def _spaced(digits: str) -> str:
    return GAP.join(digits)
