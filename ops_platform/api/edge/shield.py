"""The outermost layer: security headers, the size limit, and an answer whatever happens inside."""

from __future__ import annotations

import logging
import re
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
_SECURITY_HEADERS = {
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
_HOST = re.compile(
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9_-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9_-]*[A-Za-z0-9])?)*\.?"
    r"|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?"
)
"""A name, an IPv4 address or an IPv6 address in brackets, with or without a port."""
_GET_THAT_DOES_SOMETHING = "/api/gdpr/download/"
"""Gives out a link and records it: not for HEAD, which changes nothing."""

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
        began, status, is_head = time.perf_counter(), 0, scope["method"] == "HEAD"
        state = scope.setdefault("state", {})

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                _add_headers(message, state, scope["scheme"] == "https")
                self._answered(state.get(OPERATION, "other"), status, time.perf_counter() - began)
            elif is_head and message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        if not _has_one_host(scope):
            problem = Problem(400, "invalid-host", "A request names exactly one host, in the header Host.")
            await problem.response()(scope, receive, sending)
            return
        if _declared_length(scope) > LARGEST_BODY_BYTES:
            await too_large().response()(scope, receive, sending)
            return
        if scope["method"] == "HEAD" and not scope["path"].startswith(_GET_THAT_DOES_SOMETHING):
            # The answer's body is left out below.
            scope = {**scope, "method": "GET"}
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


def security_headers(is_tls: bool) -> Mapping[str, str]:
    """Return the headers of every answer, unless its endpoint sets them otherwise."""
    return {**_SECURITY_HEADERS, **({_HSTS[0]: _HSTS[1]} if is_tls else {})}


def _has_one_host(scope: Scope) -> bool:
    names = Headers(scope=scope).getlist("host")
    return len(names) == 1 and _HOST.fullmatch(names[0]) is not None


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
    for name, value in security_headers(is_tls).items():
        headers.setdefault(name, value)
