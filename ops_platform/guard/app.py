"""The ASGI application: each request is judged, recorded where it changes something, and sent on."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import quote
from uuid import uuid4

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from ops_platform.audit import JSON, AuditEvent
from ops_platform.clients.safe_errors import describe
from ops_platform.gate import GateAnswers
from ops_platform.guard import boundary, document, pages, release_gate, subscription
from ops_platform.guard.change import Change, clean, read_change
from ops_platform.guard.identity import Caller, Doorkeeper
from ops_platform.guard.login import OUTSIDE, Entrance
from ops_platform.guard.metrics import GuardMetrics
from ops_platform.guard.record import Record, intent, succeeded
from ops_platform.guard.refusal import Refusal
from ops_platform.guard.sessions import Sessions
from ops_platform.guard.upstream import Upstream
from ops_platform.settings import GuardSettings

log = logging.getLogger(__name__)

REASON_HEADER = "ops-reason"
_SECURITY_HEADERS = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_POLICY = "frame-ancestors 'none'; form-action 'self'; base-uri 'none'"
"""Added to the webserver's own policy: a browser keeps both."""


@dataclass(frozen=True)
class Parts:
    """What the application works with."""

    settings: GuardSettings
    hosts: frozenset[str]
    sessions: Sessions
    doorkeeper: Doorkeeper
    entrance: Entrance
    record: Record
    webserver: Upstream
    readonly_webserver: Upstream
    metrics: GuardMetrics
    gate: GateAnswers | None = None


class Guard:
    """The application; none of its exceptions gets out."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request or WebSocket (ASGI)."""
        if scope["type"] == "websocket":
            await self._websocket(WebSocket(scope, receive, send))
            return
        if scope["type"] != "http":
            return
        began = False

        async def sending(message: Message) -> None:
            nonlocal began
            if message["type"] == "http.response.start":
                began = True
                headers = MutableHeaders(scope=message)
                for name, value in _SECURITY_HEADERS.items():
                    headers[name] = value
                headers.append("Content-Security-Policy", _POLICY)
            await send(message)

        request = Request(scope, receive)
        try:
            response = await self._answer(request)
        except Refusal as refusal:
            response = self._refused(request, refusal)
        except Exception as error:
            log.error("failed: %s", describe(error))
            response = JSONResponse(Refusal(500, "", "Something went wrong in the guard.").graphql(), 500)
        try:
            await response(scope, receive, sending)
        except Exception as error:
            log.error("an answer broke off: %s", describe(error))
            if not began:
                raise

    # --- requests -----------------------------------------------------------------------------------

    async def _answer(self, request: Request) -> Response:
        headers, method, path = request.headers, request.method, request.url.path
        host = boundary.require_host(headers, self.parts.hosts)
        path = str(request.scope["path"])
        if path == "/guard/health":
            return JSONResponse({"status": "ok"})
        boundary.require_same_site(headers, method, False, host)
        _require_plain(path)
        if path in OUTSIDE:
            return await self.parts.entrance.outside(request, path, self._count)
        caller = self.parts.doorkeeper.recognise(headers)
        if path == "/guard" or path.startswith("/guard/"):
            if path == "/guard/metrics" and method == "GET":
                return Response(generate_latest(self.parts.metrics.registry), media_type=CONTENT_TYPE_LATEST)
            if path == release_gate.PATH and self.parts.gate is not None:
                return await release_gate.answer(request, caller, self.parts.gate)
            return await self.parts.entrance.inside(request, path, caller)
        if path == "/graphql":
            return await self._graphql(request, caller)
        if path.startswith("/report_asset"):
            return await self._report(request, path, caller)
        if method not in ("GET", "HEAD"):
            raise Refusal(405, "method", "Here only GET: what changes something is GraphQL by POST.")
        query = bytes(request.scope["query_string"])
        return await self._upstream(request, caller).forward(method, path, query, headers)

    def _is_readonly(self, scope: Scope) -> bool:
        server = scope.get("server")
        return server is None or server[1] != self.parts.settings.listen_port

    def _upstream(self, request: Request | WebSocket, caller: Caller) -> Upstream:
        """Choose the webserver; a viewer gets the one whose UI knows that nothing can be changed."""
        if self._is_readonly(request.scope) or not caller.identity.may("operator"):
            return self.parts.readonly_webserver
        return self.parts.webserver

    async def _graphql(self, request: Request, caller: Caller) -> Response:
        if request.method == "GET" and "text/html" in request.headers.get("accept", ""):
            # GraphiQL's page, which asks by POST. Without the query string, which the webserver would run.
            return await self._upstream(request, caller).forward(
                "GET", "/graphql", b"", Headers({"accept": "text/html"})
            )
        if request.method != "POST":
            raise Refusal(405, "method", "GraphQL is taken by POST only.")
        body = await boundary.body(request, self.parts.settings.body_bytes)
        asked = await run_in_threadpool(document.read_body, request.headers.get("content-type"), body)
        upstream = self._upstream(request, caller)
        if asked.change is None:
            return _whole(*await upstream.post("/graphql", b"", asked.body()))
        try:
            return await self._change(request, caller, asked)
        except Refusal as refusal:
            if caller.session is None or asked.fields[0].selection_set is None:
                raise
            # Of GraphQL's own errors Dagster's UI says no more than that there was one.
            self._count(refusal)
            return JSONResponse(refusal.mutation(asked.answer_key), refusal.status)

    async def _change(self, request: Request, caller: Caller, asked: document.Request) -> Response:
        upstream = self._upstream(request, caller)
        if self._is_readonly(request.scope):
            raise Refusal(403, "role", "This is the auditors' door, where nobody changes anything.")
        change = read_change(asked, caller.identity)
        if not change.permission.is_recorded:
            return _whole(*await upstream.post("/graphql", b"", asked.body()))
        reason = self._reason(request, caller, change)
        marked = change.marked(caller.identity.actor, reason).with_typename()
        event = intent(
            change.permission.kind, change.name, change.objects, caller.identity, str(uuid4()), reason
        )
        return await self._recorded(
            upstream, "/graphql", b"", marked.body(), event, change.permission.kind, marked.answer_key
        )

    def _reason(self, request: Request, caller: Caller, change: Change) -> str | None:
        session = caller.session
        reason = (
            clean(request.headers.get(REASON_HEADER) if session is None else None)
            or change.given_reason()
            or (self.parts.sessions.reason(session) if session is not None else None)
            or caller.identity.standing_reason
        )
        if reason is None and change.needs_reason:
            what = ", ".join(change.objects)[:200] or change.name
            raise Refusal(
                403,
                "reason-missing",
                f"{change.name} of {what} takes a reason. Give one at /guard/reason and repeat, or launch "
                "with the tag ops-platform/reason; a program sends the header Ops-Reason.",
            )
        return reason

    async def _report(self, request: Request, path: str, caller: Caller) -> Response:
        """Let a program report an event of an external asset; a browser never does."""
        if (
            caller.session is not None
            or not caller.identity.may("operator")
            or self._is_readonly(request.scope)
        ):
            raise Refusal(403, "endpoint", "Events are reported by programs that have an operator's token.")
        if request.method != "POST":
            raise Refusal(405, "method", "Events are reported by POST only.")
        body = await boundary.body(request, self.parts.settings.body_bytes)
        if body:
            media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
            if media != "application/json":
                raise Refusal(415, "content-type", "Events are taken as application/json only.")
            document.read_json(body)
        reason = clean(request.headers.get(REASON_HEADER)) or caller.identity.standing_reason
        if reason is None:
            raise Refusal(
                403, "reason-missing", "A reported event takes a reason: send the header Ops-Reason."
            )
        endpoint, _, asset = path[1:].partition("/")
        event = intent("report", endpoint, (f"asset:{asset[:200]}",), caller.identity, str(uuid4()), reason)
        query = bytes(request.scope["query_string"])
        return await self._recorded(self.parts.webserver, path, query, body or b"{}", event, "report", "")

    async def _recorded(
        self, upstream: Upstream, path: str, query: bytes, body: bytes, event: AuditEvent, kind: str, key: str
    ) -> Response:
        """Write the intent, send the change on, write its outcome."""
        await run_in_threadpool(self.parts.record.intend, event)
        done = False
        details: Mapping[str, JSON] = {"answer": "none"}
        try:
            status, content, headers = await upstream.post(path, query, body)
            try:
                answer = json.loads(content)
            except ValueError:
                answer = None
            done, details = succeeded(status, answer, key) if key else (status == 200, {"status": status})
            return _whole(status, content, headers)
        finally:
            outcome = replace(
                event, phase="outcome", outcome="success" if done else "failed", details=details
            )
            self.parts.metrics.changes.labels(kind, outcome.outcome).inc()
            if not await run_in_threadpool(self.parts.record.conclude, outcome):
                self.parts.metrics.lost_outcomes.inc()

    # --- refusals -----------------------------------------------------------------------------------

    def _refused(self, request: Request, refusal: Refusal) -> Response:
        self._count(refusal)
        path = str(request.scope["path"])
        is_page = (
            request.method in ("GET", "HEAD")
            and path != "/graphql"
            and "text/html" in request.headers.get("accept", "")
        )
        if refusal.status == 401 and is_page:
            query = bytes(request.scope["query_string"]).decode("ascii", "replace")
            wanted = boundary.local_path(path + (f"?{query}" if query else ""))
            return RedirectResponse(f"/guard/login?next={quote(wanted, safe='')}", 303)
        if is_page:
            return pages.refused(refusal)
        headers = {"Cache-Control": "no-store"}
        if refusal.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        return JSONResponse(refusal.graphql(), refusal.status, headers)

    def _count(self, refusal: Refusal) -> None:
        self.parts.metrics.refused_requests.labels(refusal.code).inc()

    # --- WebSockets ---------------------------------------------------------------------------------

    async def _websocket(self, browser: WebSocket) -> None:
        try:
            host = boundary.require_host(browser.headers, self.parts.hosts)
            boundary.require_same_site(browser.headers, "GET", True, host)
            caller = self.parts.doorkeeper.recognise(browser.headers)
            if caller.session is not None and "origin" not in browser.headers:
                raise Refusal(403, "origin", "A browser says where its WebSocket comes from.")
            if browser.scope["path"] != "/graphql":
                raise Refusal(404, "endpoint", "There is no WebSocket here.")
        except Refusal as refusal:
            self._count(refusal)
            # Before it was accepted, this is an answer 403.
            await browser.close()
            return
        socket = self._upstream(browser, caller).socket
        largest = self.parts.settings.body_bytes
        try:
            await subscription.relay(
                browser, socket, largest, lambda: self.parts.doorkeeper.stands(caller), self._count
            )
        except Exception as error:
            log.error("a subscription broke off: %s", describe(error))


def _whole(status: int, content: bytes, headers: Mapping[str, str]) -> Response:
    return Response(content, status, dict(headers))


def _require_plain(path: str) -> None:
    segments = path.split("/")
    if not path.isprintable() or "\\" in path or "//" in path or "." in segments or ".." in segments:
        raise Refusal(400, "malformed", "This path is ambiguous: write it without dots and double slashes.")
