"""The daily review of data subjects' requests that wait or failed. It only reads, and names nobody."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ops_platform.clients.postgres import Connection, one_row
from ops_platform.gdpr.requests import FINISH_WITHIN, due_at

FAILED_WITHIN = timedelta(days=30)
"""Time for which failed requests that nobody resumed are shown."""
NEAR = timedelta(hours=24)
"""Time before the deadline at which a request counts as nearly late."""

_OPEN = """
    SELECT request_id, request_type, status, progress, attempts, verified_at, next_attempt_at, failure
    FROM gdpr_requests AS r
    WHERE verified_at IS NOT NULL
      AND (status IN ('pending', 'processing')
           OR (status = 'failed' AND outcome = 'error' AND completed_at > %(since)s
               -- A newer request of the same kind has taken its place.
               AND NOT EXISTS (SELECT FROM gdpr_requests AS n WHERE n.creator_id = r.creator_id
                               AND n.request_type = r.request_type AND n.id > r.id
                               AND n.status IN ('processing', 'completed'))))
    ORDER BY verified_at, id
"""
_UNVERIFIED = (
    "SELECT count(*) AS n FROM gdpr_requests WHERE status = 'pending' AND verified_at IS NULL "
    "AND verification_expires_at > %(now)s"
)
_TOMBSTONES = """
    SELECT count(*) FILTER (WHERE copied_at IS NULL AND erased_at < %(late)s) AS uncopied,
           count(*) FILTER (WHERE completed_at IS NULL AND erased_at < %(late)s) AS incomplete
    FROM erasure_tombstones
"""
_UNDELIVERED_MAILS = (
    "SELECT count(*) AS n FROM mail_outbox WHERE dedup_key LIKE 'gdpr-%%' AND given_up_at > %(since)s"
)


@dataclass(frozen=True)
class Waiting:
    """A confirmed request that is not done. Times are aware."""

    request_id: str
    request_type: str
    status: str
    progress: str | None
    attempts: int
    due_at: datetime
    next_attempt_at: datetime | None
    failure: str | None


@dataclass(frozen=True)
class Review:
    """The state of the requests ``at`` a time.

    ``unverified``: requests that wait for their subject's confirmation. ``undelivered_mails``: mails about
    requests that were given up in the last 30 days.
    """

    at: datetime
    waiting: tuple[Waiting, ...]
    unverified: int
    uncopied_tombstones: int
    unfinished_erasures: int
    undelivered_mails: int

    @property
    def findings(self) -> list[str]:
        """Problems that somebody must look at, one line each."""
        return [*self._request_findings(), *self._other_findings()]

    def _request_findings(self) -> Iterator[str]:
        for request in self.waiting:
            name = f"{request.request_type} {request.request_id}"
            if request.status == "failed":
                yield f"{name} failed: {request.failure}: remove the cause, then re-execute its run"
            elif request.due_at <= self.at:
                yield f"{name} is overdue since {request.due_at:%Y-%m-%d %H:%M} UTC"
            elif request.due_at <= self.at + NEAR:
                yield f"{name} is due at {request.due_at:%Y-%m-%d %H:%M} UTC"

    def _other_findings(self) -> Iterator[str]:
        hours = FINISH_WITHIN // timedelta(hours=1)
        if self.uncopied_tombstones:
            yield f"{self.uncopied_tombstones} tombstones have no locked copy after {hours} h"
        if self.unfinished_erasures:
            yield f"{self.unfinished_erasures} erasures are not complete after {hours} h"
        if self.undelivered_mails:
            yield (
                f"{self.undelivered_mails} mails about requests were given up: refused, or the mail server "
                "was away"
            )


def review(connection: Connection, now: datetime) -> Review:
    """Review the requests as of ``now``. Raises what psycopg raises."""
    values = {"now": now, "since": now - FAILED_WITHIN, "late": now - FINISH_WITHIN}
    waiting = tuple(_waiting(row) for row in connection.execute(_OPEN, values))
    tombstones = one_row(connection, _TOMBSTONES, values)
    return Review(
        now,
        waiting,
        one_row(connection, _UNVERIFIED, values)["n"],
        tombstones["uncopied"],
        tombstones["incomplete"],
        one_row(connection, _UNDELIVERED_MAILS, values)["n"],
    )


def _waiting(row: dict[str, Any]) -> Waiting:
    deadline = due_at(row["verified_at"])
    assert deadline is not None  # noqa: S101 - the query asks for verified ones
    names = ("request_id", "request_type", "status", "progress", "attempts", "next_attempt_at", "failure")
    return Waiting(due_at=deadline, **{name: row[name] for name in names})
