"""Work on a request as a process of its own, for tests that kill it. Its settings are its environment.

``python -m ops_platform_tests.gdpr.erasure_worker REQUEST_ID [STEP WHEN]``: kills itself where STEP begins or
has ended (WHEN ``before`` or ``after``). Says ``DONE``, or why not.
"""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import replace

from ops_platform.dr.verification import backup_expiry as backup_term
from ops_platform.errors import OpsError
from ops_platform.gdpr import fulfilment as request_work
from ops_platform.gdpr.erasure import context as erasure_context
from ops_platform.gdpr.erasure.context import ErasureContext
from ops_platform.settings import load_settings


def main(request_id: str, step: str = "", when: str = "") -> None:
    settings = load_settings()

    def opening() -> ErasureContext:
        opened = erasure_context.open_context(settings, backup_term.product_backup_term(settings))
        return replace(opened, letter_seconds=0.0)

    def at(reached: str, moment: str) -> None:
        if (reached, moment) == (step, when):
            os.kill(os.getpid(), signal.SIGKILL)

    try:
        url = settings.require("database_url")
        [own, *_] = request_work.erase_with_waiting(url, request_id, "worker", opening, at=at)
        if own.error is not None:
            raise own.error
    except OpsError as error:
        print(f"{type(error).__name__}: {error}", flush=True)
    else:
        print("DONE", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
