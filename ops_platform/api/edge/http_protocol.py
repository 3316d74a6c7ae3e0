"""HTTP/1.1 with a limit on everything that a client could draw out: head, body, pauses, unread answers.

uvicorn's protocol over h11, whose parser refuses what is ambiguous. What it refuses, and what takes too
long, gets the same problem documents and headers as any other answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import h11
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import STATUS_PHRASES, H11Protocol
from uvicorn.server import ServerState

from ops_platform.api.edge.connections import Connection, Connections
from ops_platform.api.edge.shield import security_headers
from ops_platform.api.problems import Problem


@dataclass(frozen=True)
class RequestLimits:
    """What one request may take: bytes and fields of its head, seconds of its parts."""

    head_bytes: int = 16 * 1024
    head_fields: int = 100
    head_seconds: float = 10.0
    """From the connection, or the first byte after an answer, to the end of the head."""
    body_seconds: float = 15.0
    """From the head to the end of the body; the application itself gives up sooner."""
    idle_seconds: int = 5
    """Between an answer and the next request."""
    unread_seconds: float = 30.0
    """In which a client reads nothing of an answer that does not fit into the buffers."""


def protocol(
    limits: RequestLimits, connections: Connections
) -> Callable[[Config, ServerState, dict[str, Any], asyncio.AbstractEventLoop | None], LimitedProtocol]:
    """Return the ``http`` of uvicorn's Config: a protocol with these limits for each connection."""

    def build(
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> LimitedProtocol:
        return LimitedProtocol(config, server_state, app_state, _loop, limits, connections)

    return build


class LimitedProtocol(H11Protocol):
    """One connection with a deadline for whatever it waits for."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        loop: asyncio.AbstractEventLoop | None,
        limits: RequestLimits,
        connections: Connections,
    ) -> None:
        super().__init__(config, server_state, app_state, loop)
        self.conn = self._parser = _Parser(limits)
        self._limits, self._connections = limits, connections
        self._connection: Connection | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._waits_for = ""
        self._unread: asyncio.TimerHandle | None = None
        self._is_handed_over = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(transport)
        # For a client that resets at once there is no socket any more.
        found = transport.get_extra_info("socket")
        self._connection = self._connections.find(found.fileno()) if found is not None else None
        if self._connection is not None:
            self._connection.greeted = True
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing any more."""
        self._wait_for("", 0)
        self.resume_writing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what came, and see what the connection waits for now."""
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        """Wait for the next request, or for the client to read the last answer."""
        super().on_response_complete()
        self._watch()

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection."""
        super().timeout_keep_alive_handler()
        self._watch()

    def pause_writing(self) -> None:
        """Give a client that does not read its answers a while."""
        super().pause_writing()
        if self._unread is None:
            self._unread = self.loop.call_later(self._limits.unread_seconds, self._abort, "unread-answer")

    def resume_writing(self) -> None:
        """Go on with a client that reads."""
        super().resume_writing()
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """Hand the connection over to the WebSocket's protocol; a late answer here would break its frames."""
        super().handle_websocket_upgrade(event)
        self._wait_for("", 0)
        self._is_handed_over = True
        if self._connection is not None:
            self._connection.busy = True

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP, or more of it than is taken."""
        if self._parser.too_large:
            text = (
                f"The head of a request may have at most {self._limits.head_bytes} bytes "
                f"and {self._limits.head_fields} fields."
            )
            self._refuse("head-too-large", Problem(400, "head-too-large", text))
        else:
            self._refuse("malformed", Problem(400, "malformed-request", "This is not a request in HTTP/1.1."))

    def _unsupported_upgrade_warning(self) -> None:
        """Say nothing: a client may ask as often as it likes, and the request is answered as usual."""

    def _watch(self) -> None:
        """Set the deadline of what the connection waits for; it stands until that has come."""
        if self._is_handed_over:
            return
        ours, theirs = self.conn.our_state, self.conn.their_state
        if self.transport.is_closing():
            self._wait_for("end", self._limits.unread_seconds)
        elif theirs is h11.SEND_BODY:
            self._wait_for("body", self._limits.body_seconds)
        elif ours in (h11.SEND_RESPONSE, h11.SEND_BODY):
            self._wait_for("", 0)
        elif self.timeout_keep_alive_task is not None and not self.conn.trailing_data[0]:
            # uvicorn's own clock runs until the first byte of the next request.
            self._wait_for("", 0)
        else:
            self._wait_for("head", self._limits.head_seconds)
        if self._connection is not None:
            self._connection.busy = theirs is not h11.SEND_BODY and ours in (h11.SEND_RESPONSE, h11.SEND_BODY)

    def _wait_for(self, what: str, seconds: float) -> None:
        if what == self._waits_for and what:
            return
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        self._waits_for = what
        if what:
            self._deadline = self.loop.call_later(seconds, self._too_late, what)

    def _too_late(self, what: str) -> None:
        self._deadline = None
        if what == "end" or self.transport.is_closing():
            self._abort("unread-answer")
        elif self.conn.our_state is h11.IDLE and not self.conn.trailing_data[0]:
            # Not a byte came, as from a browser that connects ahead: there is nothing to answer.
            self.transport.close()
        elif self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            text = f"The {what} of the request did not arrive in time."
            self._refuse(f"slow-{what}", Problem(408, "too-slow", text))
        else:
            self._abort(f"slow-{what}")

    def _refuse(self, reason: str, problem: Problem) -> None:
        """Answer with the problem, and end the connection."""
        self._connections.refused(reason)
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            self._abort("")
            return
        if self.cycle is not None:
            # A task that waits for the rest of the body must not answer, too.
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        answer = problem.response()
        fields = [
            *answer.raw_headers,
            *(
                (name.lower().encode(), value.encode())
                for name, value in security_headers(self.scheme == "https").items()
            ),
            (b"connection", b"close"),
        ]
        try:
            for event in (
                h11.Response(
                    status_code=problem.status, headers=fields, reason=STATUS_PHRASES[problem.status]
                ),
                h11.Data(data=b"" if self._parser.is_head else bytes(answer.body)),
                h11.EndOfMessage(),
            ):
                self.transport.write(self.conn.send(event) or b"")
        finally:
            self.transport.close()
            self._watch()

    def _abort(self, reason: str) -> None:
        if reason:
            self._connections.refused(reason)
        self.transport.abort()


class _Parser(h11.Connection):
    """h11's parser with a limit on the number of header fields, which remembers that a head was too large."""

    def __init__(self, limits: RequestLimits) -> None:
        super().__init__(h11.SERVER, limits.head_bytes)
        self.too_large = self.is_head = False
        self._limits = limits

    def next_event(self) -> Any:
        """Return the next event. Raises RemoteProtocolError for what is no HTTP, or too much of it."""
        try:
            event = super().next_event()
            if isinstance(event, h11.Request):
                self.is_head = event.method == b"HEAD"
                if self._exceeds(event):
                    self._process_error(self.their_role)
                    raise h11.RemoteProtocolError("too large a head", error_status_hint=431)
        except h11.RemoteProtocolError as error:
            self.too_large = error.error_status_hint == 431
            raise
        return event

    def start_next_cycle(self) -> None:
        """Wait for the next request, of which nothing is known yet."""
        self.is_head = False
        super().start_next_cycle()

    def _exceeds(self, request: h11.Request) -> bool:
        """Tell whether a head that came at once, of which h11 measures nothing, is too large."""
        size = len(request.target) + sum(len(name) + len(value) + 4 for name, value in request.headers)
        return len(request.headers) > self._limits.head_fields or size > self._limits.head_bytes
