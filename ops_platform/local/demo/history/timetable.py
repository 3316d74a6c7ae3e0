"""Timetable of the demo product's history: arithmetic on Unix seconds, nothing random."""

from __future__ import annotations

from dataclasses import dataclass

HOUR, DAY = 3600, 86_400
STEP_SECONDS = 60
"""Time between two scrapes: several within the five minutes after which counting calls a gap unknown."""
LEAD_SECONDS = 900
"""Time before the first full hour: whether an hour is known depends on the scrapes before it."""
LEAD_DAYS = 1
"""Days before those that were asked for. The hour without scrapes is there: within the last 30 days it
would leave every error budget over 30 days unknown."""
GAP_HOUR = 7
"""Hour of the lead day that has no scrapes."""
GAP_MARGIN_SECONDS = 150
"""Time with scrapes at both ends of that hour, so that its neighbours stay known."""
DEPLOYS_AGO = (34 * HOUR, 15 * DAY + 5 * HOUR)
INCIDENT_AGO, INCIDENT_FROM, INCIDENT_SECONDS = 10 * DAY, 13 * HOUR, 4 * HOUR
OUTAGE_SECONDS = 300
"""The incident begins with a database that is away."""
FORGERY_AGO, FORGERY_FROM = 12 * DAY, 9 * HOUR
FORGERIES = 7
"""Webhook deliveries with an invalid signature, all in one hour."""

Span = tuple[int, int]
"""Begin and end, Unix seconds."""


@dataclass(frozen=True)
class HistoryPlan:
    """Plan of one history. The same plan always gives the same history, sample by sample.

    An event that would come before the beginning of the history is left out.
    """

    end: int
    """Time of the last scrape; the first scrape of the running product comes later."""
    days: int
    rate: float
    """Requests a second, on average."""
    seed: int
    instance: str
    """``host:port``, as Prometheus labels the running target."""

    @property
    def first_hour(self) -> int:
        """Begin of the first hour that can be counted."""
        return self.last_hour - (self.days + LEAD_DAYS) * DAY

    @property
    def last_hour(self) -> int:
        """End of the last full hour."""
        return self.end // HOUR * HOUR

    @property
    def begins(self) -> int:
        """Time of the first scrape."""
        return self.end - (self.end - self.first_hour + LEAD_SECONDS) // STEP_SECONDS * STEP_SECONDS

    @property
    def scrapes(self) -> int:
        """Number of scrapes."""
        before = (self.gap[0] - self.begins) // STEP_SECONDS + 1
        behind = (self.end - self.gap[1]) // STEP_SECONDS + 1
        return before + behind

    @property
    def gap(self) -> Span:
        """Span without scrapes, its ends excluded."""
        hour = self.first_hour + GAP_HOUR * HOUR
        return hour + GAP_MARGIN_SECONDS, hour + HOUR - GAP_MARGIN_SECONDS

    @property
    def deploys(self) -> tuple[int, ...]:
        """Times at which a new process took over, in order; its counters began at zero."""
        moments = sorted(self.last_hour - ago + 17 for ago in DEPLOYS_AGO)
        return tuple(moment for moment in moments if moment > self.first_hour)

    @property
    def started(self) -> int:
        """Start time of the process of the first scrape."""
        return self.begins - 3 * DAY - 1234

    @property
    def incident(self) -> Span | None:
        """Span in which API and publishing are broken."""
        return self._remembered(INCIDENT_AGO, INCIDENT_FROM, INCIDENT_SECONDS)

    @property
    def forgery(self) -> Span | None:
        """The hour of the invalid signatures."""
        return self._remembered(FORGERY_AGO, FORGERY_FROM, HOUR)

    def _remembered(self, ago: int, since: int, seconds: int) -> Span | None:
        """Compute the span on the day that was ``ago``, from ``since`` after midnight UTC; None outside."""
        start = (self.end - ago) // DAY * DAY + since
        return (start, start + seconds) if start > self.first_hour + LEAD_DAYS * DAY else None
