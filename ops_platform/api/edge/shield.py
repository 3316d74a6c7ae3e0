"""The outermost layer: security headers, the size limit, and an answer whatever happens inside."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ops_platform.api.problems import Problem
from ops_platform.clients.safe_errors import describe

log = logging.getLogger(__name__)

LARGEST_BODY_BYTES = 16 * 1024
EXTRA_HEADERS = "ops_platform.headers"
"""Key of the scope's state: headers of the answer, whether it is a success or an error."""
OPERATION = "ops_platform.operation"
"""Key of the scope's state: the operation that the request is counted as."""

POLICY = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_HSTS = ("Strict-Transport-Security", "max-age=31536000")

Answered = Callable[[str, int, float], None]
"""Called with the operation, the status and the seconds of each answer."""


class BodyTooLarge(Exception):
    """A request has more than LARGEST_BODY_BYTES."""


class Shield:
    """Wraps the application; none of its exceptions gets out."""

    def __init__(self, app: ASGIApp, answered: Answered) -> None:
        self._app, self._answered = app, answered

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (ASGI)."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 0
        state = scope.setdefault("state", {})

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                _add_headers(message, state, scope["scheme"] == "https")
                self._answered(state.get(OPERATION, "other"), status, time.perf_counter() - began)
            await send(message)

        if _declared_length(scope) > LARGEST_BODY_BYTES:
            await too_large().response()(scope, receive, sending)
            return
        try:
            await self._app(scope, _limited(receive), sending)
        except Exception as error:
            log.error("failed: %s", describe(error))
            if not status:
                await unexpected().response()(scope, receive, sending)


def too_large() -> Problem:
    """Build the answer to a body that is too large."""
    return Problem(413, "body-too-large", f"A request may have at most {LARGEST_BODY_BYTES} bytes.")


def unexpected() -> Problem:
    """Build the answer to an unforeseen error."""
    return Problem(500, "unexpected", "Something went wrong here. Nothing was half done; try again later.")


def _limited(receive: Receive) -> Receive:
    received = 0

    async def limited() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > LARGEST_BODY_BYTES:
            raise BodyTooLarge
        return message

    return limited


def _declared_length(scope: Scope) -> int:
    text = Headers(scope=scope).get("content-length", "")
    return int(text) if text.isdecimal() and len(text) < 20 else 0


def _add_headers(message: Message, state: Mapping[str, object], is_tls: bool) -> None:
    headers = MutableHeaders(scope=message)
    extra = state.get(EXTRA_HEADERS)
    for name, value in extra.items() if isinstance(extra, dict) else ():
        headers[name] = value
    for name, value in _HEADERS.items():
        headers.setdefault(name, value)
    if is_tls:
        headers.setdefault(*_HSTS)
