"""The guard in the test's own process, before a webserver and a ledger that note what reaches them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from ops_platform.audit import AuditEvent
from ops_platform.guard import boundary
from ops_platform.guard.accounts import Accounts
from ops_platform.guard.app import Guard, Parts
from ops_platform.guard.identity import Doorkeeper
from ops_platform.guard.login import Attempts, Entrance, Provider, TrustedProxy
from ops_platform.guard.metrics import GuardMetrics
from ops_platform.guard.record import Record
from ops_platform.guard.refusal import Refusal
from ops_platform.guard.sessions import Sessions
from ops_platform.guard.upstream import Upstream
from ops_platform.settings import GuardSettings

HERE, AUDITORS = "http://127.0.0.1:3000", "http://127.0.0.1:3001"
RIGHT = "scrypt$16384$8$1$AAAAAAAAAAAAAAAAAAAAAA==$ws8QDO6O+F54WPQshrntFCExNulXddt2V+n4NnqOqMM="
"""A hash of the password ``right``, as cheap as one may be."""
TOKENS = {"console": "c" * 43, "looker": "l" * 43}
LAUNCH = {
    "query": "mutation ($p: ExecutionParams!) { launchRun(executionParams: $p) { run { runId } } }",
    "variables": {"p": {"selector": {"jobName": "backup_full"}}},
}
QUERY = {"query": "{ version }"}
WIPE = {"query": 'mutation { deleteRun(runId: "1") { __typename } }'}


@dataclass
class Webserver:
    """What reached it, in order, together with the ledger's lines."""

    directory: Path
    seen: list[str] = field(default_factory=list)
    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    answer: dict[str, Any] = field(default_factory=dict)

    def app(self, name: str) -> Starlette:
        async def endpoint(request: Request) -> Response:
            body = await request.body()
            self.seen.append(f"{name}: {request.method} {request.url.path}")
            self.requests.append((str(request.url), dict(request.headers), body))
            if request.url.path == "/graphql" and request.method == "POST":
                return JSONResponse(self.answer)
            headers = {"set-cookie": "a=b", "access-control-allow-origin": "*", "x-kept": "1"}
            return Response(b"page" * 5000, media_type="text/html", headers=headers)

        async def subscription(socket: WebSocket) -> None:
            await socket.accept(subprotocol="graphql-ws")
            async for message in socket.iter_json():
                await socket.send_json({"type": "data", "asked": message})

        methods = ["GET", "POST", "PUT", "DELETE"]
        return Starlette(
            routes=[
                WebSocketRoute("/graphql", subscription),
                Route("/{path:path}", endpoint, methods=methods),
            ]
        )


class Ledger:
    """In the place of a database; ``away`` as if it could not be reached."""

    def __init__(self, webserver: Webserver) -> None:
        self.events: list[AuditEvent] = []
        self.away = False
        self._webserver = webserver

    def intend(self, event: AuditEvent) -> None:
        if self.away:
            raise Refusal(503, "ledger-away", "away")
        self._webserver.seen.append(f"ledger: {event.phase}")
        self.events.append(event)

    def conclude(self, event: AuditEvent) -> bool:
        self.intend(event)
        return True


@dataclass
class House:
    webserver: Webserver
    ledger: Ledger
    file: Path
    now: float = 0.0
    proxy: TrustedProxy = field(default_factory=lambda: TrustedProxy((), "X-User", "X-Groups"))
    provider: Provider | None = None
    port: int = 3000
    """Another port that is ours."""

    def run(self, visit: Callable[[httpx.AsyncClient, Guard], Awaitable[None]]) -> None:
        async def inside() -> None:
            settings, file = GuardSettings(body_bytes=20_000), self.file
            accounts, sessions = Accounts(file), Sessions(lambda: self.now, 1000, 100)
            webservers = [Upstream(self.webserver.directory / name) for name in ("full", "readonly")]
            doorkeeper = Doorkeeper(accounts, sessions, file, False)
            attempts = Attempts(lambda: self.now)
            entrance = Entrance(
                accounts, sessions, doorkeeper, attempts, self.proxy, self.provider, settings.reason_seconds
            )
            parts = Parts(
                settings=settings,
                hosts=boundary.allowed_hosts((HERE, AUDITORS), (3000, 3001, self.port), ()),
                sessions=sessions,
                doorkeeper=doorkeeper,
                entrance=entrance,
                record=cast("Record", self.ledger),
                webserver=webservers[0],
                readonly_webserver=webservers[1],
                metrics=GuardMetrics(),
            )
            guard = Guard(parts)
            async with httpx.AsyncClient(transport=httpx.ASGITransport(guard), base_url=HERE) as client:
                await visit(client, guard)
            for one in webservers:
                await one.close()

        asyncio.run(inside())


def bearer(name: str = "console") -> dict[str, str]:
    return {"authorization": f"Bearer {TOKENS[name]}"}


async def sign_in(client: httpx.AsyncClient, name: str) -> None:
    form = {"name": name, "password": "right", "next": "/runs"}
    done = await client.post("/guard/login", data=form, headers={"origin": HERE})
    assert (done.status_code, done.headers["location"]) == (303, "/runs")


async def refused(answer: Awaitable[httpx.Response]) -> str:
    """How a request was refused, in the form that Dagster's UI shows."""
    done = await answer
    assert done.status_code >= 400
    body = done.json()
    if "errors" in body:
        assert body["data"] is None
        return str(body["errors"][0]["extensions"]["code"])
    # To a person's mutation: in a dialog.
    [failure] = body["data"].values()
    assert failure["__typename"] == "PythonError"
    assert failure["message"]
    return str(body["extensions"]["code"])
