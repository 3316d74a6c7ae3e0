"""The answers of processors that they have erased a subject, too: recorded when they come, by hand."""

from __future__ import annotations

from datetime import UTC, datetime

from ops_platform.clients.postgres import Connection
from ops_platform.errors import CheckFailed
from ops_platform.gdpr.erasure import processor_notices


def record(
    ops: Connection, request_id: str, processor: str, answered_at: datetime, actor: str, now: datetime
) -> bool:
    """Record an answer, in the caller's transaction; False when there is one already, which stays.

    Raises CheckFailed when no such processor was told of this erasure, or they cannot have answered then.
    """
    told = _told(ops, request_id)
    if processor not in told:
        names = ", ".join(sorted(told)) or "nobody"
        raise CheckFailed(
            f"no processor {processor!r} was told of the erasure {request_id} so far; told were: {names}"
        )
    if not told[processor] <= answered_at <= now:
        raise CheckFailed(
            f"{processor!r} was told at {told[processor].astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}, and cannot "
            "have answered before, or in the future: correct --at"
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


def _told(ops: Connection, request_id: str) -> dict[str, datetime]:
    """Find the processors whose letter has left, and since when they can have known of the erasure."""
    rows = ops.execute(
        "SELECT object AS name, min(recorded_at) AS written_at, max(affected) > 0 AS has_left "
        "FROM gdpr_lineage WHERE request_id = %s AND store = 'processor' GROUP BY object",
        (request_id,),
    ).fetchall()
    told = {}
    for row in rows:
        # The outbox forgets its mails; lineage records that one has left later than it may be answered.
        left_at = processor_notices.left_at(ops, request_id, row["name"])
        if left_at is not None or row["has_left"]:
            told[row["name"]] = left_at or row["written_at"]
    return told
