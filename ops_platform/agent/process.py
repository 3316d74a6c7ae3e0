"""The agent as a process: starts its loops and its server, tends them, ends within seconds of a signal.

The loops are made in ``loops.loop_registry``.
"""

from __future__ import annotations

import logging
import threading
import time

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector

from ops_platform.agent.http import AgentServer
from ops_platform.agent.loops import CREWS, LoopRegistry
from ops_platform.agent.metrics import LoopMetrics, SampleCollector
from ops_platform.agent.supervised_loop import Supervisor
from ops_platform.errors import OpsError
from ops_platform.settings import AgentSettings

log = logging.getLogger(__name__)

FIRST_LOOK_SECONDS = 6.0
"""A scrape waits this long for the first round of loops: less than Prometheus's scrape timeout of 10 s."""
STOP_SECONDS = 3.0
TEND_SECONDS = 1.0


class Agent:
    """Loops and HTTP server; call ``run`` in the main thread, ``ask_to_stop`` from a signal handler."""

    def __init__(self, loop_registry: LoopRegistry, settings: AgentSettings) -> None:
        """Bind the address to listen on. Raises ConfigurationError when that fails."""
        self._loop_registry = loop_registry
        self._supervisor = Supervisor(loop_registry.loops(), CREWS)
        self._stopping = threading.Event()
        self._server = AgentServer(
            settings.listen_host,
            settings.listen_port,
            registry=self._registry(),
            states=self._supervisor.states,
            receive=loop_registry.receive,
            wait_for_first_round=lambda: self._supervisor.wait_for_first_round(FIRST_LOOK_SECONDS),
        )

    @property
    def port(self) -> int:
        """Port that the agent listens on."""
        return self._server.port

    def ask_to_stop(self) -> None:
        """Let ``run`` return soon; safe in a signal handler."""
        self._stopping.set()

    def run(self) -> None:
        """Run until asked to stop. Raises OpsError when the HTTP server ends by itself."""
        self._supervisor.start()
        self._server.start()
        log.info("agent: listening on port %d, %d loops", self.port, len(self._supervisor.loops))
        try:
            while not self._stopping.wait(TEND_SECONDS):
                self._supervisor.tend()
                if not self._server.is_alive():
                    raise OpsError("the agent's HTTP server ended: restart the agent, see its log")
        finally:
            self._end()

    def _end(self) -> None:
        began = time.monotonic()
        self._server.close()
        late = self._supervisor.stop(STOP_SECONDS)
        if late:
            log.warning("agent: loops that did not end in time: %s", ", ".join(late))
        self._loop_registry.close()
        log.info("agent: stopped after %.1f s", time.monotonic() - began)

    def _registry(self) -> CollectorRegistry:
        state, supervisor = self._loop_registry.state, self._supervisor
        registry = CollectorRegistry()
        loops = LoopMetrics(supervisor.loops, supervisor.states)
        registry.register(SampleCollector([*state.sources, loops], time.time))
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)
        return registry
