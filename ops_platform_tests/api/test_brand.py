"""The look of the pages by configuration: read once, readable whatever the colour, refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops_platform.api.appearance import brand, status_texts
from ops_platform.api.appearance.confirmation_texts import EN, FR
from ops_platform.errors import ConfigurationError
from ops_platform.settings import load_settings


def read(tmp_path: Path, **values: str) -> brand.Brand:
    settings = load_settings({"OPS_STATE_DIR": str(tmp_path), **values})
    return brand.from_settings(settings.page)


def test_name_logo_contact_and_texts(tmp_path: Path) -> None:
    logo, texts = tmp_path / "logo.svg", tmp_path / "texts.yaml"
    logo.write_text("<svg/>")
    texts.write_text("en:\n  confirmation:\n    kept: We keep invoices.\n    download: By mail.\n")
    made = read(
        tmp_path,
        OPS_PAGE_NAME="Rosa",
        OPS_PAGE_LOGO_FILE=str(logo),
        OPS_PAGE_CONTACT="https://rosa.example/help",
        OPS_PAGE_TEXTS_FILE=str(texts),
    )
    assert made.logo == brand.Logo(b"<svg/>", "image/svg+xml")
    assert made.contact_url == "https://rosa.example/help"
    assert made.own("en", "confirmation") == {**EN, "kept": "We keep invoices.", "download": "By mail."}
    assert made.own("fr", "confirmation") == FR
    # The status page has other texts of the same names.
    assert made.own("en", "status") == status_texts.EN


@given(st.integers(0, 0xFFFFFF))
def test_text_on_any_colour_is_readable(number: int) -> None:
    colour = f"#{number:06x}"
    levels = sorted(brand._luminance(one) for one in (colour, brand.readable_on(colour)))
    assert (levels[1] + 0.05) / (levels[0] + 0.05) >= 4.5


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("OPS_PAGE_COLOUR", "red", "must be like"),
        ("OPS_PAGE_COLOUR", "#12345; }", "must be like"),
        ("OPS_PAGE_CONTACT", "javascript:alert(1)", "must be an e-mail address"),
        ("OPS_PAGE_LOGO_FILE", "/nowhere/logo.svg", "cannot read"),
        ("OPS_PAGE_LOGO_FILE", "logo.exe", "must be one of"),
        ("OPS_PAGE_TEXTS_FILE", "/nowhere/texts.yaml", "cannot be read"),
        ("en: {status: {nothing: x}}", "", "no such text"),
        ("en: {kept: x}", "", "must map"),
        ("en: [a]", "", "must map"),
        ("en: {status: text}", "", "must map"),
        ("[]", "", "must map"),
        ("de: {kept: x}", "", "must map"),
        ("fr: {confirmation: {copy: 'jusqu''au {when}'}}", "", "placeholders"),
    ],
)
def test_what_is_wrong_is_refused(tmp_path: Path, name: str, value: str, reason: str) -> None:
    if not name.startswith("OPS_"):
        file = tmp_path / "texts.yaml"
        file.write_text(name)
        name, value = "OPS_PAGE_TEXTS_FILE", str(file)
    with pytest.raises(ConfigurationError, match=reason):
        read(tmp_path, **{name: value})
