"""Writing to the ledger: append an event, or bracket an operation with its intent and its outcome.

``sealer`` seals the events and ``verify`` checks them.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias
from uuid import UUID, uuid4

from psycopg import errors as pg_errors
from psycopg.pq import TransactionStatus
from psycopg.types.json import Jsonb

from ops_platform.clients import postgres
from ops_platform.clients.postgres import Connection
from ops_platform.clients.safe_errors import Note, describe
from ops_platform.clients.waiting import wait_until
from ops_platform.errors import OpsError, Unavailable

JSON: TypeAlias = "bool | int | float | str | Sequence[JSON] | Mapping[str, JSON] | None"
Phase = Literal["intent", "outcome", "event"]
Outcome = Literal["success", "failed"]

REASON_CHARACTERS = 300
SALT_BYTES = 32
OUTCOME_PATIENCE_SECONDS = 30
"""Time that an outcome waits for an ops database that is being restarted."""


_APPEND = """
    INSERT INTO public.audit_events
        (event_id, actor, action, phase, operation_id, object, outcome, details, commitments)
    VALUES (%(event_id)s, %(actor)s, %(action)s, %(phase)s, %(operation_id)s, %(object)s, %(outcome)s,
            %(details)s, %(commitments)s)
"""
_STORED = """
    SELECT public.audit_stored(
        %(event_id)s, %(actor)s, %(action)s, %(phase)s, %(operation_id)s, %(object)s, %(outcome)s,
        %(details)s, %(commitments)s) AS stored
"""


class LedgerError(OpsError):
    """An event cannot be written; nothing was written."""


@dataclass(frozen=True)
class AuditEvent:
    """One event of the ledger.

    ``details`` is stored as plain text and must hold nothing personal; personal values go into ``personal``
    and are stored only as salted commitments.
    """

    action: str
    phase: Phase
    operation_id: str
    object: str
    actor: str
    outcome: Outcome | None = None
    details: Mapping[str, JSON] = field(default_factory=dict)
    personal: Mapping[str, str] = field(default_factory=dict)


def append(connection: Connection, event: AuditEvent) -> UUID:
    """Write the event in the caller's transaction and return its event id; it exists only if that commits.

    The row is asked for again, because a trigger or a rule can drop or alter it without an error.
    Raises LedgerError when the event breaks a rule of the ledger's tables, or was not stored as it is.
    """
    event_id = uuid4()
    salt = secrets.token_bytes(SALT_BYTES)
    values = {
        "event_id": event_id,
        "actor": event.actor,
        "action": event.action,
        "phase": event.phase,
        "operation_id": event.operation_id,
        "object": event.object,
        "outcome": event.outcome,
        "details": Jsonb(dict(event.details), dumps=_strict_json),
        "commitments": Jsonb({name: commitment(salt, name, value) for name, value in event.personal.items()}),
    }
    try:
        with _one_transaction(connection):
            if event.personal:
                salts = connection.execute(
                    "INSERT INTO public.audit_salts (event_id, salt) VALUES (%s, %s)", (event_id, salt)
                ).rowcount
                if salts != 1:
                    raise LedgerError(_not_stored(event))
            connection.execute(_APPEND, values)
            if not postgres.one_row(connection, _STORED, values)["stored"]:
                raise LedgerError(_not_stored(event))
    except (pg_errors.CheckViolation, pg_errors.NotNullViolation) as error:
        # Not the error's text: its DETAIL line quotes the row.
        rule = error.diag.constraint_name or error.diag.column_name
        raise LedgerError(
            f"audit event {event.action}/{event.phase} breaks {rule}: correct its fields"
        ) from None
    except (pg_errors.DataError, UnicodeError):
        raise LedgerError(
            f"audit event {event.action}/{event.phase} holds a character that cannot be stored: correct it"
        ) from None
    return event_id


def _one_transaction(connection: Connection) -> AbstractContextManager[object]:
    """Begin a transaction for the block in autocommit mode, where each statement has one of its own."""
    idle = connection.info.transaction_status == TransactionStatus.IDLE
    return connection.transaction() if connection.autocommit and idle else nullcontext()


def _not_stored(event: AuditEvent) -> str:
    return (
        f"audit event {event.action}/{event.phase} was not stored as it was written: something in the ops "
        "database drops or alters events: run 'ops-platform audit verify'"
    )


def commitment(salt: bytes, name: str, value: str) -> str:
    """Compute the hex HMAC-SHA256 of field name, NUL, value: binding with the salt, meaningless without."""
    return hmac.new(salt, name.encode() + b"\0" + value.encode(), hashlib.sha256).hexdigest()


@dataclass
class Operation:
    """A running operation; its ``details`` are written with the outcome."""

    operation_id: str
    details: dict[str, JSON] = field(default_factory=dict)


@contextmanager
def operation(
    connect: Callable[[], Connection],
    *,
    action: str,
    object: str,
    actor: str,
    operation_id: str | None = None,
    details: Mapping[str, JSON] | None = None,
    personal: Mapping[str, str] | None = None,
) -> Iterator[Operation]:
    """Bracket an operation outside the ops database: its intent is committed before, its outcome after.

    The outcome is written however the block ends, also by an interruption; a process that is
    killed leaves an intent without an outcome. No connection is held meanwhile, and the outcome
    waits up to OUTCOME_PATIENCE_SECONDS for a database that is away.
    The block's own exception always goes through; when the block succeeded and the outcome cannot
    be written, Unavailable is raised, because an operation without a record is not done.
    """
    running = Operation(operation_id or str(uuid4()))
    intent = AuditEvent(
        action, "intent", running.operation_id, object, actor, None, details or {}, personal or {}
    )
    with connect() as connection:
        append(connection, intent)
    outcome = replace(intent, phase="outcome", personal={})
    try:
        yield running
    except BaseException as error:
        failed = replace(outcome, outcome="failed", details={**running.details, "reason": reason(error)})
        try:
            _write_outcome(connect, failed)
        except OpsError as unwritten:
            error.add_note(Note(f"its outcome is not in the audit ledger: {unwritten}"))
        raise
    _write_outcome(connect, replace(outcome, outcome="success", details=dict(running.details)))


def reason(error: BaseException) -> str:
    """Word the reason of a failure for the ledger: our own errors' line, shortened; the type of others.

    Messages of foreign exceptions quote the values that they choke on, which may be personal.
    """
    if not isinstance(error, OpsError):
        return type(error).__name__
    return describe(error)[:REASON_CHARACTERS]


def _write_outcome(connect: Callable[[], Connection], event: AuditEvent) -> None:
    def written() -> bool:
        try:
            with connect() as connection:
                append(connection, event)
        except (Unavailable, pg_errors.OperationalError):
            return False
        return True

    wait_until(
        written,
        OUTCOME_PATIENCE_SECONDS,
        f"the outcome of {event.action} {event.operation_id} cannot be written",
        interval=0.5,
        hint="start the ops database, then repeat the operation",
    )


def default_connect(url: str) -> Callable[[], Connection]:
    """Make the ``connect`` of ``operation`` from the URL of the ops database."""
    return lambda: postgres.connect(url)


def _strict_json(value: Any) -> str:
    # NaN and Infinity are not JSON: PostgreSQL refuses them with a message that quotes the document.
    try:
        return json.dumps(value, allow_nan=False, ensure_ascii=False)
    except (TypeError, ValueError):
        raise LedgerError("details of an audit event must be plain JSON: correct the caller") from None
