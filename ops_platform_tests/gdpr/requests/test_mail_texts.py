"""Tokens, languages and mails: the pure part."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops_platform.gdpr.requests import mail_texts
from ops_platform.gdpr.requests import token as tokens
from ops_platform.gdpr.requests.lifecycle import REQUEST_TYPES
from ops_platform.gdpr.requests.mail_texts import LANGUAGES, language_of
from ops_platform_tests.gdpr.requests_database import T0


def test_a_token_has_256_bits_and_reads_as_it_is_typed() -> None:
    made = {tokens.new_token() for _ in range(200)}
    assert len(made) == 200
    for token in made:
        assert len(token) * 5 >= 256
        assert tokens.read(token) == tokens.read(f" {tokens.as_code(token).lower()}\n") == token
        assert tokens.matches(token, tokens.digest(token))
        assert not tokens.matches(token, None)


@given(st.text())
def test_any_text_is_a_token_or_none(typed: str) -> None:
    token = tokens.read(typed)
    assert token is None or (len(token) == tokens.LENGTH and tokens.read(token) == token)


def test_nothing_matches_a_missing_token() -> None:
    assert not tokens.matches("", None)


@pytest.mark.parametrize(
    ("header", "language"),
    [
        (None, "en"),
        ("", "en"),
        ("fr", "fr"),
        ("fr-CA,fr;q=0.9,en;q=0.8", "fr"),
        ("de, en;q=0.8, fr;q=0.9", "fr"),
        ("en, fr", "en"),
        ("fr;q=0", "en"),
        ("fr;q=nonsense, en;q=0.1", "en"),
        ("fr;q=inf", "en"),
        ("*", "en"),
        (",;q=,;;" * 1000, "en"),
    ],
)
def test_the_language_of_a_header(header: str | None, language: str) -> None:
    assert language_of(header) == language


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("request_type", REQUEST_TYPES)
def test_every_mail_has_its_link_code_and_warning(
    language: mail_texts.Language, request_type: mail_texts.RequestType
) -> None:
    text = mail_texts.verification(
        language,
        request_type,
        link="https://x/#y",
        request_id="id-1",
        code="AB",
        status_page="https://x/s",
        export_until=T0,
    )
    assert text.body.startswith(f"{mail_texts.HEADINGS[language, request_type]}\n===")
    assert mail_texts.BUTTONS[language, request_type] in text.body
    final = {"en": "cannot be undone", "fr": "c'est irréversible"}[language]
    assert (final in text.body.replace("\n", " ")) == (request_type == "erasure")
    assert "2026-03-01 12:00 UTC" in text.body
    assert "\nhttps://x/#y\n" in text.body
    assert "id-1" in text.body
    assert "AB" in text.body
    assert "24" in text.body
    assert "\n" not in text.subject
    assert max(map(len, text.body.splitlines())) <= 100
