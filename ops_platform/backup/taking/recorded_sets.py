"""Sets that were recorded, and how their end is explained: a cleanup of ours, or a person's word.

The facts are durable ones of the ops database: completed reports and events of the audit ledger. A set that
was recorded, is not listed and is not explained is lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ops_platform.audit import AuditEvent, ledger
from ops_platform.clients.postgres import Connection, one_row

EXPIRE = "backup.expire"
"""Action of a cleanup; its intent names the sets under ``expired``."""
ACKNOWLEDGE = "backup.loss_acknowledged"
"""Action of a person who has seen a loss; it names the sets under ``lost``."""

_EXPECTED = """
    WITH explained (label) AS (
        SELECT jsonb_array_elements_text(details -> 'expired') FROM audit_events
        WHERE object = %(object)s AND action = %(expire)s AND phase = 'intent'
        UNION ALL
        SELECT jsonb_array_elements_text(details -> 'lost') FROM audit_events
        WHERE object = %(object)s AND action = %(acknowledge)s AND phase = 'event'
    )
    SELECT DISTINCT label FROM backup_reports AS report
    WHERE stanza = %(stanza)s AND status = 'completed' AND kind <> 'wal_archive'
      AND NOT EXISTS (SELECT FROM explained WHERE explained.label = report.label)
    ORDER BY label
"""
_HISTORY = """
    SELECT (SELECT min(completed_at) FROM backup_reports
            WHERE stanza = %(stanza)s AND status = 'completed' AND kind <> 'wal_archive') AS first_at,
           newest.occurred_at AS acknowledged_at,
           (newest.details ->> 'promised_from')::timestamptz AS promised_from
    FROM (SELECT 1) AS one
    LEFT JOIN LATERAL (
        SELECT occurred_at, details FROM audit_events
        WHERE object = %(object)s AND action = %(acknowledge)s AND phase = 'event'
        ORDER BY id DESC LIMIT 1
    ) AS newest ON true
"""


@dataclass(frozen=True)
class History:
    """How long sets of a stanza have been kept; None where there is no record of it.

    ``promised_from``: the end of the first set of the window that is to be there now: the stanza's first, or
    the one that a person named when a loss was acknowledged.
    """

    promised_from: datetime | None
    acknowledged_at: datetime | None = None


def expected(connection: Connection, stanza: str) -> frozenset[str]:
    """Name the recorded sets that nobody is known to have removed."""
    return frozenset(row["label"] for row in connection.execute(_EXPECTED, _names(stanza)))


def lost(
    connection: Connection, stanza: str, before: Iterable[str], listed: Iterable[str]
) -> tuple[str, ...]:
    """Name the sets that vanished: expected ``before`` the repository was listed, and not ``listed``.

    Whether a cleanup removed them is asked again now: one may have begun in between.
    """
    missing = set(before) - set(listed)
    return tuple(sorted(missing & expected(connection, stanza))) if missing else ()


def history(connection: Connection, stanza: str) -> History:
    """Read since when the stanza's sets are to be there."""
    row = one_row(connection, _HISTORY, _names(stanza))
    return History(row["promised_from"] or row["first_at"], row["acknowledged_at"])


def acknowledge(
    connection: Connection,
    stanza: str,
    lost_sets: Iterable[str],
    promised_from: datetime,
    reason: str,
    actor: str,
) -> None:
    """Write into the ledger that a person has seen a loss, in the caller's transaction.

    The sets count as explained from then on, and the window is promised from ``promised_from``.
    """
    details: Mapping[str, ledger.JSON] = {
        "lost": sorted(lost_sets),
        "promised_from": promised_from.isoformat(),
        "reason": reason[: ledger.REASON_CHARACTERS],
    }
    object_name = _names(stanza)["object"]
    operation = f"{ACKNOWLEDGE}:{stanza}:{promised_from.isoformat()}"
    ledger.append(connection, AuditEvent(ACKNOWLEDGE, "event", operation, object_name, actor, None, details))


def _names(stanza: str) -> dict[str, Any]:
    return {"stanza": stanza, "object": f"stanza/{stanza}", "expire": EXPIRE, "acknowledge": ACKNOWLEDGE}
