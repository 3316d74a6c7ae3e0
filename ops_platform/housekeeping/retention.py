"""Retention: old rows of Dagster's event log, notifications and mails go, and so do addresses of requests.

Dagster never prunes its event log. Events that make up the history stay (run status, step results,
materialisations, checks, captured-log pointers); events that only filled the screen go.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ops_platform.clients import postgres
from ops_platform.clients.postgres import Connection, one_row

MARK = "dagster_event_logs"
# Event types whose loss changes nothing in the history that the UI shows. A type that a later
# Dagster adds is not in the list and is kept.
CHATTER = (
    "ENGINE_EVENT",
    "HANDLED_OUTPUT",
    "LOADED_INPUT",
    "STEP_INPUT",
    "STEP_OUTPUT",
    "OBJECT_STORE_OPERATION",
    "ASSET_STORE_OPERATION",
    "RESOURCE_INIT_STARTED",
    "RESOURCE_INIT_SUCCESS",
    "STEP_WORKER_STARTING",
    "STEP_WORKER_STARTED",
    "HOOK_COMPLETED",
    "HOOK_SKIPPED",
)
WATCHDOG = "Watchdog"
_WINDOW = 20_000
_BATCH = 5_000
# The newest Watchdog stays however old it is: its age is the metric that says the pipe is broken,
# and without a row there would be no age and no alarm.
_OLD_ALERTS = """
    DELETE FROM alert_deliveries WHERE id IN (
        SELECT id FROM alert_deliveries
        WHERE received_at < CASE alertname WHEN %(watchdog)s THEN %(repeats_before)s ELSE %(before)s END
          AND received_at < greatest(%(before)s, %(repeats_before)s)
          AND id IS DISTINCT FROM (
              SELECT id FROM alert_deliveries WHERE alertname = %(watchdog)s AND status = 'firing'
              ORDER BY received_at DESC, id DESC LIMIT 1)
        LIMIT %(batch)s
    )
"""
_OLD_MAILS = """
    DELETE FROM mail_outbox AS m WHERE coalesce(m.sent_at, m.given_up_at) < %(before)s
        AND NOT EXISTS (
            SELECT FROM gdpr_requests AS r WHERE r.request_id = split_part(m.dedup_key, ':', 2)
              AND (r.status IN ('pending', 'processing') OR (r.status = 'failed' AND r.outcome = 'error')))
        AND NOT EXISTS (
            SELECT FROM erasure_tombstones AS t WHERE t.gdpr_request_id = split_part(m.dedup_key, ':', 2)
              AND t.completed_at IS NULL)
"""


@dataclass(frozen=True)
class Pruned:
    """The result of one pass: rows deleted, and the id up to which it looked."""

    deleted: int
    up_to_id: int


def prune_event_log(
    dagster: Connection, ops: Connection, keep: timedelta, now: datetime, log: Callable[[str], None]
) -> Pruned:
    """Delete chatter older than ``keep`` from Dagster's event log, window by window.

    Each window is one transaction in Dagster's database, and only then the mark moves: a crash
    in between repeats a window that has nothing left to delete. Both connections must be in
    autocommit mode.
    """
    # Dagster stores naive UTC.
    cutoff = (now - keep).astimezone(UTC).replace(tzinfo=None)
    mark = _mark(ops)
    newest = _number(dagster, "SELECT coalesce(max(id), 0) AS n FROM event_logs")
    deleted = 0
    while mark < newest:
        end = min(mark + _WINDOW, newest)
        kept = _number(
            dagster,
            "SELECT count(*) AS n FROM event_logs WHERE id > %s AND id <= %s AND timestamp >= %s",
            mark,
            end,
            cutoff,
        )
        removed = dagster.execute(
            "DELETE FROM event_logs WHERE id > %s AND id <= %s AND timestamp < %s"
            " AND (dagster_event_type IS NULL OR dagster_event_type = ANY(%s))",
            (mark, end, cutoff, list(CHATTER)),
        ).rowcount
        deleted += removed
        if kept:
            break  # this window is looked at again when all of it is old
        mark = end
        _set_mark(ops, mark)
    log(f"event log: {deleted} rows deleted, looked at up to id {mark} of {newest}")
    return Pruned(deleted, mark)


def prune_alert_deliveries(ops: Connection, keep: timedelta, keep_watchdog: timedelta, now: datetime) -> int:
    """Delete notifications older than ``keep``, those of the Watchdog (one every two minutes) sooner.

    In batches, each a transaction of its own when ``ops`` is in autocommit mode, so that the agent
    goes on recording meanwhile. Returns the number deleted.
    """
    parameters = {
        "watchdog": WATCHDOG,
        "before": now - keep,
        "repeats_before": now - keep_watchdog,
        "batch": _BATCH,
    }
    deleted = 0
    while removed := ops.execute(_OLD_ALERTS, parameters).rowcount:
        deleted += removed
    return deleted


def forget_addresses(ops: Connection, keep: timedelta, now: datetime) -> int:
    """Empty addresses and tokens of requests that ended more than ``keep`` ago; return of how many.

    A failed request keeps its address: an operator may resume it, and then a mail is to be written.
    """
    return ops.execute(
        "UPDATE gdpr_requests SET requestor_email = '', verification_token = NULL, used_token = NULL "
        "WHERE completed_at < %s AND outcome IN ('fulfilled', 'cancelled', 'expired') "
        "AND (requestor_email <> '' OR verification_token IS NOT NULL OR used_token IS NOT NULL)",
        (now - keep,),
    ).rowcount


def prune_mails(ops: Connection, keep: timedelta, now: datetime) -> int:
    """Delete mails of the outbox sent or given up more than ``keep`` ago; return how many.

    Mails about an erasure that is not over stay, however old: when it goes on, it asks again whether they
    were sent. Mails are named ``<occasion>:<request id>...``.
    """
    return ops.execute(_OLD_MAILS, {"before": now - keep}).rowcount


def prune_sign_ins(ops: Connection, keep: timedelta, now: datetime) -> int:
    """Delete sign-in links and their sessions that were sent more than ``keep`` ago; return how many."""
    # A link and the session that it began last half an hour together.
    return ops.execute("DELETE FROM gdpr_sign_ins WHERE link_expires_at < %s", (now - keep,)).rowcount


def storage_url(sqlalchemy_url: str) -> str:
    """Convert Dagster's storage URL, which names a driver in its scheme, to libpq's form."""
    scheme, _, rest = sqlalchemy_url.partition("://")
    return f"{scheme.partition('+')[0]}://{rest}"


def open_connections(storage: str, ops: str) -> tuple[Connection, Connection]:
    """Connect to Dagster's storage and to the ops database, in autocommit mode, by their URLs."""
    application = "ops-platform retention"
    return (
        postgres.connect(storage_url(storage), application=application, autocommit=True),
        postgres.connect(ops, application=application, autocommit=True),
    )


def _mark(ops: Connection) -> int:
    row = ops.execute("SELECT up_to_id FROM retention_marks WHERE name = %s", (MARK,)).fetchone()
    return int(row["up_to_id"]) if row else 0


def _set_mark(ops: Connection, mark: int) -> None:
    ops.execute(
        "INSERT INTO retention_marks (name, up_to_id) VALUES (%s, %s)"
        " ON CONFLICT (name) DO UPDATE SET up_to_id = excluded.up_to_id, updated_at = now()",
        (MARK, mark),
    )


def _number(connection: Connection, query: str, *parameters: object) -> int:
    return int(one_row(connection, query, parameters)["n"])
