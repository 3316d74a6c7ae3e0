"""``python -m ops_platform_tests.gdpr.export_worker REQUEST WHERE``: an export that stops there.

WHERE is a place of its progress, ``recorded`` for after the record, or ``end`` for nowhere.
"""

from __future__ import annotations

import sys
import threading

from ops_platform.gdpr.export import archive_store as exports
from ops_platform.gdpr.export import runner as export
from ops_platform.settings import load_settings


def stop() -> None:
    print("stopped", flush=True)
    threading.Event().wait()


def main() -> None:
    request_id, where = sys.argv[1:]

    def progress(place: str, count: int) -> None:
        if place == where:
            stop()

    if where == "recorded":
        # The next thing that run does.
        exports.clear = lambda *arguments, **named: stop()  # type: ignore[assignment]
    export.run(export.open_context(load_settings()), request_id, progress)
    print("done", flush=True)


if __name__ == "__main__":
    main()
