"""The ASGI application: routes, and one form for every error. Others call only ``build``."""

from __future__ import annotations

import logging
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from ops_platform.api import health, pages, routes, sessions
from ops_platform.api.edge import BodyTooLarge, Shield, too_large, unexpected
from ops_platform.api.openapi import describe
from ops_platform.api.problems import Problem, not_found, unavailable
from ops_platform.api.schemas import NewRequest, SignIn, TypedToken, Verification
from ops_platform.api.service import Service
from ops_platform.clients import safe_errors
from ops_platform.errors import OpsError

log = logging.getLogger(__name__)

_HTTP_NAMES = {
    404: ("not-found", "There is nothing here."),
    405: ("method-not-allowed", "This cannot be done here: see Allow."),
}


def build(service: Service) -> Shield:
    """Build the ASGI application over ``service``, which the caller closes."""
    # No /docs: its page loads scripts from other sites.
    app = FastAPI(openapi_url="/openapi.json", docs_url=None, redoc_url=None, redirect_slashes=False)
    for router in (
        routes.router(service),
        sessions.router(service),
        pages.confirmation.router(service),
        pages.status.router(service),
        pages.assets_router(service),
        health.router(service),
    ):
        app.include_router(router)
    app.openapi = describe(app, [NewRequest, SignIn, TypedToken, Verification])  # type: ignore[method-assign]
    for kind, handler in _HANDLERS.items():
        app.add_exception_handler(kind, handler)
    return Shield(app, service.metrics.answered)


async def _problem(_: Request, error: Any) -> Response:
    return (error if isinstance(error, Problem) else not_found()).response()


async def _too_large(_: Request, error: Exception) -> Response:
    return too_large().response()


async def _http(_: Request, error: Any) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for it
    name, detail = _HTTP_NAMES.get(error.status_code, ("refused", "This request cannot be answered."))
    return Problem(error.status_code, name, detail, headers=error.headers).response()


async def _invalid(_: Request, error: Exception) -> Response:
    return Problem(422, "invalid", "The request is not what is expected here.").response()


async def _ours(_: Request, error: Exception) -> Response:
    # Our own errors are one line without personal data; the client learns that it may try again.
    log.warning("%s", safe_errors.describe(error))
    return unavailable().response()


async def _unexpected(_: Request, error: Exception) -> Response:
    # Starlette raises the error again after the answer; the shield logs its kind and place.
    return unexpected().response()


_HANDLERS: dict[type[Exception], Any] = {
    Problem: _problem,
    BodyTooLarge: _too_large,
    HTTPException: _http,
    RequestValidationError: _invalid,
    OpsError: _ours,
    Exception: _unexpected,
}
