"""The first full backup of each stanza, taken by Dagster as an operator would launch it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ops_platform.backup.repository import Repository
from ops_platform.backup.stanza import open_context
from ops_platform.clients.dagster import FINISHED, UNFINISHED, Dagster
from ops_platform.clients.waiting import wait_until
from ops_platform.errors import CheckFailed, Unavailable
from ops_platform.settings import Settings

JOB = "backup_full"
DEADLINE_SECONDS = 3600.0

_COPIED = re.compile(r"\bcopied (\d+)\s?%")


@dataclass
class BootstrapRun:
    """A launched run; ``fraction`` (0 to 1) is the share that it last reported as copied."""

    stanza: str
    run_id: str
    status: str = "QUEUED"
    fraction: float = 0.0


def run_config(stanza: str) -> dict[str, Any]:
    """Make the run config of a backup job."""
    return {"stanza": stanza}


def without_full_backup(settings: Settings, stanzas: Iterable[str]) -> list[str]:
    """List the stanzas whose repository holds no completed full set without page errors."""
    return [stanza for stanza in stanzas if not _has_full(settings, stanza)]


def take(
    settings: Settings, stanzas: Sequence[str], report: Callable[[Sequence[BootstrapRun]], None]
) -> None:
    """Launch a full backup of each stanza, or follow the one that is under way, until all succeeded.

    Raises CheckFailed with the run's own reason, Unavailable when Dagster goes away for good.
    """
    url = settings.require("dagster_url")
    dagster = Dagster(url, token=settings.dagster_token)
    # An `up` that was interrupted has left runs: they are followed, not launched again.
    under_way = {run.run_config.get("stanza"): run.run_id for run in dagster.runs(JOB, statuses=UNFINISHED)}
    runs = [
        BootstrapRun(stanza, under_way.get(stanza) or dagster.launch(JOB, run_config(stanza)))
        for stanza in stanzas
    ]

    def finished() -> bool:
        for run in runs:
            if run.status not in FINISHED:
                _follow(dagster, run)
        report(runs)
        return all(run.status in FINISHED for run in runs)

    wait_until(finished, DEADLINE_SECONDS, "the first full backups succeed", interval=1.0)
    for run in runs:
        if run.status != "SUCCESS":
            reason = dagster.failure(run.run_id) or f"the run ended as {run.status}"
            raise CheckFailed(
                f"the first backup of {run.stanza} failed: {reason}; see {url}/runs/{run.run_id}, "
                "then run 'ops-platform up' again"
            )


def _follow(dagster: Dagster, run: BootstrapRun) -> None:
    try:
        run.status = dagster.run(run.run_id).status
        events = dagster.events(run.run_id) if run.status == "STARTED" else []
    except Unavailable:
        return  # the webserver restarts; the deadline is the caller's
    for event in events:
        copied = _COPIED.search(str(event.get("message") or ""))
        if copied:
            run.fraction = int(copied.group(1)) / 100
    if run.status == "SUCCESS":
        run.fraction = 1.0


def _has_full(settings: Settings, stanza: str) -> bool:
    repository = Repository.parse(stanza, open_context(settings, stanza).pgbackrest.info())
    return any(backup_set.kind == "full" and not backup_set.error for backup_set in repository.sets)
