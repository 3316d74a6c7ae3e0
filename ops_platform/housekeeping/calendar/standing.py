"""Standing of a duty: when it was done last and by whom, when it is due, and whether that is past."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from ops_platform.clients.postgres import Connection, one_row
from ops_platform.housekeeping.calendar.definition import BY_HAND, Calendar, Definition
from ops_platform.housekeeping.calendar.evidence import EVIDENCE, SCENARIOS
from ops_platform.housekeeping.calendar.performance import performed_object

State = Literal["done", "due", "overdue"]
_NEWEST = """
    SELECT DISTINCT ON (name) name, done_at, done_by, note FROM duty_acknowledgements
    ORDER BY name, done_at DESC, id DESC
"""
_BEGAN = "SELECT min(began_at) AS at FROM duty_calendar"


@dataclass(frozen=True)
class Standing:
    """A duty, of a stanza where it has to be done for each, and its times.

    ``done_at``: None where it was never done; it is due all the same, a period after the calendar began.
    """

    name: str
    stanza: str
    definition: Definition
    done_at: datetime | None
    done_by: str | None
    note: str | None
    due_at: datetime

    @property
    def reminder_at(self) -> datetime:
        """Return when it is told that it is due soon."""
        return self.due_at - timedelta(days=self.definition.remind_days)

    @property
    def escalation_at(self) -> datetime:
        """Return when that it is overdue becomes critical."""
        return self.due_at + timedelta(days=self.definition.escalate_days)

    def state(self, now: datetime) -> State:
        """Tell how it stands. What was never done is due from the beginning, not done."""
        if now >= self.due_at:
            return "overdue"
        return "due" if self.done_at is None or now >= self.reminder_at else "done"


def standings(
    connection: Connection, calendar: Calendar, stanzas: Sequence[str], now: datetime
) -> list[Standing]:
    """Read how every duty stands, in the order of the calendar. Raises psycopg.Error."""
    began = one_row(connection, _BEGAN)["at"] or datetime.fromtimestamp(0, UTC)
    acknowledged = {row["name"]: row for row in connection.execute(_NEWEST)}
    found = []
    for name, duty in calendar.duties.items():
        for stanza, done_at in _performances(connection, name, duty, stanzas, now):
            row = acknowledged.get(name) if duty.evidence == BY_HAND else None
            at = row["done_at"] if row is not None else done_at
            by = "schedule" if done_at is not None else row["done_by"] if row is not None else None
            found.append(
                Standing(
                    name,
                    stanza,
                    duty,
                    at,
                    by,
                    row["note"] if row is not None else None,
                    (began if at is None else at) + duty.within,
                )
            )
    return found


def _performances(
    connection: Connection, name: str, duty: Definition, stanzas: Sequence[str], now: datetime
) -> Iterator[tuple[str, datetime | None]]:
    if duty.evidence == BY_HAND:
        yield "", None
        return
    evidence = EVIDENCE[duty.evidence]
    # Without a stanza nothing is backed up: the duty does not vanish with them.
    for stanza in (stanzas or ("",)) if evidence.per_stanza else ("",):
        values = {
            "now": now,
            "stanza": stanza,
            "scenarios": SCENARIOS,
            "object": performed_object(duty.evidence, stanza),
        }
        yield stanza, evidence.newest(connection, values)
