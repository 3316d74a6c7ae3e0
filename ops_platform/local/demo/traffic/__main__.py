"""The demo product's traffic service: ``python -m ops_platform.local.demo.traffic``.

It keeps writing at a modest rate, exports what its users see, and goes on by itself after any outage of
the database: during one, users see 503 and nothing is published. Requests are drawn in ``activity``,
failures set in ``failure_modes``, rows written in ``writer``.
"""

from __future__ import annotations

import logging
import signal
import sys
import threading
import time
from collections.abc import Sequence
from itertools import islice
from types import FrameType

import prometheus_client
import psycopg

from ops_platform.clients import safe_errors
from ops_platform.clients.safe_errors import describe
from ops_platform.errors import ConfigurationError, OpsError, Unavailable
from ops_platform.local.demo.activity import Request, requests
from ops_platform.local.demo.failure_modes import Control, FailureModes
from ops_platform.local.demo.product_metrics import SUCCESS_CODE, TrafficMetrics
from ops_platform.local.demo.traffic.backlog import Backlog, Waiting
from ops_platform.local.demo.traffic.control_http import serving
from ops_platform.local.demo.traffic.writer import ProductWriter
from ops_platform.settings import Settings, load_settings

TICK_SECONDS = 1.0
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.5, 10.0
LARGEST_RATE = 500.0
BATCH = 500
"""The most requests of one transaction."""
FORGOTTEN_SECONDS = 30.0
"""A loop that stood still for longer was suspended, with its users: nobody asked meanwhile."""

logger = logging.getLogger("demo.traffic")


class Traffic:
    """The traffic loop: ``tick`` is one batch; ``run`` repeats it until ``stop`` is set."""

    def __init__(
        self, url: str, *, rate: float, seed: int, control: Control, metrics: TrafficMetrics
    ) -> None:
        self.metrics = metrics
        self._control = control
        self._writer = ProductWriter(url)
        self._stream = requests(seed)
        self._rate = rate
        self._owed = 0.0
        self._backlog = Backlog()
        self._pause = 0.0
        self._connect_at = 0.0
        self._last_complaint = ""

    def run(self, stop: threading.Event) -> None:
        """Tick until ``stop`` is set; users of ticks that come late have waited since they were due."""
        due = time.monotonic()
        try:
            while not stop.wait(max(0.0, due - time.monotonic())):
                if time.monotonic() - due > FORGOTTEN_SECONDS:
                    due = time.monotonic()
                self.tick(due)
                due += TICK_SECONDS
        finally:
            self._writer.close()

    def tick(self, due: float) -> None:
        """Draw the requests made at ``due`` (monotonic seconds), and answer who waits until the next tick."""
        modes = self._control.modes
        for name, value in modes.as_dict().items():
            self.metrics.failure_modes.labels(name).set(value)
        self._owed += self._rate * modes.traffic_factor * TICK_SECONDS
        made = int(self._owed)
        self._owed -= made
        self._backlog.add(islice(self._stream, made), due)
        while True:
            for gone in self._backlog.given_up(time.monotonic()):
                self._refused(gone, "503")
            batch = self._backlog.next(BATCH)
            if not batch:
                return
            self._answer(batch, modes)
            # Every tick answers a batch, however late it is.
            if time.monotonic() >= due + TICK_SECONDS:
                return

    def _answer(self, batch: Sequence[Waiting], modes: FailureModes) -> None:
        accepted = [waiting for waiting in batch if not waiting.request.fails(modes)]
        for waiting in batch:
            if waiting.request.fails(modes):
                self._refused(waiting, "500")
        code = self._write([waiting.request for waiting in accepted], modes)
        for waiting in accepted:
            if code is None:
                self._answered(waiting, modes)
            else:
                self._refused(waiting, code)

    def _write(self, batch: Sequence[Request], modes: FailureModes) -> str | None:
        """Write a batch; return None, or the status code that its users see when that failed."""
        if not self._connected():
            return "503"
        rows = [(request, request.published(modes), request.signature_valid(modes)) for request in batch]
        try:
            try:
                written = self._writer.write(rows)
            except psycopg.IntegrityError:
                # A creator it knew was erased meanwhile: read the creators again, once.
                self._writer.forget()
                written = self._writer.write(rows)
        except psycopg.IntegrityError as error:
            return self._complain(error, "409")
        except psycopg.OperationalError as error:
            if not self._writer.connected:
                self.metrics.database_losses.inc()
                self._lost()
            return self._complain(error, "503")
        except psycopg.Error as error:
            self._writer.forget()
            return self._complain(error, "500")
        for table, count in written.items():
            self.metrics.rows.labels(table).inc(count)
        self.metrics.database_up.set(1)
        if self._last_complaint:
            logger.info("the product database takes writes again")
            self._last_complaint = ""
        return None

    def _connected(self) -> bool:
        if self._writer.connected:
            return True
        if time.monotonic() < self._connect_at:
            return False
        try:
            self._writer.connect()
        except (Unavailable, psycopg.Error) as error:
            self._lost()
            self._complain(error, "503")
            return False
        self._pause = 0.0
        return True

    def _lost(self) -> None:
        self._writer.close()
        self._pause = min(LONGEST_PAUSE_SECONDS, max(FIRST_PAUSE_SECONDS, self._pause * 2))
        self._connect_at = time.monotonic() + self._pause

    def _complain(self, error: Exception, code: str) -> str:
        self.metrics.database_up.set(0)
        # Once, not every second of an outage.
        reason = describe(error)
        if reason != self._last_complaint:
            logger.warning("writes fail, users see %s: %s", code, reason)
            self._last_complaint = reason
        return code

    def _answered(self, waiting: Waiting, modes: FailureModes) -> None:
        request, took = waiting.request, time.monotonic() - waiting.since
        code = "404" if request.missing() else SUCCESS_CODE[request.method]
        self.metrics.responses.labels(request.method, request.route, code).inc()
        self.metrics.response_seconds.observe(took)
        if request.route == "/posts":
            if request.published(modes):
                self.metrics.publishing.labels("success").inc()
                self.metrics.publishing_seconds.observe(request.publishing_seconds(modes) + took)
                signature = "valid" if request.signature_valid(modes) else "invalid"
                self.metrics.deliveries.labels(signature).inc()
            else:
                self.metrics.publishing.labels("failure").inc()
        elif request.route == "/media":
            self.metrics.transcoding_seconds.observe(request.transcoding_seconds(modes))

    def _refused(self, waiting: Waiting, code: str) -> None:
        request = waiting.request
        self.metrics.responses.labels(request.method, request.route, code).inc()
        self.metrics.response_seconds.observe(time.monotonic() - waiting.since)
        if request.route == "/posts":
            self.metrics.publishing.labels("failure").inc()


def serve(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT. Raises ConfigurationError, Unavailable (port)."""
    demo = settings.demo
    url = settings.require("product_database_url")
    if not 0 < demo.traffic_rate <= LARGEST_RATE:
        raise ConfigurationError(f"OPS_TRAFFIC_RATE must be above 0 and at most {LARGEST_RATE:g}: correct it")
    stop = threading.Event()

    def end(number: int, frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    # Every series starts at zero here, so its creation time tells nothing.
    prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]
    control, metrics = Control(), TrafficMetrics()
    traffic = Traffic(url, rate=demo.traffic_rate, seed=demo.traffic_seed, control=control, metrics=metrics)
    with serving(demo.traffic_listen_host, demo.traffic_listen_port, metrics.registry, control) as port:
        logger.info("serving /metrics on %s:%d", demo.traffic_listen_host, port)
        traffic.run(stop)
    logger.info("stopped")


def main() -> int:
    """Run the service; return the exit code."""
    safe_errors.guard(logging.INFO)
    # psycopg's own warnings quote connection strings.
    logging.getLogger("psycopg").setLevel(logging.ERROR)
    try:
        serve(load_settings())
    except OpsError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
