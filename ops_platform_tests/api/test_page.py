"""The page: static, in two languages, without third parties. A browser's part is in the full set."""

from __future__ import annotations

import re

import pytest

from ops_platform.api import page, page_texts
from ops_platform.api.page_texts import BAD, GOOD, TEXTS
from ops_platform.gdpr.requests.mail_texts import LANGUAGES, Language
from ops_platform_tests.api.house import House


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
    request_id = api.request(api.person()).json()["request_id"]
    before = api.table.row(request_id)
    text = api.send("GET", "/api/gdpr/verify").text
    for path in re.findall(r'(?:src|href)="(/[^"]*)"', text):
        answer = api.send("GET", path)
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith(("text/javascript", "text/css"))
    assert api.table.row(request_id) == before


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("asks_consent", [True, False])
def test_what_it_holds(language: Language, asks_consent: bool) -> None:
    text = page.render(language, 'https://example.org/privacy?a="b"', asks_consent=asks_consent)
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


def test_the_languages_say_the_same_things() -> None:
    assert {language: set(texts) for language, texts in TEXTS.items()} == {
        language: set(page_texts.EN) for language in LANGUAGES
    }
    assert len(set(page_texts.FR.values()) & set(page_texts.EN.values())) <= 1


def test_the_script_knows_every_ending_of_the_api() -> None:
    script = (page.STATIC / "verify.js").read_text(encoding="utf-8")
    for name in ("incomplete", "consent-missing", "unavailable", "not-found"):
        assert f'"{name}"' in script
        assert name in BAD
