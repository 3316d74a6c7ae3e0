"""A webserver behind the guard: requests to its Unix socket, answers as they come."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from urllib.parse import quote

import httpx
from starlette.background import BackgroundTask
from starlette.datastructures import Headers
from starlette.responses import Response, StreamingResponse

from ops_platform.guard.refusal import Refusal

PASSED_ON = (
    "accept",
    "accept-encoding",
    "accept-language",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "range",
    "user-agent",
)
"""Request headers that the webserver sees. Cookies and tokens are the guard's alone."""
_NOT_RETURNED = frozenset(
    {
        "connection",
        "date",
        "keep-alive",
        "server",
        "set-cookie",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
TIMEOUT = httpx.Timeout(connect=5.0, read=330.0, write=60.0, pool=30.0)
"""A launch that plans a month of hours takes minutes."""
MOST_CONNECTIONS = 200


class Upstream:
    """One webserver, which listens on ``socket``."""

    def __init__(self, socket: Path) -> None:
        self.socket = socket
        transport = httpx.AsyncHTTPTransport(
            uds=str(socket),
            # A connection each, which costs nothing on a Unix socket: the webserver closes idle ones after
            # five seconds, and a launch that is sent into the closing cannot be sent again.
            limits=httpx.Limits(max_connections=MOST_CONNECTIONS, max_keepalive_connections=0),
        )
        self._client = httpx.AsyncClient(transport=transport, timeout=TIMEOUT, trust_env=False)

    async def forward(self, method: str, path: str, query: bytes, headers: Headers) -> Response:
        """Send a request without a body and stream its answer. Raises Refusal when nobody answers."""
        kept = {name: headers[name] for name in PASSED_ON if name in headers}
        request = self._request(method, path, query, kept, None)
        answer = await self._send(request)
        return StreamingResponse(
            _body(answer),
            answer.status_code,
            _returned(answer.headers),
            background=BackgroundTask(answer.aclose),
        )

    async def post(self, path: str, query: bytes, body: bytes) -> tuple[int, bytes, Mapping[str, str]]:
        """Send JSON and read the whole answer: its status, body and headers. Raises Refusal."""
        headers = {"content-type": "application/json", "accept": "application/json"}
        answer = await self._send(self._request("POST", path, query, headers, body))
        try:
            content = await answer.aread()
        except httpx.HTTPError:
            raise _away() from None
        finally:
            await answer.aclose()
        kept = _returned(answer.headers)
        # Read and unpacked: its length and coding are no longer what they were.
        kept = {
            name: value for name, value in kept.items() if name not in ("content-length", "content-encoding")
        }
        return answer.status_code, content, kept

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    def _request(
        self, method: str, path: str, query: bytes, headers: Mapping[str, str], body: bytes | None
    ) -> httpx.Request:
        raw = quote(path, safe="/:@!$&'()*+,;=~-._").encode()
        url = httpx.URL(scheme="http", host="dagster", raw_path=raw + (b"?" + query if query else b""))
        # What was judged is what the webserver will read.
        if url.path != path:
            raise Refusal(
                400, "malformed", "This path is ambiguous: write it without dots and double slashes."
            )
        return self._client.build_request(method, url, headers=headers, content=body)

    async def _send(self, request: httpx.Request) -> httpx.Response:
        try:
            return await self._client.send(request, stream=True)
        except httpx.HTTPError:
            raise _away() from None


def _away() -> Refusal:
    return Refusal(
        503,
        "webserver-away",
        "The webserver behind the guard does not answer: see its log (ops-platform logs webserver).",
    )


async def _body(answer: httpx.Response) -> AsyncIterator[bytes]:
    async for chunk in answer.aiter_raw():
        yield chunk


def _returned(headers: httpx.Headers) -> dict[str, str]:
    return {
        name: value
        for name, value in headers.items()
        if name not in _NOT_RETURNED and not name.startswith("access-control-")
    }
