"""Does an alert arrive? Two test alerts, followed to every receiver, and their ends too.

Of a webhook the agent's record is the evidence; of mail the message in the Maildir, where there is
one; of anything else Alertmanager's own count of what it handed over. A run killed half-way leaves
alerts that end by themselves.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ops_platform.clients.alertmanager import Alert, Alertmanager, Receiver
from ops_platform.clients.mail import maildir
from ops_platform.clients.postgres import Connection
from ops_platform.clients.waiting import wait_until

NAME = "AlertDeliveryTest"
SEVERITIES = ("critical", "warning")
WATCHDOG = "watchdog"
WATCHDOG_AGE = timedelta(minutes=10)
ENDS_BY_ITSELF = timedelta(minutes=15)
LOOK_SECONDS = 1.0


@dataclass(frozen=True)
class Way:
    """One integration of one receiver, and which test alert takes it."""

    receiver: str
    integration: str
    severity: str

    def __str__(self) -> str:
        return f"{self.receiver} by {self.integration}"


@dataclass
class Outcome:
    """Seconds until each way's notification came, by its status; what is not there did not come."""

    ways: Sequence[Way]
    unreached: Sequence[str]
    """Receivers that no test alert reaches, and whose own alert did not come either."""
    seconds: dict[tuple[Way, str], float] = field(default_factory=dict)

    @property
    def faults(self) -> list[str]:
        missing = [
            f"{way}: no {status} notification of the {way.severity} alert"
            for status in ("firing", "resolved")
            for way in self.ways
            if (way, status) not in self.seconds
        ]
        return [*missing, *(f"{name}: no alert reaches it" for name in self.unreached)]


@dataclass(frozen=True)
class DeliveryTest:
    """``number`` tells this test's alerts from all others. ``mail`` is the Maildir, where there is one."""

    alertmanager: Alertmanager
    ops: Connection
    number: str
    mail: Path | None
    seconds: float
    """How long each notification may take; longer than Alertmanager's group_interval."""
    log: Callable[[str], None]

    def run(self) -> Outcome:
        """Raises Unavailable when Alertmanager or the ops database cannot be asked."""
        began = datetime.now(UTC)
        handed = self.alertmanager.handed_over()
        self._post(began, began + ENDS_BY_ITSELF)
        try:
            ways = self._ways()
            outcome = Outcome(ways, self._unreached({way.receiver for way in ways}))
            self._follow(outcome, "firing", began, handed)
        finally:
            ended, handed = datetime.now(UTC), self.alertmanager.handed_over()
            self._post(began, ended)
        self._follow(outcome, "resolved", ended, handed)
        return outcome

    def _post(self, began: datetime, ends: datetime) -> None:
        self.alertmanager.post([self._alert(severity, began, ends) for severity in SEVERITIES])

    def _alert(self, severity: str, began: datetime, ends: datetime) -> Alert:
        return Alert(
            {"alertname": NAME, "severity": severity, "service": "platform", "test": self._mark(severity)},
            {
                "summary": "A test: nothing is wrong",
                "description": "The job alert_delivery_test follows this alert to every receiver.",
                "runbook_url": "docs/runbooks/system.md#alertdeliverytest",
            },
            starts_at=began,
            ends_at=ends,
        )

    def _mark(self, severity: str) -> str:
        return f"{self.number}-{severity}"

    def _ways(self) -> list[Way]:
        """Where Alertmanager's own routing takes the test alerts."""
        known = {one.name: one for one in self.alertmanager.receivers()}

        def routed() -> list[Way]:
            held = {
                one.labels["severity"]: one.receivers
                for one in self.alertmanager.alerts([f'alertname="{NAME}"'])
                if one.labels.get("test", "").startswith(self.number)
            }
            return _ways(known, held) if len(held) == len(SEVERITIES) else []

        return wait_until(routed, 20, "Alertmanager holds the test alerts")

    def _unreached(self, reached: set[str]) -> list[str]:
        left = [
            one.name for one in self.alertmanager.receivers() if one.integrations and one.name not in reached
        ]
        if WATCHDOG in left:
            row = self.ops.execute(
                """
                SELECT FROM alert_deliveries
                WHERE alertname = 'Watchdog' AND receiver = %s AND received_at > %s LIMIT 1
                """,
                (WATCHDOG, datetime.now(UTC) - WATCHDOG_AGE),
            ).fetchone()
            self.ops.commit()
            if row is not None:
                left.remove(WATCHDOG)
        return left

    def _follow(
        self, outcome: Outcome, status: str, since: datetime, handed: Mapping[str, tuple[int, int]]
    ) -> None:
        began = time.monotonic()
        # Where only Alertmanager's own count tells: one notification more for each way.
        wanted = {
            way.integration: (
                handed.get(way.integration, (0, 0))[0]
                + sum(one.integration == way.integration for one in outcome.ways),
                handed.get(way.integration, (0, 0))[1],
            )
            for way in outcome.ways
        }

        def all_came() -> bool:
            for way in outcome.ways:
                if (way, status) not in outcome.seconds and self._came(way, status, since, wanted):
                    outcome.seconds[way, status] = time.monotonic() - began
                    self.log(f"{way}: {status} after {outcome.seconds[way, status]:.0f} s")
            return all((way, status) in outcome.seconds for way in outcome.ways)

        deadline = began + self.seconds
        # What does not come in time is no error here: the outcome says so. Not wait_until, whose Unavailable
        # could not be told from that of an Alertmanager or database that is away.
        while not all_came() and time.monotonic() < deadline:
            time.sleep(LOOK_SECONDS)

    def _came(self, way: Way, status: str, since: datetime, wanted: Mapping[str, tuple[int, int]]) -> bool:
        if way.integration == "webhook":
            row = self.ops.execute(
                """
                SELECT FROM alert_deliveries
                WHERE alertname = %s AND received_at >= %s AND receiver = %s AND status = %s
                  AND labels ->> 'test' = %s LIMIT 1
                """,
                (NAME, since, way.receiver, status, self._mark(way.severity)),
            ).fetchone()
            self.ops.commit()
            return row is not None
        if way.integration == "email" and self.mail is not None:
            return any(
                status.upper() in message.subject and self._mark(way.severity) in message.text
                for message in maildir.since(self.mail, since)
            )
        sent, failed = self.alertmanager.handed_over().get(way.integration, (0, 0))
        return sent >= wanted[way.integration][0] and failed == wanted[way.integration][1]


def _ways(known: Mapping[str, Receiver], held: Mapping[str, Sequence[str]]) -> list[Way]:
    return [
        Way(receiver, integration, severity)
        for severity, receivers in sorted(held.items())
        for receiver in receivers
        for integration in known[receiver].integrations
    ]
