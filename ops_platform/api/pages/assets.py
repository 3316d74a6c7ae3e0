"""The files beside the pages: scripts, the style sheet, the colours and the logo of the brand."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter
from starlette.responses import Response

from ops_platform.api.service import Service

STATIC = Path(__file__).parents[1] / "static"
FILES = {"page.css": "text/css", "verify.js": "text/javascript", "status.js": "text/javascript"}


def router(service: Service) -> APIRouter:
    """Build the routes of all files; each is read once."""
    routes = APIRouter(prefix="/api/gdpr/assets", include_in_schema=False)
    for name, media_type in FILES.items():
        _add(routes, name, (STATIC / name).read_bytes(), media_type)
    _add(routes, "brand.css", service.brand.css().encode(), "text/css")
    logo = service.brand.logo
    if logo is not None:
        _add(routes, "logo", logo.content, logo.media_type)
    return routes


def _add(routes: APIRouter, name: str, content: bytes, media_type: str) -> None:
    @routes.get(f"/{name}")
    async def asset() -> Response:
        return Response(content, media_type=media_type, headers={"Cache-Control": "no-cache"})
