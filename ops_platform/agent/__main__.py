"""``python -m ops_platform.agent``: settings from the environment, signals, exit codes."""

from __future__ import annotations

import logging
import os
import signal
import sys

from ops_platform.agent.loops import LoopRegistry
from ops_platform.agent.process import Agent
from ops_platform.clients import safe_errors
from ops_platform.errors import OpsError
from ops_platform.settings import load_settings


def main() -> int:
    """Run the agent until SIGTERM or SIGINT; return the exit code.

    0 after a signal, 2 when the configuration is wrong, 1 when the agent broke.
    """
    safe_errors.guard(logging.INFO)
    # httpx logs every request at INFO.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        settings = load_settings()
        agent = Agent(LoopRegistry(settings), settings.agent)
    except OpsError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: agent.ask_to_stop())
    try:
        agent.run()
    except OpsError as error:
        logging.error("agent: %s", error)
        return error.exit_code
    return 0


if __name__ == "__main__":
    code = main()
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    # A step that hangs must not hold up the end, and taking the interpreter down costs half a second of
    # CPU; all that the agent knows is in the databases.
    os._exit(code)
