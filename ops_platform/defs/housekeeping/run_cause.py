"""The root cause of a failed run in a line, from its events: what a person has to act on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import dagster as dg
from dagster_shared.error import SerializableErrorInfo

from ops_platform.clients.safe_errors import scrub

UNKNOWN = "its events do not say why"


def cause(instance: dg.DagsterInstance, run_id: str) -> str:
    """Find why a run failed: what a step said; else what Dagster met before it gave the run up.

    The event of the failure itself says of a run that never began only that it was marked as failed.
    """
    entries = [entry.dagster_event for entry in instance.all_logs(run_id) if entry.dagster_event is not None]
    texts = [*_of_steps(entries), *reversed(list(_of_engine(entries))), *_of_run(entries)]
    return next((line for text in texts if (line := _first_line(text))), UNKNOWN)


def _of_steps(events: Iterable[dg.DagsterEvent]) -> Iterator[str]:
    for event in events:
        if event.event_type == dg.DagsterEventType.STEP_FAILURE:
            data = event.step_failure_data
            if data.user_failure_data is not None and data.user_failure_data.description:
                yield data.user_failure_data.description
            elif data.error is not None:
                yield _innermost(data.error)


def _of_engine(events: Iterable[dg.DagsterEvent]) -> Iterator[str]:
    for event in events:
        if event.event_type == dg.DagsterEventType.ENGINE_EVENT and event.engine_event_data.error is not None:
            # Dagster's own words for it; its causes are of gRPC or of the system.
            yield event.engine_event_data.error.message


def _of_run(events: Iterable[dg.DagsterEvent]) -> Iterator[str]:
    for event in events:
        if event.event_type == dg.DagsterEventType.RUN_FAILURE:
            # A run that was marked as failed has no data.
            if event.event_specific_data is not None and event.job_failure_data.error is not None:
                yield _innermost(event.job_failure_data.error)
            if event.message:
                yield event.message


def _innermost(error: SerializableErrorInfo) -> str:
    while error.cause is not None:
        error = error.cause
    return error.message


def _first_line(text: str) -> str:
    """Take the first line; the name of the exception's class before it tells a person nothing."""
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    name, separator, rest = line.partition(": ")
    return scrub(rest if separator and rest and "." in name and " " not in name else line)
