"""One restore from the choice of the set to the last verification: PHASES is its order.

An exercise and an emergency run the same phases; what differs is in ``Manner``, ``Knowledge`` and its
questions.
"""

from __future__ import annotations

from contextlib import ExitStack, nullcontext
from datetime import datetime

import psycopg

from ops_platform.backup.stanza import BackupContext
from ops_platform.clients.pgbackrest import PgBackRestError
from ops_platform.clients.safe_errors import describe
from ops_platform.dr.exercise.drill_phases import (
    AskCritical,
    AskForAssurance,
    AskStopped,
    DrillPhase,
    EraseAgain,
    Recover,
    RestoreFiles,
    SelectSet,
    StopServer,
)
from ops_platform.dr.exercise.rehearsal import Drill, Knowledge, Log, Manner, Progress, Rehearsal
from ops_platform.dr.inspection import RUN, SPEED, Verification, failed, missing, unknown
from ops_platform.dr.restore import Workspace
from ops_platform.errors import ConfigurationError, OpsError, Unavailable

PHASES: tuple[DrillPhase, ...] = (
    SelectSet(),
    RestoreFiles(),
    Recover(),
    EraseAgain(),
    AskCritical(),
    AskForAssurance(),
    StopServer(),
    AskStopped(),
)
EXERCISE = Manner()
MEND = 2
"""Exit code of errors that say nothing about the backup: configuration, reachability."""


def rehearse(
    ctx: BackupContext,
    here: Workspace,
    scenario: str,
    knowledge: Knowledge,
    t0: datetime,
    log: Log,
    progress: Progress,
    manner: Manner = EXERCISE,
) -> Rehearsal:
    """Restore and verify in ``here``; the server is stopped at the end. Never raises for a bad backup.

    What could not be asked is ``unknown``; interruptions and bugs go through.
    """
    done = Rehearsal(t0)
    phase = PHASES[0]
    try:
        with ExitStack() as until_end:
            drill = Drill(ctx, here, knowledge, manner, done, log, progress, until_end)
            for phase in PHASES:
                with nullcontext() if phase.timed_as is None else done.phase(phase.timed_as):
                    phase.perform(drill)
    except (OpsError, psycopg.Error) as error:
        if phase.answers is None:
            raise
        answer = blame(phase.answers, error)
        log(f"{answer.name}: {answer.summary}")
        done.answer(answer)
    done.answers += [one for one in missing(done.answers, scenario) if one.name not in (*RUN, *SPEED)]
    return done


def blame(name: str, error: OpsError | psycopg.Error) -> Verification:
    """Answer ``name`` with an error.

    Damage fails; a system that is away or a wrong setting leaves it unknown.
    """
    told = describe(error)
    if isinstance(error, PgBackRestError):
        away = error.exit_code == MEND or error.code is None
        return unknown(name, told) if away else failed(name, told)
    if isinstance(error, psycopg.Error | Unavailable | ConfigurationError):
        return unknown(name, told)
    return failed(name, told)
