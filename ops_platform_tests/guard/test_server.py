"""The guard as a server: WebSockets through it, and what it refuses to start with."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from ops_platform.api.edge import ConnectionLimits, Connections, Doorway, RequestLimits
from ops_platform.guard.__main__ import server
from ops_platform.guard.app import Guard
from ops_platform.guard.upstream import Upstream
from ops_platform_tests.guard.house import House, bearer
from ops_platform_tests.ports import free_block

SUBSCRIBE = {"type": "start", "id": "1", "payload": {"query": "subscription { pipelineRunLogs { x } }"}}


def test_a_subscription_outlives_the_deadlines_of_requests_and_carries_nothing_else(house: House) -> None:
    house.port = free_block(1)
    origin = f"http://127.0.0.1:{house.port}"

    async def visit(_: httpx.AsyncClient, guard: Guard) -> None:
        connections = Connections(ConnectionLimits())
        limits = RequestLimits(head_seconds=0.3, body_seconds=0.3, idle_seconds=1, unread_seconds=0.3)
        running = server(guard.parts, connections, limits)
        doorways = Doorway.listen_on("127.0.0.1", house.port, connections)
        serving = asyncio.create_task(running.serve(sockets=list(doorways)))
        while not running.started:
            await asyncio.sleep(0.01)
        url = f"ws://127.0.0.1:{house.port}/graphql"
        async with connect(
            url, subprotocols=[Subprotocol("graphql-ws")], additional_headers=bearer()
        ) as socket:
            await asyncio.sleep(0.8)
            await socket.send(json.dumps(SUBSCRIBE))
            asked = json.loads(await socket.recv())["asked"]
            assert asked["payload"]["query"] == SUBSCRIBE["payload"]["query"]  # type: ignore[index]
            mutation = {**SUBSCRIBE, "payload": {"query": "mutation { setNuxSeen }"}}
            await socket.send(json.dumps(mutation))
            with pytest.raises(ConnectionClosed) as closed:
                await socket.recv()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1008
        for headers, ours in (
            ({}, None),
            (bearer(), "http://evil.example"),
            (bearer(), f"http://localhost:{house.port}"),
            ({"authorization": "Bearer x"}, origin),
        ):
            with pytest.raises(InvalidStatus) as refused:
                await connect(url, additional_headers=headers, origin=ours)  # type: ignore[arg-type]
            assert refused.value.response.status_code == 403
        running.should_exit = True
        await serving

    house.run(visit)


def test_a_webserver_that_closes_idle_connections_loses_no_request(tmp_path: Path) -> None:
    """Each connection is good for one answer: the second request on it gets none."""
    served: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.append(await reader.readuntil(b"\r\n\r\n") + await reader.readexactly(2))
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
        await reader.read(1)
        writer.close()

    async def visit() -> list[int]:
        listening = await asyncio.start_unix_server(serve, tmp_path / "socket")
        webserver = Upstream(tmp_path / "socket")
        try:
            return [(await webserver.post("/graphql", b"", b"{}"))[0] for _ in range(3)]
        finally:
            await webserver.close()
            listening.close()

    assert asyncio.run(visit()) == [200, 200, 200]
    assert len(served) == 3


@pytest.mark.processes
def test_it_starts_with_what_it_needs_and_says_what_is_missing(house: House) -> None:
    port = free_block(2)
    settings = {
        "PATH": os.defpath,
        "OPS_DATABASE_URL": "postgresql://ops_guard@127.0.0.1:9/ops",
        "OPS_STATE_DIR": str(house.file.parent),
        "OPS_GUARD_ACCOUNTS": str(house.file),
        "OPS_GUARD_LISTEN_PORT": str(port),
        "OPS_GUARD_READONLY_LISTEN_PORT": str(port + 1),
        "OPS_GUARD_WEBSERVER_SOCKET": str(house.webserver.directory / "full"),
    }
    missing = start(settings)
    assert (missing.wait(60), "OPS_GUARD_READONLY_WEBSERVER_SOCKET" in error(missing)) == (2, True)
    settings["OPS_GUARD_READONLY_WEBSERVER_SOCKET"] = str(house.webserver.directory / "readonly")
    open_wide = start({**settings, "OPS_GUARD_LISTEN_HOST": "0.0.0.0"})  # noqa: S104
    assert (open_wide.wait(60), "unencrypted" in error(open_wide)) == (2, True)


def start(environment: dict[str, str]) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "ops_platform.guard"]
    return subprocess.Popen(command, env=environment, cwd=Path("/"), stderr=subprocess.PIPE, text=True)


def error(process: subprocess.Popen[str]) -> str:
    assert process.stderr is not None
    with process.stderr:
        return process.stderr.read()
