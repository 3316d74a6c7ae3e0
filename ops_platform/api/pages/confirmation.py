"""GET /api/gdpr/verify: the page that a mailed link opens. It is static: a GET never uses up a token."""

from __future__ import annotations

from html import escape
from string import Template

from fastapi import APIRouter

from ops_platform.api.appearance import Brand, confirmation_texts
from ops_platform.api.pages import layout
from ops_platform.api.pages.assets import STATIC
from ops_platform.api.service import Service
from ops_platform.gdpr.requests import LANGUAGES, PAGE, REQUEST_TYPES, Language, mail_texts


def router(service: Service) -> APIRouter:
    """Build the route of the page, which is rendered once in each language."""
    pages = {
        language: render(
            language,
            service.brand,
            service.privacy_notice_url,
            asks_consent=bool(service.consent_version),
        )
        for language in LANGUAGES
    }
    return layout.router(PAGE, "verify_page", "The page that the mailed link opens", pages)


def render(language: Language, brand: Brand, privacy_notice_url: str | None, *, asks_consent: bool) -> str:
    """Render the page in one language as HTML."""
    own = brand.own(language, "confirmation")
    for kind in REQUEST_TYPES:
        own[f"heading-{kind}"] = mail_texts.HEADINGS[language, kind]
        own[f"button-{kind}"] = mail_texts.BUTTONS[language, kind]
    texts = {name: escape(text) for name, text in own.items()}
    endings = [
        f'<p id="{name}" class="{kind}" data-ending="{kind}" role="{role}" tabindex="-1" hidden>'
        f"{texts[name]}</p>"
        for kind, role, names in (
            ("good", "status", confirmation_texts.GOOD),
            ("bad", "alert", confirmation_texts.BAD),
        )
        for name in names
    ]
    consent = ""
    if asks_consent:
        consent = (
            f'<label class="inline" for="consent"><input id="consent" type="checkbox"> '
            f"{texts['consent']}</label>"
        )
    content = Template((STATIC / "verify.html").read_text(encoding="utf-8")).substitute(
        texts, lang=language, endings="\n".join(endings), consent_box=consent
    )
    return layout.render(
        language,
        brand,
        title=own["title"],
        script="verify.js",
        content=content,
        texts=own,
        privacy_notice_url=privacy_notice_url,
    )
