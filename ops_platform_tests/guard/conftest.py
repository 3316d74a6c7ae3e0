"""A webserver behind the guard, and a house around it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from ops_platform_tests.guard.house import House, Webserver


@pytest.fixture(scope="package")
def webserver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Webserver]:
    import uvicorn

    from ops_platform.clients.waiting import wait_until
    from ops_platform_tests.guard.house import Webserver

    found = Webserver(tmp_path_factory.mktemp("w"))
    servers = []
    for name in ("full", "readonly"):
        config = uvicorn.Config(
            found.app(name), uds=str(found.directory / name), log_level="critical", lifespan="off"
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        servers.append((server, thread))
    wait_until(lambda: all(server.started for server, _ in servers), 10, "both answer", interval=0.02)
    yield found
    for server, thread in servers:
        server.should_exit = True
        thread.join(5)


@pytest.fixture
def house(webserver: Webserver, tmp_path: Path) -> House:
    from ops_platform.guard.accounts import hash_token
    from ops_platform_tests.guard.house import RIGHT, TOKENS, House, Ledger

    file = tmp_path / "accounts.yaml"
    people = "".join(
        f"  {name}: {{role: {role}, password: '{RIGHT}'}}\n"
        for name, role in (("ada", "admin"), ("otto", "operator"), ("vera", "viewer"))
    )
    console, looker = hash_token(TOKENS["console"]), hash_token(TOKENS["looker"])
    file.write_text(
        f"people:\n{people}programs:\n"
        f"  console: {{role: operator, token: '{console}', reason: by hand}}\n"
        f"  looker: {{role: viewer, token: '{looker}'}}\n",
        encoding="utf-8",
    )
    webserver.seen.clear()
    webserver.requests.clear()
    webserver.answer = {"data": {"launchRun": {"__typename": "LaunchRunSuccess", "run": {"runId": "r-1"}}}}
    return House(webserver, Ledger(webserver), file)
