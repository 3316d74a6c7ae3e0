"""When what happens in the demo product's past. Arithmetic on Unix seconds: nothing is drawn here."""

from __future__ import annotations

from dataclasses import dataclass

HOUR, DAY = 3600, 86_400
STEP_SECONDS = 60
"""Between two scrapes: several within the five minutes beyond which nobody knows what happened meanwhile."""
LEAD_SECONDS = 900
"""Before the first full hour: whether an hour is known depends on what was scraped before it."""
LEAD_DAYS = 1
"""Before the days that were asked for. The hour without scrapes is there: within the last 30 days it
would leave every budget over 30 days unknown."""
GAP_HOUR = 7
"""Of the lead, the hour that has no scrapes."""
GAP_MARGIN_SECONDS = 150
"""Scrapes at both ends of that hour, so that its neighbours stay known."""
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
    """One past. The same plan is always the same past, sample by sample.

    What is said to have happened before the history begins is left out of it.
    """

    end: int
    """The last scrape; the living product's first one comes later."""
    days: int
    rate: float
    """Requests a second, on average."""
    seed: int
    instance: str
    """``host:port``, as Prometheus labels the living target."""

    @property
    def first_hour(self) -> int:
        """The first hour that can be counted begins here."""
        return self.last_hour - (self.days + LEAD_DAYS) * DAY

    @property
    def last_hour(self) -> int:
        """The last full hour ends here."""
        return self.end // HOUR * HOUR

    @property
    def begins(self) -> int:
        """The first scrape."""
        return self.end - (self.end - self.first_hour + LEAD_SECONDS) // STEP_SECONDS * STEP_SECONDS

    @property
    def scrapes(self) -> int:
        """How many there were."""
        before = (self.gap[0] - self.begins) // STEP_SECONDS + 1
        behind = (self.end - self.gap[1]) // STEP_SECONDS + 1
        return before + behind

    @property
    def gap(self) -> Span:
        """Strictly within it nothing was scraped."""
        hour = self.first_hour + GAP_HOUR * HOUR
        return hour + GAP_MARGIN_SECONDS, hour + HOUR - GAP_MARGIN_SECONDS

    @property
    def deploys(self) -> tuple[int, ...]:
        """When another process took over, in order; its counters began at zero."""
        moments = sorted(self.last_hour - ago + 17 for ago in DEPLOYS_AGO)
        return tuple(one for one in moments if one > self.first_hour)

    @property
    def started(self) -> int:
        """When the process of the first scrape had begun."""
        return self.begins - 3 * DAY - 1234

    @property
    def incident(self) -> Span | None:
        """API and publishing are broken."""
        return self._remembered(INCIDENT_AGO, INCIDENT_FROM, INCIDENT_SECONDS)

    @property
    def forgery(self) -> Span | None:
        """The hour of the invalid signatures."""
        return self._remembered(FORGERY_AGO, FORGERY_FROM, HOUR)

    def _remembered(self, ago: int, since: int, seconds: int) -> Span | None:
        """On the day that was ``ago``, from ``since`` after its midnight in UTC."""
        start = (self.end - ago) // DAY * DAY + since
        return (start, start + seconds) if start > self.first_hour + LEAD_DAYS * DAY else None
