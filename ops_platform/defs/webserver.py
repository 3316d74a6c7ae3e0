"""``python -m ops_platform.defs.webserver``: Dagster's webserver on a Unix socket, for the guard alone.

``dagster-webserver`` itself listens on TCP only, where any user of the machine could pass the guard by.
"""

from __future__ import annotations

import argparse
import os
import socket
import stat
import sys
from collections.abc import Sequence
from pathlib import Path

import uvicorn
from dagster import DagsterInstance, __version__
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import WorkspaceFileTarget
from dagster_webserver.app import create_app_from_workspace_process_context

STATEMENT_TIMEOUT_MS, POOL_RECYCLE_SECONDS, POOL_MAX_OVERFLOW = 15_000, 3_600, 20
POLL_MS = 2_000
"""Pause between two looks of the UI at live data, as Dagster's own program has it, like the three above."""
STOP_SECONDS = 5


def listen(path: Path, mode: int) -> socket.socket:
    """Make the socket, in the place of one that a killed process has left. Raises OSError."""
    if path.exists() and stat.S_ISSOCK(path.lstat().st_mode):
        path.unlink()
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # Nobody gets in between its making and a later chmod.
    before = os.umask(0o777 & ~mode)
    try:
        listening.bind(str(path))
    finally:
        os.umask(before)
    listening.setblocking(False)
    return listening


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="ops_platform.defs.webserver", description=__doc__)
    parser.add_argument("--socket", type=Path, required=True, help="path of the Unix socket")
    parser.add_argument(
        "--socket-mode",
        type=lambda text: int(text, 8),
        default=0o600,
        help="octal; 660 where the guard is another user of the same group (default 600)",
    )
    parser.add_argument("--workspace", required=True, help="path of workspace.yaml")
    parser.add_argument("--read-only", action="store_true", help="refuse all mutations")
    given = parser.parse_args(arguments)
    with DagsterInstance.get() as instance:
        instance.optimize_for_webserver(STATEMENT_TIMEOUT_MS, POOL_RECYCLE_SECONDS, POOL_MAX_OVERFLOW)
        with WorkspaceProcessContext(
            instance,
            version=__version__,
            read_only=given.read_only,
            workspace_load_target=WorkspaceFileTarget([given.workspace]),
        ) as context:
            app = create_app_from_workspace_process_context(context, live_data_poll_rate=POLL_MS)
            config = uvicorn.Config(
                app, log_level="warning", lifespan="off", timeout_graceful_shutdown=STOP_SECONDS
            )
            uvicorn.Server(config).run(sockets=[listen(given.socket, given.socket_mode)])
    return 0


if __name__ == "__main__":
    sys.exit(main())
