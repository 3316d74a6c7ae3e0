"""Reading the data of the ledger's tables out of a plain SQL dump, as ``pg_dump`` and an export write it.

Rows are the lines of COPY's text format below ``COPY public.audit_events (...) FROM stdin;``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path

from ops_platform.errors import CheckFailed

TABLES = ("audit_events", "audit_seals")
_BLOCK = re.compile(r"COPY (?:public\.)?(\w+) \(([^)]*)\) FROM stdin;")
_ESCAPE = re.compile(r"\\(.)")
_ESCAPED = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_TIME = re.compile(
    r"(\d{4,6})-(\d\d)-(\d\d) (\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?([+-])(\d\d)(?::(\d\d))?(?::(\d\d))?( BC)?"
)
_GREGORIAN_CYCLE_YEARS, _GREGORIAN_CYCLE_DAYS = 400, 146_097
_EPOCH_DAY = date(1970, 1, 1).toordinal()

Row = dict[str, str | None]


def rows(path: Path) -> Iterator[tuple[str, Row]]:
    """Yield each row of the ledger's tables as (table, text of each column), in the dump's order.

    Raises CheckFailed when the file cannot be read, a row is malformed, or a table is not in it.
    """
    missing = set(TABLES)
    table, columns = "", list[str]()
    try:
        with path.open(encoding="utf-8", newline="\n") as lines:
            for number, line in enumerate(lines, start=1):
                text = line.removesuffix("\n")
                if not columns:
                    block = _BLOCK.fullmatch(text)
                    if block is not None and block[1] in TABLES:
                        table, columns = block[1], [name.strip(' "') for name in block[2].split(",")]
                        missing.discard(table)
                elif text == "\\.":
                    columns = []
                else:
                    values = [_value(field) for field in text.split("\t")]
                    if len(values) != len(columns):
                        raise CheckFailed(f"{path}, line {number}: not a row of {table}: make the dump anew")
                    yield table, dict(zip(columns, values, strict=True))
    except (OSError, UnicodeDecodeError) as error:
        raise CheckFailed(f"{path} cannot be read as a SQL dump in UTF-8: {type(error).__name__}") from None
    if columns or missing:
        raise CheckFailed(
            f"{path} is not the whole of {', '.join(sorted(missing) or [table])}: make the dump anew, with "
            "pg_dump --data-only or ops-platform audit export"
        )


def microseconds(text: str) -> int:
    """Read a ``timestamptz`` in ISO style as microseconds since 1970-01-01 UTC, of any year PostgreSQL has.

    Raises ValueError for another text.
    """
    match = _TIME.fullmatch(text)
    if match is None:
        raise ValueError("not a time with a zone")
    year = int(match[1]) if match[12] is None else 1 - int(match[1])
    # The calendar repeats every 400 years, so that years beyond Python's are counted by those within.
    cycles, year_within = divmod(year - 1, _GREGORIAN_CYCLE_YEARS)
    days = date(year_within + 1, int(match[2]), int(match[3])).toordinal() - _EPOCH_DAY
    days += cycles * _GREGORIAN_CYCLE_DAYS
    seconds = days * 86400 + int(match[4]) * 3600 + int(match[5]) * 60 + int(match[6])
    offset = int(match[9]) * 3600 + int(match[10] or 0) * 60 + int(match[11] or 0)
    seconds -= offset if match[8] == "+" else -offset
    return seconds * 1_000_000 + int((match[7] or "").ljust(6, "0"))


def _value(field: str) -> str | None:
    if field == "\\N":
        return None
    if "\\" not in field:
        return field
    return _ESCAPE.sub(lambda match: _ESCAPED.get(match[1], match[1]), field)
