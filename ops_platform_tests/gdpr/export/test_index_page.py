"""The page of an export: names and values as people read them, at both widths; pictures as pictures."""

from __future__ import annotations

import base64
import os
import struct
import zlib
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ops_platform.gdpr.data_map.model import DataMap
from ops_platform.gdpr.export import content, index_page, page_values
from ops_platform.gdpr.export.overview import Overview, Part
from ops_platform.gdpr.export.page_values import Words, label, value
from ops_platform.gdpr.export.zip_archive import Entry

WORDS = Words("yes", "no", "binary, {bytes} bytes")
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
WIDTHS = (360, 1280)


def png(colour: bytes) -> bytes:
    """A picture of 48 x 32 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = zlib.compress((b"\x00" + colour * 48) * 32)
    header = struct.pack(">IIBBBBB", 48, 32, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("usage_logs", "Usage logs"),
        ("creatorId", "Creator id"),
        ("public.posts", "Posts"),
        ("IBAN", "IBAN"),
        ("Tax ID", "Tax ID"),
        ("Billing Details", "Billing Details"),
        ("x", "X"),
    ],
)
def test_names_are_written_as_people_do(name: str, said: str) -> None:
    assert label(name) == said


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (True, "yes"),
        (12, "12"),
        ("<b>", "&lt;b&gt;"),
        ("2026-03-01T12:34:56.789+01:00", "2026-03-01 11:34 UTC"),
        ("2026-03-01T12:34:56", "2026-03-01 12:34"),
        ("9999-12-31T23:59:59-14:00", "9999-12-31T23:59:59-14:00"),
        ("2026-13-01T00:00:00Z", "2026-13-01T00:00:00Z"),
        ([1, None, "a"], "1, a"),
        ({}, ""),
        ({"a_b": [{"d": 1}]}, "<dl><div><dt>A b</dt><dd><ul><li><dl><div><dt>D</dt><dd>1</dd></div></dl></li>"
         "</ul></dd></div></dl>"),
    ],
)  # fmt: skip
def test_values_are_written_as_people_do(given: Any, said: str) -> None:
    assert value(given, WORDS) == said


@pytest.mark.parametrize("levels", [1, 19, 20, 21, 300, 400, *range(930, 1010, 8), 5000])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}"), ('[{"a":', "}]")])
def test_a_value_of_any_depth_is_shown_or_its_row_left_out(opening: str, closing: str, levels: int) -> None:
    """PostgreSQL stores it, and somebody else may have put it there: the export must not fail for it."""
    line = b'{"payload":' + (opening * levels + "7" + closing * levels).encode() + b"}"
    row = content._readable(line)
    if levels <= 400:
        assert row is not None
    if row is not None:
        shown = value(row, WORDS)
        assert len(shown) < 8000
        assert "7" in shown or levels > 100


@pytest.mark.parametrize(
    "number", ["12345678901234567.89", "10.50", "0.00001", "1e400", "-7", "98765432109876543210"]
)
def test_a_number_is_shown_as_it_is_stored(number: str) -> None:
    row = content._readable(f'{{"amount": {number}, "all": [{number}]}}'.encode())
    assert row is not None
    assert (value(row["amount"], WORDS), value(row["all"], WORDS)) == (number, number)


def test_binary_values_are_counted_and_pictures_found() -> None:
    image = png(b"\x20\x60\xa0")
    for data in (b"", b"a", b"ab", b"abc", image):
        text = base64.b64encode(data).decode()
        assert value(text, WORDS, is_binary=True) == f"binary, {len(data)} bytes"
    assert page_values.picture(base64.b64encode(image).decode()) == (image, "png")
    for other in ("", "not base64!", base64.b64encode(b"<svg/>").decode(), None, 7):
        assert page_values.picture(other) is None


def overview(demo_map: DataMap) -> Overview:
    account = Part(
        "creators", "account", "So that you can sign in.", "Until you close it.", "Your account",
        technical=frozenset({"id", "token_hash"}),
        titles={"dob": "Date of birth"},
        rows=1,
        entry=Entry("data/creators/account.json", 10, "0"),
        first=[{"id": "0f5b2c00-0000-4000-8000-000000000001", "number": 1234567, "email": "anna@example.org",
                "full_name": "Anna Lind", "dob": "1980-02-03", "created_at": "2026-03-01T12:00:00+00:00",
                "token_hash": "f" * 64, "phone": None}],
    )  # fmt: skip
    media = Part(
        "media", "owner", "Your images, sound and video.", "Until you remove them.", "Media",
        technical=frozenset({"id"}),
        binary=frozenset({"thumbnail"}),
        rows=300,
        entry=Entry("data/media/owner.jsonl", 10, "0"),
        first=[{"id": number, "thumbnail": "x", "object_key": "k" * 300,
                "exif": {"camera": {"make": "A", "settings": [1, 2]}, "a" * 80: 1}} for number in range(20)],
        pictures={(number, "thumbnail"): f"pictures/media/{number}.png" for number in range(20)},
    )  # fmt: skip
    empty = Part("webhooks", "owner", "To tell your own systems.", "Until you remove them.", "Webhooks")
    return Overview(demo_map, [account, media, empty], "en", NOW, "r1")


def test_technical_columns_are_shown_when_asked(demo_map: DataMap) -> None:
    page = index_page.index(overview(demo_map))
    account = page[page.index("Your account") : page.index("<h3>Media")]
    before, _, asked = account.partition("<summary>Technical details</summary>")
    for text in ("1234567", "Date of birth", "Anna Lind", "2026-03-01 12:00 UTC", "Created at"):
        assert text in before
    for text in ("0f5b2c00", "f" * 64):
        assert text not in before
        assert text in asked
    assert "Phone" not in page
    assert "Webhooks (owner)" in page[page.index("Nothing about you is stored here") :]
    assert "The first 20 of 300 entries" in page


def test_a_row_of_nothing_but_technical_columns_is_shown(demo_map: DataMap) -> None:
    facts = overview(demo_map)
    only = replace(facts.parts[0], first=[{"id": "0f5b2c00"}])
    page = index_page.index(replace(facts, parts=[only]))
    assert "0f5b2c00" in page
    assert "Technical details" not in page


@pytest.mark.full
@pytest.mark.processes
def test_it_can_be_read_in_a_browser_at_both_widths(demo_map: DataMap, tmp_path: Path) -> None:
    from axe_playwright_python.sync_playwright import Axe

    from ops_platform_tests.e2e.browser import chromium

    facts = overview(demo_map)
    (tmp_path / "index.html").write_text(index_page.index(facts), encoding="utf-8")
    for number, path in enumerate(facts.parts[1].pictures.values()):
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(png(bytes([10 * number, 90, 160])))
    with chromium([], None, "", "en-GB") as context:
        page = context.new_page()
        page.goto((tmp_path / "index.html").as_uri())
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 800})
            page.evaluate(
                "document.querySelectorAll('details').forEach((part, nth) => { part.open = !nth; })"
            )
            assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
            # Collapsed, all of it is a few screens; today's table was 11,113 pixels high.
            assert page.evaluate("document.documentElement.scrollHeight") < 3500
            digits = page.get_by_text("1234567", exact=True)
            assert digits.evaluate("element => element.getClientRects().length") == 1
            assert digits.evaluate("element => element.offsetHeight") < 40
            if images := os.environ.get("OPS_TEST_IMAGES"):
                page.screenshot(path=Path(images) / f"export-{width}.png", full_page=True)
            page.evaluate("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
            assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
            found = Axe().run(page)
            assert found.violations_count == 0, found.generate_report()
        loaded = "Array.from(document.images).every((image) => image.complete && image.naturalWidth === 48)"
        page.evaluate("Promise.all(Array.from(document.images).map((image) => image.decode()))")
        assert page.evaluate(loaded)
