"""The test that alerts arrive: two test alerts, and their ends, followed to every receiver.

The evidence of a webhook is the agent's record; of mail the message in the Maildir, where there is one;
of anything else Alertmanager's own count of the notifications it handed over. A run killed half-way
leaves alerts that end by themselves.
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
class DeliveryPath:
    """The way of a test alert of this severity to one integration of one receiver."""

    receiver: str
    integration: str
    severity: str

    def __str__(self) -> str:
        return f"{self.receiver} by {self.integration}"


@dataclass
class Outcome:
    """The outcome of a delivery test."""

    paths: Sequence[DeliveryPath]
    unreached: Sequence[str]
    """Receivers that no test alert reaches, and whose own alert did not come either."""
    seconds: dict[tuple[DeliveryPath, str], float] = field(default_factory=dict)
    """Until each path's notification arrived, by status; one that did not arrive is absent."""

    @property
    def faults(self) -> list[str]:
        """Every notification that did not arrive, and every receiver that no alert reaches."""
        missing = [
            f"{path}: no {status} notification of the {path.severity} alert"
            for status in ("firing", "resolved")
            for path in self.paths
            if (path, status) not in self.seconds
        ]
        return [*missing, *(f"{name}: no alert reaches it" for name in self.unreached)]


@dataclass(frozen=True)
class DeliveryTest:
    """A test of alert delivery; ``run`` makes it."""

    alertmanager: Alertmanager
    ops: Connection
    number: str
    """Tells this test's alerts from all others."""
    mail: Path | None
    """The Maildir, where there is one."""
    seconds: float
    """The time each notification may take; longer than Alertmanager's group_interval."""
    log: Callable[[str], None]

    def run(self) -> Outcome:
        """Post the test alerts, follow them, end them, and follow their ends.

        Raises Unavailable when Alertmanager or the ops database cannot be asked.
        """
        started = datetime.now(UTC)
        handed_over = self.alertmanager.notification_counts()
        self._post(started, started + ENDS_BY_ITSELF)
        try:
            paths = self._paths()
            outcome = Outcome(paths, self._unreached({path.receiver for path in paths}))
            self._follow(outcome, "firing", started, handed_over)
        finally:
            ended, handed_over = datetime.now(UTC), self.alertmanager.notification_counts()
            self._post(started, ended)
        self._follow(outcome, "resolved", ended, handed_over)
        return outcome

    def _post(self, started: datetime, ends: datetime) -> None:
        self.alertmanager.post([self._alert(severity, started, ends) for severity in SEVERITIES])

    def _alert(self, severity: str, started: datetime, ends: datetime) -> Alert:
        return Alert(
            {"alertname": NAME, "severity": severity, "service": "platform", "test": self._mark(severity)},
            {
                "summary": "A test: nothing is wrong",
                "description": "The job alert_delivery_test follows this alert to every receiver.",
                "runbook_url": "docs/runbooks/system.md#alertdeliverytest",
            },
            starts_at=started,
            ends_at=ends,
        )

    def _mark(self, severity: str) -> str:
        return f"{self.number}-{severity}"

    def _paths(self) -> list[DeliveryPath]:
        """Ask Alertmanager where its own routing takes the test alerts."""
        receivers = {receiver.name: receiver for receiver in self.alertmanager.receivers()}

        def routed() -> list[DeliveryPath]:
            routes = {
                alert.labels["severity"]: alert.receivers
                for alert in self.alertmanager.alerts([f'alertname="{NAME}"'])
                if alert.labels.get("test", "").startswith(self.number)
            }
            return _paths(receivers, routes) if len(routes) == len(SEVERITIES) else []

        return wait_until(routed, 20, "Alertmanager holds the test alerts")

    def _unreached(self, reached: set[str]) -> list[str]:
        unreached = [
            receiver.name
            for receiver in self.alertmanager.receivers()
            if receiver.integrations and receiver.name not in reached
        ]
        if WATCHDOG in unreached:
            row = self.ops.execute(
                """
                SELECT FROM alert_deliveries
                WHERE alertname = 'Watchdog' AND receiver = %s AND received_at > %s LIMIT 1
                """,
                (WATCHDOG, datetime.now(UTC) - WATCHDOG_AGE),
            ).fetchone()
            self.ops.commit()
            if row is not None:
                unreached.remove(WATCHDOG)
        return unreached

    def _follow(
        self, outcome: Outcome, status: str, since: datetime, handed_over: Mapping[str, tuple[int, int]]
    ) -> None:
        started = time.monotonic()
        # Where only Alertmanager's own count tells: one notification more for each path, and no failure more.
        expected = {
            path.integration: (
                handed_over.get(path.integration, (0, 0))[0]
                + sum(other.integration == path.integration for other in outcome.paths),
                handed_over.get(path.integration, (0, 0))[1],
            )
            for path in outcome.paths
        }

        def all_arrived() -> bool:
            for path in outcome.paths:
                if (path, status) not in outcome.seconds and self._arrived(path, status, since, expected):
                    outcome.seconds[path, status] = time.monotonic() - started
                    self.log(f"{path}: {status} after {outcome.seconds[path, status]:.0f} s")
            return all((path, status) in outcome.seconds for path in outcome.paths)

        deadline = started + self.seconds
        # A notification that is late is no error here: the outcome says so. wait_until would not do: its
        # Unavailable could not be told from that of an Alertmanager or database that is away.
        while not all_arrived() and time.monotonic() < deadline:
            time.sleep(LOOK_SECONDS)

    def _arrived(
        self, path: DeliveryPath, status: str, since: datetime, expected: Mapping[str, tuple[int, int]]
    ) -> bool:
        if path.integration == "webhook":
            row = self.ops.execute(
                """
                SELECT FROM alert_deliveries
                WHERE alertname = %s AND received_at >= %s AND receiver = %s AND status = %s
                  AND labels ->> 'test' = %s LIMIT 1
                """,
                (NAME, since, path.receiver, status, self._mark(path.severity)),
            ).fetchone()
            self.ops.commit()
            return row is not None
        if path.integration == "email" and self.mail is not None:
            return any(
                status.upper() in message.subject and self._mark(path.severity) in message.text
                for message in maildir.since(self.mail, since)
            )
        sent, failed = self.alertmanager.notification_counts().get(path.integration, (0, 0))
        return sent >= expected[path.integration][0] and failed == expected[path.integration][1]


def _paths(
    receivers_by_name: Mapping[str, Receiver], routes: Mapping[str, Sequence[str]]
) -> list[DeliveryPath]:
    return [
        DeliveryPath(receiver, integration, severity)
        for severity, receivers in sorted(routes.items())
        for receiver in receivers
        for integration in receivers_by_name[receiver].integrations
    ]
