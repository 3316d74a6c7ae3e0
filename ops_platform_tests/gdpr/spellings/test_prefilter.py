"""The quick looks, at a value and at a whole row, pass over nothing that the whole expressions would find."""

from __future__ import annotations

import base64
import html
import json
import unicodedata
from collections.abc import Callable
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from psycopg import sql

from ops_platform.clients.postgres.connection import Connection
from ops_platform.gdpr.schema.reader import Column
from ops_platform.gdpr.spellings import Sought, bytes_pattern, expression, row_look, why_skipped
from ops_platform.gdpr.spellings.searched_values import is_phone, is_uuid

pytestmark = pytest.mark.services

TEXT, BYTES = (Column("c", kind, kind, False, False, False, False, False) for kind in ("text", "bytea"))
DEFAULT = 'COLLATE pg_catalog."default"'
NAMES = st.text(
    st.one_of(
        st.sampled_from("abcilsANNIKLS.-_ 123@+'&%=\\"),
        st.sampled_from("İıſßŉéëüÅøłﬁЖжΣςσأ東\u0307\u0301\u212a\U00010400"),
        st.characters(categories=("L", "M", "N")),
    ),
    min_size=5,
    max_size=14,
)
WRITTEN: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "upper": str.upper,
    "lower": str.lower,
    "decomposed": lambda text: unicodedata.normalize("NFD", text),
    "composed": lambda text: unicodedata.normalize("NFC", text),
    "url": quote,
    "json": lambda text: json.dumps(text)[1:-1],
    "html": html.escape,
    "entities": lambda text: "".join(f"&#{ord(char)};" for char in text),
    "escaped entities": lambda text: "".join(f"&amp;#x{ord(char):x};" for char in text),
    "no tag": lambda text: text.partition("+")[0] + "@" + text.rpartition("@")[2],
    "without accents": lambda text: unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode(),
    "soft break": lambda text: f"{text[:3]}=\n{text[3:]}",
}


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    NAMES, st.sampled_from(sorted(WRITTEN)), st.sampled_from(["utf-8", "latin-1", "utf-16-le", "utf-16-be"])
)
def test_what_the_expressions_find_passes(demo: Connection, name: str, how: str, encoding: str) -> None:
    name = name.strip()
    assume(why_skipped(name) is None and not is_phone(name) and not is_uuid(name))
    sought, written = Sought.of([name]), WRITTEN[how](name)
    column, held = sql.SQL("t.c"), f"to {written}, hello"
    raw = held.encode(encoding, "ignore")
    escaped = bytes_pattern.as_written(raw)
    [row] = _tested(
        demo,
        held,
        escaped,
        text=sought.test(TEXT, column, Sought.lowered(column)),
        bytes_=sought.test(BYTES, sql.SQL("t.b"), Sought.lowered(sql.SQL("t.b"))),
        text_pattern=expression([name]),
        bytes_pattern_=bytes_pattern.expression([name]),
        look=looks(Sought.of(["another.person@example.org"]), sought),
    )
    for collation in ("default", "C"):
        text, text_passes, among_bytes, bytes_pass, row_passes = row[collation]
        assert not text or text_passes, (collation, name, held)
        assert not among_bytes or bytes_pass, (collation, name, raw)
        assert not (text_passes or bytes_pass) or row_passes, (collation, name, held)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.one_of(NAMES, st.from_regex(r"[+]?[0-9][0-9 ()/-]{8,14}", fullmatch=True), st.uuids().map(str)),
    st.sampled_from(sorted(WRITTEN)),
    st.sampled_from(["plain", "base64", "base64 in lines", "in lines of JSON"]),
    st.integers(0, 2),
)
def test_what_a_value_passes_a_row_passes(
    demo: Connection, name: str, how: str, wrapped: str, before: int
) -> None:
    name = name.strip()
    assume(why_skipped(name) is None and "\0" not in name)
    sought, held = Sought.of([name]), f"{'x' * before} {WRITTEN[how](name)}"
    if wrapped.startswith("base64"):
        encoded = base64.b64encode(held.encode()).decode()
        width = 7 if wrapped.endswith("lines") else len(encoded)
        held = "\n".join(encoded[at : at + width] for at in range(0, len(encoded), width))
    elif wrapped == "in lines of JSON":
        held = json.dumps({"x": [f"{held[:4]}=\r\n{held[4:]}"]}, ensure_ascii=False)
    column = sql.SQL("t.c")
    of_json = Column("c", "jsonb", "jsonb", False, False, False, False, False)
    [row] = _tested(
        demo,
        held,
        "nothing",
        text=sought.test(of_json if "JSON" in wrapped else TEXT, column, Sought.lowered(column)),
        bytes_=sql.SQL("false"),
        text_pattern="^$",
        bytes_pattern_="^$",
        look=looks(sought, Sought.of(["another.person@example.org"])),
    )
    for collation in ("default", "C"):
        _, value_passes, _, _, row_passes = row[collation]
        assert not value_passes or row_passes, (collation, name, held)


def looks(*people: Sought) -> sql.Composable:
    """The look at a row of several columns, of every kind, for several people."""
    texts = [sql.SQL("t.b"), sql.SQL("'of others'"), sql.SQL("CAST(NULL AS text)"), sql.SQL("t.c")]
    look = row_look.passes(people, sql.Identifier("w", "text"), texts, {"text", "json", "bytes"})
    if look is None:
        return sql.SQL("true")
    return sql.SQL("(SELECT {} FROM (SELECT {} AS text OFFSET 0) AS w)").format(
        look, row_look.together(texts)
    )


def _tested(
    demo: Connection,
    held: str,
    escaped: str,
    *,
    text: sql.Composable,
    bytes_: sql.Composable,
    text_pattern: str,
    bytes_pattern_: str,
    look: sql.Composable,
) -> list[dict[str, list[bool]]]:
    tests = sql.SQL("ARRAY[t.c {d} ~* {tp}, {text}, t.b {d} ~* {bp}, {bytes_}, {look}]").format(
        d=sql.SQL(DEFAULT),
        tp=sql.Literal(text_pattern),
        text=text,
        bp=sql.Literal(bytes_pattern_ or "^$"),
        bytes_=bytes_,
        look=look,
    )
    query = sql.SQL('SELECT {} AS "default", {} AS "C" FROM (SELECT {} AS c, {} AS b OFFSET 0) AS t').format(
        tests,
        sql.SQL(tests.as_string(demo).replace(DEFAULT, 'COLLATE pg_catalog."C"')),
        sql.Literal(held),
        sql.Literal(escaped),
    )
    return demo.execute(query).fetchall()
