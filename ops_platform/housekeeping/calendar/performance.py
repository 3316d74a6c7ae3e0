"""A performance: the event of the ledger that scheduled work writes where it leaves nothing else."""

from __future__ import annotations

from ops_platform.audit import AuditEvent, append
from ops_platform.clients.postgres import Connection
from ops_platform.housekeeping.calendar.evidence import EVIDENCE

ACTION = "duty.performed"


def performed_object(evidence: str, stanza: str = "") -> str:
    """Name the object of the events of an evidence, of a stanza where it is per stanza."""
    return f"duty/{evidence}/{stanza}" if stanza else f"duty/{evidence}"


def record_performed(
    connection: Connection, evidence: str, run_id: str, *, stanza: str = "", findings: int = 0
) -> None:
    """Record in the ledger that a duty's work was done to its end. In the caller's transaction.

    Findings do not take from that: somebody looked. They have alerts of their own, and their number is in
    the event. A replay writes another event, as it looks anew.
    """
    if EVIDENCE[evidence].per_stanza != bool(stanza):
        raise AssertionError(f"{evidence} is recorded for a stanza exactly when it is asked for by stanza")
    append(
        connection,
        AuditEvent(
            ACTION,
            "event",
            run_id,
            performed_object(evidence, stanza),
            f"dagster:{run_id}",
            None,
            {"findings": findings},
        ),
    )
