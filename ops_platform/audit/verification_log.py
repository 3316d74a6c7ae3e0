"""Verifications of the ledger on record: each goes on where the last one ended, weekly one begins anew."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from ops_platform.audit.batch import own_transactions
from ops_platform.audit.copies import CopyStore
from ops_platform.audit.findings import Mark, Verification
from ops_platform.audit.keys import PublicKeys
from ops_platform.audit.verify import check
from ops_platform.clients.postgres import Connection

FULL_AFTER = timedelta(days=7) - timedelta(minutes=30)
"""Age of the newest verification in full at which the next one is in full, too: weekly, with hourly runs."""


def verify_and_record(
    connection: Connection,
    ledger: CopyStore,
    keys: PublicKeys,
    *,
    full: bool = False,
    run_id: str | None = None,
    now: datetime | None = None,
) -> Verification:
    """Verify what came since the last verification that found nothing, or all, and put it on record.

    All with ``full``, when the last one in full is a week old or found something, and when an epoch was
    opened since. Raises as ``verify.check`` does; then nothing is on record.
    """
    started_at = now or datetime.now(UTC)
    with own_transactions(connection):
        since = None if full else _mark(connection, started_at)
        result = check(connection, ledger, keys, now=now, since=since)
        mark = result.mark
        connection.execute(
            """
            INSERT INTO public.audit_verifications
                (started_at, since, findings, seal, seal_hash, epoch, to_xid, events, run_id)
            VALUES (%s, %s, %s, %s, %s, %s, %s::text::xid8, %s, %s)
            """,
            (
                started_at,
                result.since,
                len(result.findings),
                mark.number if mark else None,
                mark.hash if mark else None,
                mark.epoch if mark else None,
                str(mark.to_xid) if mark else None,
                mark.events if mark else result.events,
                run_id,
            ),
        )
    return result


def _mark(connection: Connection, now: datetime) -> Mark | None:
    """Read where the next verification begins; None where it begins at the first seal."""
    newest_full = connection.execute(
        """
        SELECT started_at, findings FROM public.audit_verifications WHERE since = 0 ORDER BY id DESC LIMIT 1
        """
    ).fetchone()
    if newest_full is None or newest_full["findings"] or now - newest_full["started_at"] >= FULL_AFTER:
        return None
    row = connection.execute(
        """
        SELECT seal, seal_hash, epoch, to_xid::text AS to_xid, events FROM public.audit_verifications AS done
        WHERE findings = 0 AND seal IS NOT NULL AND NOT EXISTS (
            SELECT FROM public.audit_seals AS opening
            WHERE opening.opens IS NOT NULL AND opening.number > done.seal)
        ORDER BY id DESC LIMIT 1
        """
    ).fetchone()
    if row is None:
        return None
    return Mark(row["seal"], row["seal_hash"], row["epoch"], int(row["to_xid"]), row["events"])
