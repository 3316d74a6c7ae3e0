"""One restore, from the choice of the set to the last check; PHASES is the order of its phases.

An exercise and an emergency run the same phases with other ``RestoreOptions``, ``Knowledge`` and checks.
"""

from __future__ import annotations

from contextlib import ExitStack, nullcontext
from datetime import datetime

import psycopg

from ops_platform.backup.stanza import BackupContext
from ops_platform.clients.pgbackrest import PgBackRestError
from ops_platform.clients.safe_errors import describe
from ops_platform.dr.exercise.drill_phases import (
    CheckAssurance,
    CheckCritical,
    CheckStopped,
    DrillPhase,
    EraseAgain,
    Recover,
    RestoreFiles,
    SelectSet,
    StopServer,
)
from ops_platform.dr.exercise.rehearsal import Drill, Knowledge, Log, Progress, Rehearsal, RestoreOptions
from ops_platform.dr.inspection import RUN, SPEED, THEFT, Verification, failed, missing, unknown
from ops_platform.dr.restore import Workspace
from ops_platform.errors import ConfigurationError, OpsError, Unavailable

PHASES: tuple[DrillPhase, ...] = (
    SelectSet(),
    RestoreFiles(),
    Recover(),
    EraseAgain(),
    CheckCritical(),
    CheckAssurance(),
    StopServer(),
    CheckStopped(),
)
EXERCISE_OPTIONS = RestoreOptions()
_SETUP_ERROR = 2
"""Exit code of errors that say nothing about the backup: configuration, reachability."""


def rehearse(
    ctx: BackupContext,
    here: Workspace,
    scenario: str,
    knowledge: Knowledge,
    t0: datetime,
    log: Log,
    progress: Progress,
    options: RestoreOptions = EXERCISE_OPTIONS,
) -> Rehearsal:
    """Restore and verify in ``here``; the server is stopped at the end. Never raises for a bad backup.

    Checks that could not run are ``unknown``; interruptions and bugs are raised.
    """
    rehearsal = Rehearsal(t0)
    phase = PHASES[0]
    try:
        with ExitStack() as until_end:
            drill = Drill(ctx, here, knowledge, options, rehearsal, log, progress, until_end)
            for phase in PHASES:
                with nullcontext() if phase.timing_key is None else rehearsal.phase(phase.timing_key):
                    phase.perform(drill)
    except (OpsError, psycopg.Error) as error:
        if phase.check_name is None:
            raise
        result = _result_of_error(phase.check_name, error)
        log(f"{result.name}: {result.summary}")
        rehearsal.add(result)
    rehearsal.results += [
        result for result in missing(rehearsal.results, scenario) if result.name not in (*RUN, *SPEED, *THEFT)
    ]
    return rehearsal


def _result_of_error(name: str, error: OpsError | psycopg.Error) -> Verification:
    """Turn an error into the result of the check ``name``.

    Damage fails the check; a system that is away or a wrong setting leaves it unknown.
    """
    summary = describe(error)
    if isinstance(error, PgBackRestError):
        not_the_backup = error.exit_code == _SETUP_ERROR or error.code is None
        return unknown(name, summary) if not_the_backup else failed(name, summary)
    if isinstance(error, psycopg.Error | Unavailable | ConfigurationError):
        return unknown(name, summary)
    return failed(name, summary)
