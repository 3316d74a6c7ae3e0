"""An exercise as a process of its own, for tests that kill it. Its settings are its environment.

``python -m ops_platform_tests.dr.worker STANZA SCENARIO RUN_ID MOMENT``: prints what it hears. Where
MOMENT begins it prints ``STOPPED`` and waits to be killed; of ``restore`` pgBackRest runs then.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

from ops_platform.backup.stanza.context import open_context
from ops_platform.dr.exercise import exercise_store as records
from ops_platform.dr.exercise import runner
from ops_platform.dr.exercise.report import ExerciseRequest
from ops_platform.dr.restore import pgbackrest_restore as restoring
from ops_platform.dr.restore import scratch_cluster as scratch
from ops_platform.dr.restore import workspace
from ops_platform.dr.restore.restored_server import RestoredServer
from ops_platform.dr.verification import erasure_replay as tombstones
from ops_platform.dr.verification import page_checks as physical
from ops_platform.dr.verification import recovery_checks as recovery
from ops_platform.settings import load_settings

MOMENTS: dict[str, tuple[ModuleType | type, str]] = {
    "select": (workspace, "open_reader"),
    "replay": (RestoredServer, "wait_promoted"),
    "promote": (RestoredServer, "recovery"),
    "tombstones": (tombstones, "replay"),
    "critical": (recovery, "newest_beat"),
    "assurance": (physical, "pg_dump"),
    "stopped": (physical, "page_checksums"),
    "teardown": (scratch, "remove"),
    "recording": (records, "finish"),
}
"""Each phase, and the function with which it begins; ``restore`` is pgBackRest's, and has none of ours."""


def say(line: object) -> None:
    print(line, flush=True)


def stopping(function: Callable[..., Any]) -> Callable[..., Any]:
    def stop(*args: Any, **kwargs: Any) -> Any:
        say("STOPPED")
        signal.pause()
        return function(*args, **kwargs)

    return stop


def main(stanza: str, scenario: str, run_id: str, moment: str) -> None:
    if moment == "restore":
        whole = restoring.restore

        def restore(*args: Any, **kwargs: Any) -> restoring.Copy:
            say("STOPPED")
            return whole(*args, **kwargs)

        restoring.restore = restore
    else:
        where, name = MOMENTS[moment]
        setattr(where, name, stopping(getattr(where, name)))
    context = open_context(load_settings(), stanza)
    request = ExerciseRequest("manual", stanza, scenario, run_id, run_id, 1_800_000, 900_000)
    runner.run(context, request, say, lambda fraction: None)


if __name__ == "__main__":
    main(*sys.argv[1:])
