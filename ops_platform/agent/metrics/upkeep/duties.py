"""Metrics of the calendar's duties. When a duty counts as done is in ``housekeeping.calendar``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from ops_platform.agent.expiring_value import ExpiringValue
from ops_platform.agent.metrics.definition import Sample, gauge
from ops_platform.clients.postgres import Connection
from ops_platform.errors import ConfigurationError
from ops_platform.housekeeping import calendar
from ops_platform.housekeeping.calendar import CalendarFile, Standing

_DUTY = ("name", "stanza", "every", "evidence")

METRICS = (
    gauge("duty_calendar_known", "1 when calendar.yaml could be read, and how each duty stands; else 0."),
    gauge("duty_done_timestamp_seconds", "When a duty was done last; 0: never.", _DUTY),
    gauge("duty_due_timestamp_seconds", "From when on a duty is overdue.", _DUTY),
    gauge("duty_reminder_timestamp_seconds", "From when on it is told that a duty is due soon.", _DUTY),
    gauge("duty_escalation_timestamp_seconds", "From when on an overdue duty is critical.", _DUTY),
)


class DutyMetrics:
    """How each duty stands, kept for ``good_for`` seconds after each read.

    ``file``: None where there is none; then nothing is known.
    """

    def __init__(
        self, good_for: float, file: CalendarFile | None = None, stanzas: Sequence[str] = ()
    ) -> None:
        self.file = file
        self.stanzas = stanzas
        self.standings: ExpiringValue[Sequence[Standing]] = ExpiringValue(good_for)

    def read(self, connection: Connection) -> None:
        """Read the file, when it has changed, and the ops database. Raises psycopg.Error."""
        if self.file is None:
            return
        try:
            known = self.file.calendar()
        except ConfigurationError:
            # Nothing is exported until somebody corrects the file, and the alert says so.
            self.standings.forget()
            return
        self.standings.put(calendar.standings(connection, known, self.stanzas, datetime.now(UTC)))

    def samples(self, _now: float) -> Iterator[Sample]:
        """Yield the times of each duty; none of those that are not known."""
        known = self.standings.get()
        yield Sample("duty_calendar_known", (), float(known is not None))
        for one in known or ():
            duty = (one.name, one.stanza, one.definition.every, one.definition.evidence)
            done = 0.0 if one.done_at is None else one.done_at.timestamp()
            yield Sample("duty_done_timestamp_seconds", duty, done)
            yield Sample("duty_due_timestamp_seconds", duty, one.due_at.timestamp())
            yield Sample("duty_reminder_timestamp_seconds", duty, one.reminder_at.timestamp())
            yield Sample("duty_escalation_timestamp_seconds", duty, one.escalation_at.timestamp())
