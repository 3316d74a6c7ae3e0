"""A code location of small jobs for a code server of the tests. Each run says in a file what it does."""

import os
import threading
from pathlib import Path

import dagster as dg

from ops_platform.defs.run_retries import lost_retries, root_run_id

RECORD = "RUNS_RECORD"
"""The variable that names the file."""


def _say(context: dg.OpExecutionContext, what: str) -> None:
    with Path(os.environ[RECORD]).open("a", encoding="utf-8") as file:
        file.write(f"{what} {root_run_id(context.run)} {context.run.run_id} {os.getpid()}\n")


@dg.op
def begin_and_end(context: dg.OpExecutionContext) -> None:
    _say(context, "begun")
    _say(context, "done")


@dg.op
def last_until_killed(context: dg.OpExecutionContext) -> None:
    """The first of a chain of runs waits for its death; a retry ends."""
    _say(context, "begun")
    if root_run_id(context.run) == context.run.run_id:
        threading.Event().wait()
    _say(context, "done")


@dg.job(executor_def=dg.in_process_executor)
def quick() -> None:
    begin_and_end()


@dg.job(executor_def=dg.in_process_executor)
def long() -> None:
    last_until_killed()


defs = dg.Definitions(jobs=[quick, long], sensors=[lost_retries([quick, long], seconds=1)])
