"""An acknowledgement: somebody says that they did a duty; the ledger has it before it counts."""

from __future__ import annotations

from uuid import uuid4

from ops_platform.audit import AuditEvent, append
from ops_platform.clients.postgres import Connection
from ops_platform.errors import ConfigurationError
from ops_platform.housekeeping.calendar.definition import BY_HAND, Calendar

SHORTEST_NOTE = 10


def acknowledge(connection: Connection, calendar: Calendar, name: str, by: str, note: str) -> None:
    """Record that ``by`` did a duty now, in the ledger and for the calendar, in one transaction.

    Raises ConfigurationError for a duty that is unknown or that a schedule does, and for a name or note that
    says nothing.
    """
    by_hand = [known for known, duty in calendar.duties.items() if duty.evidence == BY_HAND]
    if name not in calendar.duties:
        raise ConfigurationError(f"{name} is no duty of the calendar: use one of {', '.join(by_hand)}")
    if name not in by_hand:
        raise ConfigurationError(
            f"{name} is done by a schedule, and nobody's word takes its place: "
            "look at 'ops-platform failures'"
        )
    if not by.strip():
        raise ConfigurationError("an acknowledgement names the person who did it: --by NAME")
    if len(note.strip()) < SHORTEST_NOTE:
        raise ConfigurationError(
            f"an acknowledgement says what was done, in at least {SHORTEST_NOTE} characters: --note"
        )
    operation_id = str(uuid4())
    with connection.transaction():
        append(
            connection,
            AuditEvent(
                "duty.acknowledged",
                "event",
                operation_id,
                f"duty/{name}",
                f"person:{by}",
                None,
                {"note": note},
            ),
        )
        connection.execute(
            "INSERT INTO duty_acknowledgements (name, done_by, note, operation_id) VALUES (%s, %s, %s, %s)",
            (name, by, note, operation_id),
        )
