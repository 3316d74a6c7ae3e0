"""The answers of processors that they have erased a subject, too: recorded when they come, by hand."""

from __future__ import annotations

from datetime import datetime

from ops_platform.clients.postgres import Connection
from ops_platform.errors import CheckFailed


def record(ops: Connection, request_id: str, processor: str, answered_at: datetime, actor: str) -> bool:
    """Record an answer, in the caller's transaction; False when there is one already, which stays.

    Raises CheckFailed when no such processor was told of this erasure.
    """
    told = {
        row["object"]
        for row in ops.execute(
            "SELECT DISTINCT object FROM gdpr_lineage WHERE request_id = %s AND store = 'processor'",
            (request_id,),
        )
    }
    if processor not in told:
        names = ", ".join(sorted(told)) or "nobody"
        raise CheckFailed(
            f"no processor {processor!r} was told of the erasure {request_id}; told were: {names}"
        )
    return bool(
        ops.execute(
            "INSERT INTO gdpr_processor_answers (request_id, processor, answered_at, recorded_by) "
            "VALUES (%s, %s, %s, %s) ON CONFLICT (request_id, processor) DO NOTHING",
            (request_id, processor, answered_at, actor),
        ).rowcount
    )


def times(ops: Connection, request_id: str) -> dict[str, datetime]:
    """Read when each processor has answered, by name; those who have not are left out."""
    rows = ops.execute(
        "SELECT processor, answered_at FROM gdpr_processor_answers WHERE request_id = %s", (request_id,)
    )
    return {row["processor"]: row["answered_at"] for row in rows}
