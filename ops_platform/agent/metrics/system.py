"""Metrics of the platform itself: ops database, agent's loops, certificates, Dagster, delivered alerts.

Certificates and Dagster are asked in ``agent.probes``; alerts are received in ``agent.deliveries``.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from ops_platform import __version__
from ops_platform.agent.expiring_value import ExpiringValue
from ops_platform.agent.metrics.definition import Sample, counter, gauge, known_sample
from ops_platform.agent.probes import DagsterHealth, Expiry, Ticker
from ops_platform.agent.supervised_loop import Loop, LoopState
from ops_platform.clients.postgres import Connection

_LOOP = ("loop",)
_CERTIFICATE = ("certificate", "source")

METRICS = (
    gauge("ops_platform_build_info", "Always 1; the labels tell the version.", ("version", "python")),
    gauge("ops_database_up", "1 when the ops database answers."),
    gauge("ops_database_seen_age_seconds", "Age of what the agent read from the ops database last."),
    gauge("agent_loop_healthy", "1 when the loop's newest step succeeded.", _LOOP),
    gauge("agent_loop_stuck", "1 while a step of the loop takes longer than it may.", _LOOP),
    counter("agent_loop_runs_total", "Finished steps of the loop since the agent started.", _LOOP),
    counter("agent_loop_failures_total", "Failed steps of the loop since the agent started.", _LOOP),
    gauge("agent_loop_last_success_timestamp_seconds", "End of the loop's newest good step.", _LOOP),
    gauge(
        "agent_loop_stale_after_seconds",
        "Age of the newest good step at which the loop counts as down.",
        _LOOP,
    ),
    gauge("certificate_known", "1 when the certificate could be read.", _CERTIFICATE),
    gauge("certificate_expiry_timestamp_seconds", "End of the certificate's validity.", _CERTIFICATE),
    gauge("dagster_up", "1 when Dagster's GraphQL answers."),
    gauge("dagster_daemon_healthy", "1 when Dagster counts the daemon as healthy.", ("daemon",)),
    gauge("dagster_daemon_heartbeat_timestamp_seconds", "Newest heartbeat of the daemon.", ("daemon",)),
    gauge("dagster_code_location_up", "1 when the code location is loaded.", ("location",)),
    gauge("dagster_runs", "Runs that are queued, starting or running.", ("state",)),
    gauge(
        "dagster_oldest_waiting_run_timestamp_seconds",
        "Since when the oldest run is queued, or being started.",
        ("state",),
    ),
    gauge("dagster_newest_run_start_timestamp_seconds", "When a run began to work last."),
    gauge("dagster_tick_failing", "1 when the newest tick of a schedule or sensor failed.", ("name",)),
    gauge(
        "alert_notifications_last_day",
        "Alert notifications that reached the agent in the last 24 hours, without the Watchdog.",
        ("severity", "status"),
    ),
    gauge("alert_watchdog_timestamp_seconds", "Newest arrival of the Watchdog at this agent."),
)

_NOTIFICATIONS = """
    SELECT coalesce(severity, '') AS severity, status, count(*) AS notifications
    FROM alert_deliveries
    WHERE received_at > now() - interval '1 day' AND alertname <> 'Watchdog'
    GROUP BY 1, 2
"""
_WATCHDOG = (
    "SELECT max(received_at) AS at FROM alert_deliveries WHERE alertname = 'Watchdog' AND status = 'firing'"
)


@dataclass(frozen=True)
class Deliveries:
    """Notifications counted by (severity, status), and the newest arrival of the Watchdog."""

    counts: Mapping[tuple[str, str], int]
    watchdog_at: datetime | None


class SystemMetrics:
    """Facts that loops read of the platform, kept for ``good_for`` seconds after each look.

    Certificates and ticks are read less often and known for so many seconds of their own.
    ``receives_alerts``: the delivered alerts are exported, as one of several agents does.
    """

    def __init__(
        self,
        good_for: float,
        certificates_good_for: float,
        ticks_good_for: float,
        *,
        receives_alerts: bool = True,
    ) -> None:
        self._receives_alerts = receives_alerts
        self.ops_up: ExpiringValue[bool] = ExpiringValue(good_for)
        self.deliveries: ExpiringValue[Deliveries] = ExpiringValue(good_for)
        self.certificates: ExpiringValue[Sequence[Expiry]] = ExpiringValue(certificates_good_for)
        self.dagster_up: ExpiringValue[bool] = ExpiringValue(good_for)
        self.dagster: ExpiringValue[DagsterHealth] = ExpiringValue(good_for)
        self.ticks: ExpiringValue[Sequence[Ticker]] = ExpiringValue(ticks_good_for)

    def read(self, connection: Connection) -> None:
        """Read the ops database. Raises psycopg.Error."""
        self.deliveries.put(deliveries(connection))

    def samples(self, _now: float) -> Iterator[Sample]:
        """Yield what is known now; the loops' samples are in ``LoopMetrics``."""
        yield Sample("ops_platform_build_info", (__version__, platform.python_version()), 1)
        yield from known_sample("ops_database_up", (), self.ops_up.get())
        yield from known_sample("ops_database_seen_age_seconds", (), self.deliveries.age())
        yield from self._certificate_samples()
        yield from self._dagster_samples()
        yield from self._delivery_samples()

    def _certificate_samples(self) -> Iterator[Sample]:
        for expiry in self.certificates.get() or ():
            labels = (expiry.name, expiry.source)
            yield Sample("certificate_known", labels, expiry.ends_at is not None)
            yield from known_sample("certificate_expiry_timestamp_seconds", labels, expiry.ends_at)

    def _dagster_samples(self) -> Iterator[Sample]:
        for ticker in self.ticks.get() or ():
            yield from known_sample("dagster_tick_failing", (ticker.name,), ticker.fails)
        yield from known_sample("dagster_up", (), self.dagster_up.get())
        health = self.dagster.get()
        if health is None:
            return
        for daemon in health.daemons:
            labels = (daemon.name,)
            yield Sample("dagster_daemon_healthy", labels, daemon.healthy)
            yield from known_sample("dagster_daemon_heartbeat_timestamp_seconds", labels, daemon.heartbeat_at)
        for location, loaded in health.locations.items():
            yield Sample("dagster_code_location_up", (location,), loaded)
        queue = health.queue
        for state, count, since in (
            ("queued", queue.queued, queue.oldest_queued_at),
            ("starting", queue.starting, queue.oldest_starting_at),
            ("running", queue.running, None),
        ):
            yield Sample("dagster_runs", (state,), count)
            yield from known_sample("dagster_oldest_waiting_run_timestamp_seconds", (state,), since)
        yield from known_sample("dagster_newest_run_start_timestamp_seconds", (), queue.newest_start_at)

    def _delivery_samples(self) -> Iterator[Sample]:
        delivered = self.deliveries.get()
        if delivered is None or not self._receives_alerts:
            return
        for labels, count in delivered.counts.items():
            yield Sample("alert_notifications_last_day", labels, count)
        yield from known_sample("alert_watchdog_timestamp_seconds", (), delivered.watchdog_at)


@dataclass(frozen=True)
class LoopMetrics:
    """Metrics of the agent's own loops; ``states`` returns the state of each by its name."""

    loops: Iterable[Loop]
    states: Callable[[], Mapping[str, LoopState]]

    def samples(self, _now: float) -> Iterator[Sample]:
        """Yield the loops' states; a loop that has not finished a step is neither healthy nor not."""
        states = self.states()
        for loop in self.loops:
            state, labels = states[loop.name], (loop.name,)
            if state.condition != "starting":
                yield Sample("agent_loop_healthy", labels, state.condition == "healthy")
            yield Sample("agent_loop_stuck", labels, state.condition == "stuck")
            yield Sample("agent_loop_runs_total", labels, state.runs)
            yield Sample("agent_loop_failures_total", labels, state.failures)
            yield Sample("agent_loop_stale_after_seconds", labels, loop.stale_after)
            yield from known_sample(
                "agent_loop_last_success_timestamp_seconds", labels, state.last_success_at
            )


def deliveries(connection: Connection) -> Deliveries:
    """Read the notifications that Alertmanager delivered to the agent's receiver."""
    counts = {
        (row["severity"], row["status"]): row["notifications"] for row in connection.execute(_NOTIFICATIONS)
    }
    return Deliveries(counts, connection.execute(_WATCHDOG).fetchall()[0]["at"])
