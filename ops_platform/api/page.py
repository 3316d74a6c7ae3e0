"""GET /api/gdpr/verify: the page that a mailed link opens. It is static: a GET never uses up a token."""

from __future__ import annotations

from html import escape
from pathlib import Path
from string import Template

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, Response

from ops_platform.api.edge import guards
from ops_platform.api.openapi import problems
from ops_platform.api.page_texts import BAD, GOOD, TEXTS
from ops_platform.api.service import Service
from ops_platform.gdpr.requests import LANGUAGES, PAGE, Language, language_of

STATIC = Path(__file__).parent / "static"
ASSETS = {"verify.js": "text/javascript", "verify.css": "text/css"}
NAMES = {"en": "English", "fr": "Français"}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self'; "
    "form-action 'none'; frame-ancestors 'none'; base-uri 'none'"
)


def router(service: Service) -> APIRouter:
    """Build the routes of the page, rendered once in each language, and of its assets."""
    routes = APIRouter(tags=["data subjects"])
    pages = {
        language: render(language, service.privacy_notice_url, asks_consent=bool(service.consent_version))
        for language in LANGUAGES
    }

    @routes.get(
        PAGE,
        response_class=HTMLResponse,
        summary="The page that the mailed link opens",
        responses=problems(413),
    )
    async def verify_page(request: Request, lang: str = "") -> Response:
        """Serve the page in English or French: ``lang``, else ``Accept-Language``."""
        guards.count_as(request, "page")
        chosen = next((language for language in LANGUAGES if language == lang), None)
        language = chosen or language_of(request.headers.get("accept-language"))
        headers = {
            "Content-Security-Policy": POLICY,
            "Content-Language": language,
            "Vary": "Accept-Language",
        }
        return HTMLResponse(pages[language], headers=headers)

    for name, media_type in ASSETS.items():
        _asset(routes, name, media_type)
    return routes


def _asset(routes: APIRouter, name: str, media_type: str) -> None:
    content = (STATIC / name).read_bytes()

    @routes.get(f"/api/gdpr/assets/{name}", include_in_schema=False)
    async def asset() -> Response:
        return Response(content, media_type=media_type, headers={"Cache-Control": "no-cache"})


def render(language: Language, privacy_notice_url: str | None, *, asks_consent: bool) -> str:
    """Render the page in one language as HTML."""
    texts = {name: escape(text) for name, text in TEXTS[language].items()}
    links = [
        f'<span lang="{code}" aria-current="true">{NAMES[code]}</span>'
        if code == language
        else f'<a href="?lang={code}" lang="{code}" hreflang="{code}">{NAMES[code]}</a>'
        for code in LANGUAGES
    ]
    endings = [
        f'<p id="{name}" class="{kind}" data-ending="{kind}" role="{role}" tabindex="-1" hidden>'
        f"{texts[name]}</p>"
        for kind, role, names in (("good", "status", GOOD), ("bad", "alert", BAD))
        for name in names
    ]
    notice = consent = ""
    if privacy_notice_url:
        notice = f'<p><a href="{escape(privacy_notice_url)}" rel="noreferrer">{texts["privacy"]}</a></p>'
    if asks_consent:
        consent = (
            f'<label class="inline" for="consent"><input id="consent" type="checkbox"> '
            f"{texts['consent']}</label>"
        )
    template = Template((STATIC / "verify.html").read_text(encoding="utf-8"))
    return template.substitute(
        texts,
        lang=language,
        languages=" ".join(links),
        endings="\n".join(endings),
        privacy_notice=notice,
        consent_box=consent,
    )
