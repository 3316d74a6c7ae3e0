"""The frame of every page: head, brand, languages, footer; and the page's texts for its script."""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import escape
from string import Template

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, Response

from ops_platform.api.appearance import Brand
from ops_platform.api.edge import guards
from ops_platform.api.openapi import problems
from ops_platform.api.pages.assets import STATIC
from ops_platform.gdpr.requests import LANGUAGES, Language, language_of

NAMES = {"en": "English", "fr": "Français"}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'none'; frame-ancestors 'none'; base-uri 'none'"
)


def render(
    language: Language,
    brand: Brand,
    *,
    title: str,
    script: str,
    content: str,
    texts: Mapping[str, str],
    privacy_notice_url: str | None,
) -> str:
    """Render a page as HTML. ``content`` is HTML, all else is text; the script finds ``texts`` as JSON."""
    own = brand.own(language, "frame")
    links = [
        f'<span lang="{code}" aria-current="true">{NAMES[code]}</span>'
        if code == language
        else f'<a href="?lang={code}" lang="{code}" hreflang="{code}">{NAMES[code]}</a>'
        for code in LANGUAGES
    ]
    footer = [
        f'<a href="{escape(url)}" rel="noreferrer">{escape(own[name])}</a>'
        for name, url in (("privacy", privacy_notice_url), ("contact", brand.contact_url))
        if url
    ]
    name = escape(brand.name or own["brand"])
    logo = '<img class="logo" src="/api/gdpr/assets/logo" alt="">' if brand.logo else ""
    template = Template((STATIC / "layout.html").read_text(encoding="utf-8"))
    return template.substitute(
        lang=language,
        title=escape(title),
        name=name,
        logo=logo,
        script=script,
        language=escape(own["language"]),
        languages=" ".join(links),
        content=content,
        footer=" ".join(footer),
        # Within a script element only "<" could end it.
        texts=json.dumps(dict(texts), ensure_ascii=False).replace("<", "\\u003c"),
    )


def router(path: str, name: str, summary: str, pages: Mapping[Language, str]) -> APIRouter:
    """Build the route of a page that is the same for everybody; ``name`` is the operation's."""
    routes = APIRouter(tags=["data subjects"])

    @routes.get(path, name=name, response_class=HTMLResponse, summary=summary, responses=problems(413))
    async def page(request: Request, lang: str = "") -> Response:
        """Serve the page in English or French: ``lang``, else ``Accept-Language``."""
        guards.count_as(request, "page")
        chosen = next((language for language in LANGUAGES if language == lang), None)
        language = chosen or language_of(request.headers.get("accept-language"))
        headers = {"Content-Security-Policy": POLICY, "Content-Language": language, "Vary": "Accept-Language"}
        return HTMLResponse(pages[language], headers=headers)

    return routes
