"""Who changed what, and why, in the audit ledger: before the change goes on, and its outcome after."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import psycopg

from ops_platform.audit import JSON, AuditEvent, append
from ops_platform.clients.postgres.pool import Pool
from ops_platform.clients.safe_errors import describe
from ops_platform.errors import OpsError
from ops_platform.guard.accounts import Identity
from ops_platform.guard.refusal import Refusal

log = logging.getLogger(__name__)

LONGEST_OBJECT = 900
SUCCESSES = frozenset(
    {
        "LaunchMultipleRunsResult",
        "TerminateRunsResult",
        "ScheduleStateResult",
        "StopSensorMutationResult",
        "Sensor",
        "WorkspaceLocationEntry",
        "Workspace",
    }
)
"""Types of Dagster's answers that mean success, besides those whose names end with Success."""


class Record:
    """The ledger as the guard writes it; to be called in a thread."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def intend(self, event: AuditEvent) -> None:
        """Commit the intent of a change. Raises Refusal when that fails: then nothing may happen."""
        try:
            with self._pool.use() as connection:
                append(connection, event)
        except (OpsError, psycopg.Error) as error:
            log.error("a change was refused: %s", describe(error))
            raise Refusal(
                503, "ledger-away", "The audit ledger cannot be written, so nothing was changed: try later."
            ) from None

    def conclude(self, event: AuditEvent) -> bool:
        """Write the outcome of a change; False when that fails: the intent without it says so for ever."""
        try:
            with self._pool.use() as connection:
                append(connection, event)
        except (OpsError, psycopg.Error) as error:
            log.error("an outcome is not in the audit ledger: %s", describe(error))
            return False
        return True

    def close(self) -> None:
        """Close the connections."""
        self._pool.close()


def intent(
    kind: str,
    name: str,
    objects: tuple[str, ...],
    identity: Identity,
    operation_id: str,
    reason: str | None,
) -> AuditEvent:
    """Make the event that says who is about to change what, and why."""
    details: dict[str, JSON] = {"mutation": name, "role": identity.role, "objects": list(objects)}
    if reason is not None:
        details["reason"] = reason
    subject = ", ".join(objects)[:LONGEST_OBJECT] or "dagster"
    return AuditEvent(f"dagster.{kind}", "intent", operation_id, subject, identity.actor, None, details)


def succeeded(status: int, answer: Any, key: str) -> tuple[bool, Mapping[str, JSON]]:
    """Judge the answer to a mutation by its HTTP status and JSON; what is unknown is no success.

    Returns what the outcome's details say: the type of the answer, and the ids of runs in it.
    """
    data = answer.get("data") if isinstance(answer, dict) else None
    value = data.get(key) if isinstance(data, dict) else None
    kind = str(value.get("__typename", "")) if isinstance(value, dict) else type(value).__name__
    well = status == 200 and not answer.get("errors") if isinstance(answer, dict) else False
    done = value is True or kind.endswith("Success") or kind in SUCCESSES
    details: dict[str, JSON] = {"status": status, "answer": kind[:100]}
    runs = sorted(set(_run_ids(value)))[:100]
    if runs:
        details["runs"] = list(runs)
    return well and done, details


def _run_ids(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["runId"]] if isinstance(value.get("runId"), str) else []
        return own + [one for inner in value.values() for one in _run_ids(inner)]
    return [one for inner in value for one in _run_ids(inner)] if isinstance(value, list) else []
