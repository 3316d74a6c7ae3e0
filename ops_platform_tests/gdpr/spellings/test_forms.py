"""The forms that an identifier can take, which of them the scan finds, and that the documents say so."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import quopri
import unicodedata
from dataclasses import dataclass
from email.header import Header
from pathlib import Path
from urllib.parse import quote, quote_plus
from uuid import UUID

import pytest

from ops_platform.clients.postgres.connection import Connection
from ops_platform.gdpr.row_erasure import residue_scan
from ops_platform.gdpr.schema import reader as catalogue
from ops_platform.gdpr.schema.relation_name import Name

EMAIL, HANDLE, NAME = "anna.muller@example.org", "anna_muller.7", "Anna Müller"
PHONE, KEY = "+49 30 1234567", "6f1c6a1e-0000-4000-8000-00000000abcd"
CYRILLIC, GREEK, TURKISH = "Иван Петров", "μαρία_κ", "HALİL YILMAZ"
ACCENTED = "zoë.müller@example.org"
DOCUMENT = Path(__file__).parents[3] / "docs" / "gdpr-identifier-forms.md"
BEGIN, END = "<!-- forms: begin -->\n", "<!-- forms: end -->"


@dataclass(frozen=True)
class Form:
    """``value``: SQL text or bytes. ``column``: text, bytea, jsonb or tsvector. ``found``: as documented."""

    of: str
    name: str
    identifier: str
    value: str | bytes
    column: str = "text"
    found: bool = True
    shown: str = ""


def encoded(text: str, before: str, after: str = " wrote") -> str:
    return base64.b64encode(f"{before}{text}{after}".encode()).decode()


def mail(text: str) -> str:
    return quopri.encodestring(f"Hello {text}, how are you?".encode()).decode()


def wrapped(text: str) -> str:
    """Quoted-printable with the end of a line within the text."""
    return f"Dear {text[:8]}=\r\n{text[8:]}, hello"


FORMS = [
    Form("address", "within a text", EMAIL, f"write to {EMAIL}."),
    Form("address", "upper case", EMAIL, EMAIL.upper()),
    Form("address", "mixed case", EMAIL, "Anna.Muller@Example.org"),
    Form("address", "plus address", EMAIL, "anna.muller+shop@example.org"),
    Form("address", "without its own plus", "anna.muller+shop@example.org", EMAIL),
    Form("address", "quoted-printable", ACCENTED, mail(ACCENTED)),
    Form("address", "quoted-printable, `=40`", EMAIL, EMAIL.replace("@", "=40")),
    Form(
        "address",
        "quoted-printable, line broken within it",
        EMAIL,
        wrapped(EMAIL),
        shown="anna.mul=⏎ler@example.org",
    ),
    Form(
        "address", "mail header (RFC 2047, Q)", ACCENTED, "=?utf-8?q?zo=C3=AB=2Em=C3=BCller=40example=2Eorg?="
    ),
    Form("address", "mail header (RFC 2047, B)", ACCENTED, Header(ACCENTED, "utf-8").encode()),
    Form("address", "base64, 1st of 3 alignments", EMAIL, encoded(EMAIL, "")),
    Form("address", "base64, 2nd of 3 alignments", EMAIL, encoded(EMAIL, "x ")),
    Form("address", "base64, 3rd of 3 alignments", EMAIL, encoded(EMAIL, " ")),
    Form("address", "base64 of upper case", EMAIL, encoded(EMAIL.upper(), "x ")),
    Form(
        "address",
        "base64, URL-safe, no padding",
        EMAIL,
        base64.urlsafe_b64encode(f"?>{EMAIL}?>".encode()).decode().rstrip("="),
    ),
    Form(
        "address",
        "base64 in lines of 76",
        EMAIL,
        base64.encodebytes(f"{'to ' * 18}{EMAIL} {'x ' * 40}".encode()).decode(),
        shown="…⏎…",
    ),
    Form(
        "address",
        "base64 in a data URI in JSON",
        EMAIL,
        json.dumps({"file": f"data:text/plain;base64,{encoded(EMAIL, 'to ')}"}),
        "jsonb",
    ),
    Form(
        "address",
        "base64 of base64",
        EMAIL,
        base64.b64encode(encoded(EMAIL, "").encode()).decode(),
        found=False,
    ),
    Form("address", "HTML entity, named", EMAIL, EMAIL.replace("@", "&commat;")),
    Form("address", "HTML entity, decimal", EMAIL, EMAIL.replace("@", "&#64;")),
    Form("address", "HTML entity, decimal, with zeros", EMAIL, EMAIL.replace("@", "&#0064;")),
    Form("address", "HTML or XML entity, hexadecimal", EMAIL, EMAIL.replace("@", "&#x40;")),
    Form("address", "entity of an entity", EMAIL, EMAIL.replace("@", "&amp;#64;")),
    Form(
        "address",
        "every character an entity of an entity",
        EMAIL,
        "".join(f"&amp;#{ord(char)};" for char in EMAIL),
    ),
    Form("address", "every character an entity", EMAIL, "".join(f"&#{ord(char)};" for char in EMAIL)),
    Form(
        "address",
        "every character a hexadecimal entity",
        EMAIL,
        "".join(f"&#x{ord(char):x};" for char in EMAIL),
    ),
    Form(
        "address",
        "XML, accents as entities",
        ACCENTED,
        f"<to>{ACCENTED.encode('ascii', 'xmlcharrefreplace').decode()}</to>",
    ),
    Form(
        "address",
        "HTML, accents as named entities",
        ACCENTED,
        ACCENTED.replace("ë", "&euml;").replace("ü", "&uuml;"),
    ),
    Form("address", "between angle brackets, escaped", EMAIL, html.escape(f"Anna <{EMAIL}>")),
    Form("address", "URL encoding", EMAIL, f"https://x.example/?to={quote(EMAIL)}&page=1"),
    Form("address", "URL encoding, twice", EMAIL, f"https://x.example/?next={quote(quote(EMAIL))}"),
    Form("address", "URL encoding, beside other characters", EMAIL, quote(f"<{EMAIL}>")),
    Form("address", "URL encoding, accents", ACCENTED, quote(ACCENTED)),
    Form("address", "URL encoding, lower-case digits", ACCENTED, quote(ACCENTED).lower()),
    Form(
        "address",
        "every character URL-encoded",
        EMAIL,
        "".join(f"%{ord(char):02X}" for char in EMAIL),
        found=False,
    ),
    Form("address", "JSON escape", EMAIL, EMAIL.replace("@", "\\u0040")),
    Form(
        "address",
        "JSON escape within JSON",
        EMAIL,
        json.dumps({"raw": json.dumps({"to": EMAIL.replace("@", "\u00e9")}).replace("\\u00e9", "\\u0040")}),
        "jsonb",
    ),
    Form("address", "JSON, accents escaped", ACCENTED, json.dumps({"to": ACCENTED})),
    Form(
        "address",
        "JSON, after an escaped line break",
        EMAIL,
        json.dumps({"text": f"hello\n{EMAIL}\nbye"}),
        "jsonb",
    ),
    Form("address", "key of a JSON object", EMAIL, json.dumps({EMAIL: 1}), "jsonb"),
    Form("address", "NFC", ACCENTED, unicodedata.normalize("NFC", ACCENTED)),
    Form("address", "NFD", ACCENTED, unicodedata.normalize("NFD", ACCENTED)),
    Form("address", "stored as NFD, written as NFC", unicodedata.normalize("NFD", ACCENTED), ACCENTED),
    Form("address", "UTF-8 read as LATIN1", ACCENTED, ACCENTED.encode().decode("latin-1")),
    Form("address", "UTF-8 among bytes", EMAIL, b"\x00\xff" + EMAIL.encode() + b"\x00", "bytea"),
    Form(
        "address", "UTF-8 among bytes, accents", ACCENTED, b"\x00\xff" + ACCENTED.encode() + b"\x00", "bytea"
    ),
    Form("address", "UTF-8 among bytes, accents, upper case", ACCENTED, ACCENTED.upper().encode(), "bytea"),
    Form("address", "UTF-16LE among bytes", ACCENTED, ("to " + ACCENTED + "!").encode("utf-16-le"), "bytea"),
    Form("address", "UTF-16BE among bytes", ACCENTED, ("to " + ACCENTED + "!").encode("utf-16-be"), "bytea"),
    Form("address", "UTF-16 with a byte order mark", EMAIL, EMAIL.encode("utf-16"), "bytea"),
    Form("address", "LATIN1 among bytes", ACCENTED, b"to \xe9 " + ACCENTED.encode("latin-1"), "bytea"),
    Form("address", "base64 among bytes", EMAIL, encoded(EMAIL, "x ").encode(), "bytea"),
    Form("address", "hexadecimal digits", EMAIL, EMAIL.encode().hex(), found=False),
    Form(
        "address",
        "compressed or encrypted",
        EMAIL,
        __import__("zlib").compress(EMAIL.encode() * 9),
        "bytea",
        found=False,
    ),
    Form("address", "with a suffix", EMAIL, f"{EMAIL}.deleted-2024"),
    Form("address", "with a prefix", EMAIL, f"deleted_2024_{EMAIL}"),
    Form("address", "in the name of a file", EMAIL, f"exports/{EMAIL}.zip"),
    Form("address", "in the name of a file, with more words", EMAIL, f"/var/export_{EMAIL}_2024.csv"),
    Form("address", "lexeme", EMAIL, f"SELECT to_tsvector('english', 'Write to {EMAIL} now')", "tsvector"),
    Form("address", "`at` and `dot` in words", EMAIL, "anna.muller (at) example (dot) org", found=False),
    Form(
        "address",
        "hash (MD5, SHA-256, bcrypt ...)",
        EMAIL,
        hashlib.sha256(EMAIL.encode()).hexdigest(),
        found=False,
    ),
    Form("handle", "after an @", HANDLE, f"thanks @{HANDLE}!"),
    Form("handle", "upper case", HANDLE, HANDLE.upper()),
    Form("handle", "at the end of a sentence", HANDLE, f"by {HANDLE}."),
    Form("handle", "with a suffix", HANDLE, f"{HANDLE}.deleted-2024"),
    Form("handle", "in the name of a file", HANDLE, f"{HANDLE}.png"),
    Form("handle", "in the name of a file, with more words", HANDLE, f"avatar_{HANDLE}-small.png"),
    Form("handle", "in a path", HANDLE, f"https://x.example/{HANDLE}/posts"),
    Form("handle", "base64", HANDLE, encoded(HANDLE, "by ", ".")),
    Form("handle", "lexeme", HANDLE, f"SELECT to_tsvector('english', 'thanks {HANDLE}')", "tsvector"),
    Form("handle", "part of a longer handle", HANDLE, f"{HANDLE}0", found=False),
    Form("handle", "part of a longer one in base64", HANDLE, encoded(f"{HANDLE}0", "by "), found=False),
    Form("name", "within a text", NAME, f"{NAME}'s letter"),
    Form("name", "upper case", NAME, NAME.upper()),
    Form("name", "swapped, with a comma", NAME, "Müller, Anna"),
    Form("name", "swapped", NAME, "MÜLLER Anna"),
    Form("name", "without accents", NAME, "Anna Muller"),
    Form("name", "umlauts as two letters", NAME, "Mueller, Anna"),
    Form("name", "several spaces, or one that does not break", NAME, "Anna\u00a0 Müller"),
    Form("name", "NFD", NAME, unicodedata.normalize("NFD", NAME)),
    Form("name", "URL encoding, `+` for spaces", NAME, quote_plus(NAME)),
    Form("name", "mail header (RFC 2047, Q)", NAME, "=?iso-8859-1?Q?Anna_M=FCller?="),
    Form("name", "HTML entities", NAME, "Anna&nbsp;M&uuml;ller"),
    Form("name", "base64", NAME, encoded(NAME, "")),
    Form("name", "UTF-16 among bytes", NAME, NAME.encode("utf-16-le"), "bytea"),
    Form("name", "dotted capital I", TURKISH, f"by {TURKISH}, Ankara"),
    Form("name", "dotted capital I, small letters", TURKISH, "Halil Yilmaz"),
    Form("name", "dotted capital I, UTF-8 among bytes", TURKISH, b"\xff" + TURKISH.encode(), "bytea"),
    Form("name", "UTF-8 among bytes, no ASCII letter", CYRILLIC, b"\xff" + CYRILLIC.encode(), "bytea"),
    Form("name", "UTF-16LE among bytes, no ASCII letter", CYRILLIC, CYRILLIC.encode("utf-16-le"), "bytea"),
    Form("handle", "UTF-8 among bytes, no ASCII letter", GREEK, f"by @{GREEK}!".encode(), "bytea"),
    Form("handle", "UTF-16BE among bytes, no ASCII letter", GREEK, GREEK.encode("utf-16-be"), "bytea"),
    Form("name", "lexemes", NAME, f"SELECT to_tsvector('simple', 'from {NAME}')", "tsvector"),
    Form(
        "name",
        "lexemes of a language",
        "Anna Bakers",
        "SELECT to_tsvector('english', 'by Anna Bakers')",
        "tsvector",
    ),
    Form("name", "lexemes, swapped", NAME, "SELECT to_tsvector('german', 'Müller, Anna')", "tsvector"),
    Form(
        "name",
        "lexemes without positions",
        NAME,
        f"SELECT strip(to_tsvector('simple', 'from {NAME}'))",
        "tsvector",
    ),
    Form("name", "initials", NAME, "A. Müller", found=False),
    Form("phone", "as it is", PHONE, f"call {PHONE}"),
    Form("phone", "without spaces", PHONE, "+49301234567"),
    Form("phone", "`00` for `+`", PHONE, "0049 30 1234567"),
    Form("phone", "at home", PHONE, "(030) 123 45 67"),
    Form("phone", "with dashes, dots, slashes", PHONE, "030/123-45.67"),
    Form("phone", "`(0)`", PHONE, "+49 (0)30 1234567"),
    Form("phone", "with a country, stored without", "030 1234567", "+49 30 1234567"),
    Form("phone", "URL (`tel:`)", PHONE, "tel:+49-30-1234567"),
    Form("phone", "within a longer number", PHONE, "1490301234567", found=False),
    Form("key (UUID)", "upper case", KEY, KEY.upper()),
    Form("key (UUID)", "without dashes", KEY, KEY.replace("-", "")),
    Form("key (UUID)", "in a word", KEY, f"usr_{KEY}.jpg"),
    Form("key (UUID)", "16 bytes", KEY, b"\x01" + UUID(KEY).bytes, "bytea"),
    Form("key (UUID)", "base64 of its text", KEY, encoded(KEY, "id=")),
    Form(
        "key (UUID)", "base64 of its 16 bytes", KEY, base64.b64encode(UUID(KEY).bytes).decode(), found=False
    ),
]


def shown(form: Form) -> str:
    if form.shown:
        return form.shown
    value = form.value
    if form.column == "tsvector":
        assert isinstance(value, str)
        return value.removeprefix("SELECT ")
    text = value.decode("latin-1") if isinstance(value, bytes) else value
    if isinstance(value, bytes):
        text = "".join(
            char if char.isascii() and char.isprintable() else f"\\x{ord(char):02x}" for char in text
        )
    text = text.replace("\r", "").replace("\n", "⏎")
    return text if len(text) <= 60 else text[:57] + "..."


def documented() -> str:
    """Write the table of the documents."""
    lines = ["| identifier | form | example | found |", "|---|---|---|---|"]
    for form in FORMS:
        example = shown(form).replace("|", "\\|")
        lines.append(f"| {form.of} | {form.name} | `{example}` | {'yes' if form.found else 'no'} |")
    return "\n".join(lines) + "\n"


@pytest.mark.services
def test_what_the_scan_finds(demo: Connection) -> None:
    demo.execute("CREATE TABLE forms (n int, text text, bytea bytea, jsonb jsonb, tsvector tsvector)")
    relation = None
    wrong = []
    for number, form in enumerate(FORMS):
        value: object = form.value
        if form.column == "tsvector":
            assert isinstance(form.value, str)
            [row] = demo.execute(form.value.encode() + b" AS v").fetchall()
            value = row["v"]
        demo.execute(
            f"INSERT INTO forms (n, {form.column}) VALUES (%s, CAST(%s AS {form.column}))", (number, value)
        )
    relation = catalogue.read(demo).relations[Name("public", "forms")]
    from psycopg import sql

    for number, form in enumerate(FORMS):
        hits = residue_scan.within(
            demo, relation, [form.identifier], sql.SQL("t.n = {}").format(sql.Literal(number))
        )
        if bool(hits) != form.found:
            wrong.append(f"{form.of}, {form.name}: {shown(form)}")
    assert wrong == []


def test_the_documents_say_so() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert text.partition(BEGIN)[2].partition(END)[0] == documented(), documented()
