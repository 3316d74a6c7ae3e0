"""GET /api/gdpr/status: the page on which people follow their requests, download and cancel."""

from __future__ import annotations

from html import escape
from string import Template

from fastapi import APIRouter

from ops_platform.api.appearance import Brand
from ops_platform.api.pages import layout
from ops_platform.api.pages.assets import STATIC
from ops_platform.api.service import Service
from ops_platform.gdpr.requests import LANGUAGES, REQUEST_TYPES, STATUS_PAGE, Language, mail_texts


def router(service: Service) -> APIRouter:
    """Build the route of the page, which is rendered once in each language."""
    pages = {language: render(language, service.brand, service.privacy_notice_url) for language in LANGUAGES}
    return layout.router(STATUS_PAGE, "status_page", "The page on which people follow their requests", pages)


def render(language: Language, brand: Brand, privacy_notice_url: str | None) -> str:
    """Render the page in one language as HTML."""
    own = brand.own(language, "status")
    for kind in REQUEST_TYPES:
        own[f"heading-{kind}"] = mail_texts.HEADINGS[language, kind]
    content = Template((STATIC / "status.html").read_text(encoding="utf-8")).substitute(
        {name: escape(text) for name, text in own.items()}
    )
    return layout.render(
        language,
        brand,
        title=own["title"],
        script="status.js",
        content=content,
        texts=own,
        privacy_notice_url=privacy_notice_url,
    )
