"""The data that ``ops-platform audit`` shows: the verdict on the ledger, and its newest events."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from psycopg import errors as pg_errors

from ops_platform.audit.copies import CopyStore
from ops_platform.audit.epochs import open_epoch
from ops_platform.audit.findings import Verification
from ops_platform.audit.keys import PublicKeys, SigningKey
from ops_platform.audit.reading import CopiedBucket, Manifest, export
from ops_platform.audit.seal import PREFIX, Seal
from ops_platform.audit.verification_log import verify_and_record
from ops_platform.audit.verify import check, check_copy
from ops_platform.clients import object_store, postgres
from ops_platform.clients.object_store import ObjectStoreRefused
from ops_platform.clients.postgres import Connection
from ops_platform.clients.safe_errors import why
from ops_platform.errors import CheckFailed, ConfigurationError, Unavailable
from ops_platform.settings import Settings


@dataclass(frozen=True)
class LedgerReport:
    """A verification in words and as JSON."""

    result: Verification

    @property
    def ok(self) -> bool:
        """Whether the ledger is intact."""
        return not self.result.findings

    @property
    def findings(self) -> list[str]:
        """The differences, one line each."""
        return [str(finding) for finding in self.result.findings]

    @property
    def summary(self) -> str:
        """The verdict in one line, and a line for each note."""
        result = self.result
        verdict = "intact" if self.ok else f"NOT INTACT, {len(result.findings)} differences"
        line = f"ledger {verdict}: {result.events} events under {result.seals} seals"
        if result.since:
            line += f" after seal {result.since}"
        if result.last_sealed_at is not None:
            line += f", sealed up to {result.last_sealed_at:%Y-%m-%d %H:%M:%S} UTC"
        if result.unsealed and result.oldest_unsealed_at is not None:
            age = (datetime.now(UTC) - result.oldest_unsealed_at).total_seconds()
            line += (
                f"; {result.unsealed} not sealed yet, the oldest for {age:.0f} s: nothing vouches for these"
            )
        return "\n".join([line, *(f"note: {note}" for note in result.notes)])

    def as_json(self) -> dict[str, Any]:
        """Return the verification as a JSON object; times in ISO 8601."""
        result = asdict(self.result)
        return {
            "ok": self.ok,
            **result,
            "oldest_unsealed_at": _iso(self.result.oldest_unsealed_at),
            "last_sealed_at": _iso(self.result.last_sealed_at),
        }


def verify_ledger(settings: Settings) -> LedgerReport:
    """Verify the ledger that the settings name.

    Raises ConfigurationError when a setting is missing, CheckFailed when database or bucket
    cannot be read: an unverified ledger does not count as intact.
    """
    keys = public_keys(settings)
    url = settings.require("database_url")
    ledger = object_store.from_settings(settings, "ledger")
    try:
        with _session(url) as connection:
            return LedgerReport(check(connection, ledger, keys))
    except (Unavailable, ObjectStoreRefused) as error:
        raise CheckFailed(f"the ledger could not be verified: {error}") from None


def record_verification(settings: Settings, *, full: bool = False, run_id: str | None = None) -> LedgerReport:
    """Verify the ledger from the last verification on record on, or in ``full``, and put it on record.

    Raises as ``verify_ledger`` does; then nothing is on record.
    """
    keys = public_keys(settings)
    url = settings.require("database_url")
    ledger = object_store.from_settings(settings, "ledger")
    try:
        with _session(url) as connection:
            return LedgerReport(verify_and_record(connection, ledger, keys, full=full, run_id=run_id))
    except (Unavailable, ObjectStoreRefused) as error:
        raise CheckFailed(f"the ledger could not be verified: {error}") from None


def verify_copy(
    settings: Settings, path: Path, *, copies: Path | None = None, taken_at: datetime | None = None
) -> LedgerReport:
    """Verify an export or a dump without its server.

    ``copies`` is a directory with what was in the bucket; without one it is that of the export, if it has
    copies, else the bucket that the settings name. Raises ConfigurationError when a setting is missing,
    CheckFailed when something cannot be read.
    """
    keys = public_keys(settings)
    own = path if path.is_dir() and (path / PREFIX).is_dir() else None
    directory = copies or own
    ledger: CopyStore = (
        CopiedBucket(directory) if directory is not None else object_store.from_settings(settings, "ledger")
    )
    try:
        return LedgerReport(check_copy(path, ledger, keys, taken_at=taken_at))
    except (Unavailable, ObjectStoreRefused) as error:
        raise CheckFailed(f"the ledger could not be verified: {error}") from None


def export_ledger(settings: Settings, directory: Path, *, copies: bool) -> Manifest:
    """Write the ledger into a new directory, with the bucket's ``copies`` of seals if they are wanted.

    Raises CheckFailed when the directory is not empty or the ledger cannot be read.
    """
    ledger = object_store.from_settings(settings, "ledger") if copies else None
    try:
        with _session(settings.require("database_url")) as connection:
            return export(connection, directory, ledger)
    except (Unavailable, ObjectStoreRefused) as error:
        raise CheckFailed(f"the ledger could not be exported: {error}") from None


def recent_events(
    settings: Settings, *, object_name: str | None = None, action: str | None = None, limit: int = 50
) -> list[dict[str, Any]]:
    """List the newest events, newest last, each with the number of the ``seal`` that covers it or None."""
    with _session(settings.require("database_url")) as connection:
        rows = connection.execute(
            """
            SELECT event.id, event.event_id::text, event.epoch, event.occurred_at, event.actor, event.action,
                   event.phase, event.operation_id, event.object, event.outcome, event.details,
                   event.commitments, covering.number AS seal
            FROM (
                SELECT * FROM audit_events
                WHERE (%(object)s::text IS NULL OR object = %(object)s)
                  AND (%(action)s::text IS NULL OR action = %(action)s)
                ORDER BY id DESC LIMIT %(limit)s
            ) AS event
            LEFT JOIN LATERAL (
                SELECT number FROM audit_seals AS seal
                WHERE seal.epoch = event.epoch AND event.xid >= seal.from_xid
                  AND (event.xid < seal.to_xid OR seal.opens IS NOT NULL)
                  AND NOT EXISTS (
                      SELECT FROM audit_seals AS opening
                      WHERE opening.opens IS NOT NULL AND opening.number > seal.number
                        AND opening.void_from <= seal.number)
                ORDER BY seal.epoch, seal.to_xid LIMIT 1
            ) AS covering ON true
            ORDER BY event.id
            """,
            {"object": object_name, "action": action, "limit": limit},
        )
        return rows.fetchall()


def open_next_epoch(settings: Settings) -> Seal:
    """Open the next epoch after a restore of the ops database, as its owner; return the opening seal.

    Raises ConfigurationError when the signing key is missing, and what ``epochs.open_epoch`` raises.
    """
    if settings.audit.signing_key is None:
        raise ConfigurationError(
            "OPS_AUDIT_SIGNING_KEY_FILE is not set or not readable: give this one command the agent's key"
        )
    ledger = object_store.from_settings(settings, "ledger")
    with _session(settings.require("owner_database_url")) as owner:
        return open_epoch(
            owner,
            ledger,
            SigningKey(settings.audit.signing_key.get_secret_value()),
            retention_days=settings.audit.retention_days,
            keys=public_keys(settings),
        )


def public_keys(settings: Settings) -> PublicKeys:
    """Read the keys that seals are checked with. Raises ConfigurationError when none is set."""
    if settings.audit.public_key is None:
        raise ConfigurationError(
            "OPS_AUDIT_PUBLIC_KEY_FILE is not set: start the stack with 'ops-platform up' or set it"
        )
    return PublicKeys.parse(settings.audit.public_key)


@contextmanager
def _session(url: str) -> Iterator[Connection]:
    """Open a connection; PostgreSQL's errors are raised as Unavailable, without the data that they quote."""
    where = postgres.describe(url)
    try:
        with postgres.session(url, application="ops-platform audit") as connection:
            yield connection
    except (pg_errors.UndefinedTable, pg_errors.UndefinedColumn):
        raise Unavailable(
            f"the database at {where} has no ledger of this version: run 'ops-platform migrate'"
        ) from None
    except psycopg.Error as error:
        raise Unavailable(
            f"the ledger at {where} cannot be read: {why(error)}: check the role and the server's log"
        ) from None


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
