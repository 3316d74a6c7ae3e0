"""Subscriptions over a WebSocket: each message of the browser is read and judged, and written anew."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from graphql import OperationType
from starlette.websockets import WebSocket, WebSocketDisconnect
from websockets.asyncio.client import ClientConnection, unix_connect
from websockets.exceptions import WebSocketException

from ops_platform.guard import document
from ops_platform.guard.refusal import Refusal

PROTOCOL = "graphql-ws"
LOOK_SECONDS = 5.0
"""Pause between two looks whether the session still stands."""
POLICY_VIOLATION, AWAY = 1008, 1013
_PLAIN = ("connection_init", "connection_terminate", "stop")


async def relay(
    browser: WebSocket,
    socket: Path,
    largest: int,
    is_live: Callable[[], bool],
    refused: Callable[[Refusal], None],
) -> None:
    """Connect a browser's WebSocket with the webserver's until one of them, or the session, ends."""
    try:
        upstream = await unix_connect(
            str(socket),
            uri="ws://dagster/graphql",
            subprotocols=[PROTOCOL],
            compression=None,
            max_size=None,
            open_timeout=5,
        )
    except (OSError, TimeoutError, WebSocketException):
        refused(Refusal(503, "webserver-away", ""))
        await browser.close(AWAY)
        return
    async with upstream:
        await browser.accept(subprotocol=PROTOCOL)
        tasks = [
            asyncio.create_task(one)
            for one in (_up(browser, upstream, largest, refused), _down(browser, upstream), _watch(is_live))
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
    ended = [result for task, result in zip(tasks, results, strict=True) if task in done]
    code = next((result for result in ended if isinstance(result, int)), AWAY)
    with contextlib.suppress(RuntimeError, WebSocketDisconnect):
        await browser.close(code)


def judged(text: str, largest: int) -> dict[str, Any]:
    """Read a browser's message and make the one for the webserver. Raises Refusal.

    Only subscriptions: what else there is goes by POST.
    """
    if len(text.encode("utf-8", "surrogatepass")) > largest:
        raise Refusal(413, "too-large", "The message is too large.")
    message = document.read_json(text.encode("utf-8", "surrogatepass"))
    kind, number = (message.get("type"), message.get("id")) if isinstance(message, dict) else (None, None)
    if not isinstance(number, str | int | None):
        raise Refusal(400, "malformed", "The message's id is no text.")
    if kind in _PLAIN:
        return {"type": kind, **({} if number is None else {"id": number})}
    if kind != "start":
        raise Refusal(400, "malformed", "This is no message of graphql-ws.")
    request = document.read_payload(message.get("payload"))
    if request.kind is not OperationType.SUBSCRIPTION:
        raise Refusal(403, "method", "Only subscriptions go over a WebSocket: send the rest by POST.")
    payload = request.payload()
    # Dagster reads the name under another key than its own UI sends it.
    return {"type": kind, "id": number, "payload": {**payload, "operation_name": payload["operationName"]}}


async def _up(
    browser: WebSocket, upstream: ClientConnection, largest: int, refused: Callable[[Refusal], None]
) -> int:
    while True:
        received = await browser.receive()
        if received["type"] == "websocket.disconnect":
            return 1000
        try:
            message = judged(received.get("text") or "", largest)
        except Refusal as refusal:
            refused(refusal)
            return POLICY_VIOLATION
        await upstream.send(json.dumps(message))


async def _down(browser: WebSocket, upstream: ClientConnection) -> int:
    async for message in upstream:
        await browser.send_text(message if isinstance(message, str) else message.decode())
    return AWAY


async def _watch(is_live: Callable[[], bool]) -> int:
    while is_live():
        await asyncio.sleep(LOOK_SECONDS)
    return POLICY_VIOLATION
