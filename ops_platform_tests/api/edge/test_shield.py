"""What the outermost layer does with a request before any endpoint sees it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Message, Receive, Scope, Send

from ops_platform.api.edge import Shield


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    await PlainTextResponse(f"{scope['method']} was seen")(scope, receive, send)


def ask(*headers: tuple[str, str], method: str = "GET", path: str = "/") -> tuple[int, dict[str, str], bytes]:
    """The status, headers and body of the answer."""
    messages: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        messages.append(message)

    scope: dict[str, Any] = {
        "type": "http",
        "scheme": "https",
        "method": method,
        "path": path,
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers],
    }
    asyncio.run(Shield(application, lambda *_: None)(scope, receive, send))
    fields = {name.decode(): value.decode() for name, value in messages[0]["headers"]}
    return messages[0]["status"], fields, b"".join(message.get("body", b"") for message in messages[1:])


@pytest.mark.parametrize(
    "host",
    [
        "privacy.example.org",
        "privacy.example.org.",
        "localhost:9443",
        "127.0.0.1",
        "[::1]:8443",
        "xn--bcher-kva.de",
    ],
)
def test_one_valid_host_is_served(host: str) -> None:
    assert ask(("Host", host))[0] == 200


@pytest.mark.parametrize(
    "hosts",
    [
        (),
        ("a", "b"),
        ("a", "a"),
        ("",),
        ("a b",),
        ("a/b",),
        ("a:x",),
        ("a@b",),
        ("-a",),
        ("a,b",),
        ("[::1",),
        ("a\tb",),
    ],
)
def test_none_several_or_a_garbled_host_is_refused(hosts: tuple[str, ...]) -> None:
    status, fields, body = ask(*(("Host", host) for host in hosts))
    assert (status, fields["content-type"]) == (400, "application/problem+json")
    assert b"invalid-host" in body
    assert fields["strict-transport-security"]


def test_head_is_a_get_without_its_body() -> None:
    status, fields, body = ask(("Host", "a"), method="HEAD")
    assert (status, fields["content-length"], body) == (200, str(len("GET was seen")), b"")


def test_head_gives_no_download_out() -> None:
    status, fields, body = ask(("Host", "a"), method="HEAD", path="/api/gdpr/download/1")
    assert (status, fields["content-length"], body) == (200, str(len("HEAD was seen")), b"")
