"""The pages: static, in two languages, without third parties. A browser's part is in the full set."""

from __future__ import annotations

import re

import pytest

from ops_platform.api.appearance import confirmation_texts, frame_texts, status_texts
from ops_platform.api.appearance.brand import Brand, Logo
from ops_platform.api.appearance.confirmation_texts import BAD, GOOD
from ops_platform.api.pages import assets, confirmation, status
from ops_platform.gdpr.erasure import pipeline
from ops_platform.gdpr.requests.mail_texts import LANGUAGES, Language
from ops_platform_tests.api.house import House

BRAND = Brand("Rosa & Co", contact="privacy@rosa.example", logo=Logo(b"<svg/>", "image/svg+xml"))


@pytest.mark.services
@pytest.mark.parametrize(
    ("query", "header", "language"),
    [
        ("", None, "en"),
        ("", "fr-CH, en;q=0.7", "fr"),
        ("?lang=en", "fr", "en"),
        ("?lang=fr", None, "fr"),
        ("?lang=xx", "fr", "fr"),
        ("?lang=%00<script>", None, "en"),
    ],
)
def test_its_language(api: House, query: str, header: str | None, language: str) -> None:
    answer = api.send(
        "GET", f"/api/gdpr/verify{query}", headers={"Accept-Language": header} if header else {}
    )
    assert (answer.status_code, answer.headers["content-language"]) == (200, language)
    assert f'<html lang="{language}">' in answer.text
    assert "script-src 'self'" in answer.headers["content-security-policy"]
    assert "unsafe" not in answer.headers["content-security-policy"]


@pytest.mark.services
def test_its_parts_are_served_and_a_get_uses_no_token_up(api: House) -> None:
    api.change(brand=BRAND)
    request_id = api.request(api.person()).json()["request_id"]
    before = api.table.row(request_id)
    text = api.send("GET", "/api/gdpr/verify").text + api.send("GET", "/api/gdpr/status").text
    paths = set(re.findall(r'(?:src|href)="(/api/gdpr/assets/[^"]*)"', text))
    assert len(paths) == 5
    for path in paths:
        answer = api.send("GET", path)
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith(("text/javascript", "text/css", "image/svg+xml"))
    assert api.table.row(request_id) == before


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("asks_consent", [True, False])
def test_what_it_holds(language: Language, asks_consent: bool) -> None:
    text = confirmation.render(
        language, BRAND, 'https://example.org/privacy?a="b"', asks_consent=asks_consent
    )
    assert not re.search(r"\$\{?\w", text)
    assert "//" not in re.sub(r'href="https://example.org/privacy\?a=&quot;b&quot;"', "", text)
    assert ('id="consent"' in text) == asks_consent
    labelled = set(re.findall(r'<label[^>]* for="(\w+)"', text))
    assert labelled == set(re.findall(r'<input id="(\w+)"', text))
    assert "<script>" not in text
    assert " style=" not in text
    assert not re.search(r"\son\w+=", text)
    for name in (*GOOD, *BAD):
        assert f'id="{name}"' in text
    assert "Rosa &amp; Co" in text
    assert 'href="mailto:privacy@rosa.example"' in text


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_the_status_page_holds(language: Language) -> None:
    text = status.render(language, BRAND, None)
    assert not re.search(r"\$\{?\w", text)
    assert "//" not in text
    assert "<script>" not in text
    assert " style=" not in text
    assert not re.search(r"\son\w+=", text)
    script = (assets.STATIC / "status.js").read_text(encoding="utf-8")
    for name in re.findall(r"(?:say|button|signedOut)\(\"([\w-]+)\"", script):
        assert name in status_texts.EN, name


def test_every_step_and_outcome_has_words() -> None:
    for step in pipeline.STEPS:
        assert f"doing-{step.name}" in status_texts.EN or step.name == "done"
    for outcome in ("cancelled", "expired", "error"):
        assert f"state-{outcome}" in status_texts.EN


def test_an_erasure_cannot_be_undone_in_any_language() -> None:
    assert "it cannot be undone." in confirmation.render("en", Brand(), None, asks_consent=False)
    assert "C'est irréversible." in confirmation.render("fr", Brand(), None, asks_consent=False)


@pytest.mark.parametrize("texts", [confirmation_texts.TEXTS, frame_texts.TEXTS, status_texts.TEXTS])
def test_the_languages_say_the_same_things(texts: dict[Language, dict[str, str]]) -> None:
    assert set(texts) == set(LANGUAGES)
    assert set(texts["en"]) == set(texts["fr"])
    assert len(set(texts["en"].values()) & set(texts["fr"].values())) <= 1
    for name, text in texts["en"].items():
        assert re.findall(r"\{\w*\}", text) == re.findall(r"\{\w*\}", texts["fr"][name]), name


def test_the_script_knows_every_ending_of_the_api() -> None:
    script = (assets.STATIC / "verify.js").read_text(encoding="utf-8")
    for name in ("incomplete", "consent-missing", "unavailable", "not-found"):
        assert f'"{name}"' in script
        assert name in BAD
