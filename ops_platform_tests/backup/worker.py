"""A backup worker as a process of its own, for tests that kill it. Its settings are its environment.

``python -m ops_platform_tests.backup.worker STANZA KIND RUN_ID [STOP_AT]``: takes a backup, printing
what it hears. With STOP_AT it prints ``STOPPED`` after that step and waits to be killed.
"""

from __future__ import annotations

import signal
import sys

from ops_platform.backup.stanza import locks
from ops_platform.backup.stanza import model as stanza
from ops_platform.backup.stanza.context import open_context
from ops_platform.backup.taking import execution
from ops_platform.backup.taking.report import BackupRequest
from ops_platform.settings import load_settings


def say(line: object) -> None:
    print(line, flush=True)


def main(name: str, kind: str, run_id: str, stop_at: str = "") -> None:
    context = open_context(load_settings(), name)
    request = BackupRequest(name, stanza.parse_kind(kind), run_id, run_id, "cli")

    def after(step: str) -> None:
        if step == stop_at:
            say("STOPPED")
            signal.pause()

    if not stop_at:
        execution.run_backup(context, request, say, lambda fraction: None)
        return
    with locks.stanza_lock(context.ops_url, name, 60, say):
        execution.preflight(context, request, say)
        after("preflight")
        taken = execution.take(context, request, say, lambda fraction: None)
        after("take")
        execution.verify(context, taken.label, say)
        execution.record(context, request, taken)


if __name__ == "__main__":
    main(*sys.argv[1:])
