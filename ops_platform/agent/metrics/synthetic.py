"""Metrics of probes: how endpoints answered, and the rounds in which they were not asked.

The counters begin with the agent's process, which reports its start; Prometheus keeps what they showed.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Sequence

from ops_platform.agent.metrics.definition import Sample, counter, gauge
from ops_platform.agent.probes.endpoint_answer import RESULTS, Result
from ops_platform.agent.probes.endpoint_list import Probe

METRICS = (
    counter(
        "synthetic_probes_total",
        "Requests to an endpoint of probes.yaml, by what came of them; all but ok are bad.",
        ("probe", "result"),
    ),
    counter(
        "synthetic_probes_missed_total",
        "Rounds that were due and in which the endpoint was not asked: nothing is known of these.",
        ("probe",),
    ),
    gauge("synthetic_probe_seconds", "How long the newest request to an endpoint took.", ("probe",)),
)


class SyntheticMetrics:
    """What came of the probes so far; written by several threads."""

    def __init__(self, every: float) -> None:
        """``every``: the pause (s) between the beginnings of two rounds."""
        self._every = every
        self._lock = threading.Lock()
        self._names: tuple[str, ...] = ()
        self._results: Counter[tuple[str, str]] = Counter()
        self._missed: Counter[str] = Counter()
        self._seconds: dict[str, float] = {}
        self._last_round: float | None = None
        self._skipped: float | None = None

    def begin(self, probes: Sequence[Probe], now: float) -> None:
        """Begin a round at ``now`` (monotonic seconds), and count those that were left out before it."""
        names = tuple(probe.name for probe in probes)
        with self._lock:
            self._left_out(now)
            self._names = names
            self._seconds = {name: taken for name, taken in self._seconds.items() if name in names}

    def skip(self, now: float) -> None:
        """Count a round at ``now`` in which nothing could be asked, of the endpoints that are known.

        A failed round is tried again soon, and counts once.
        """
        with self._lock:
            if self._skipped is not None and now - self._skipped < self._every / 2:
                return
            self._left_out(now)
            for name in self._names:
                self._missed[name] += 1
            self._skipped = now

    def _left_out(self, now: float) -> None:
        if self._last_round is not None:
            # Two beginnings are a pause and a round apart: half a pause late is in time.
            left_out = max(0, int((now - self._last_round) / self._every - 0.5))
            for name in self._names:
                self._missed[name] += left_out
        self._last_round = now

    def put(self, probe: Probe, result: Result, seconds: float) -> None:
        """Count what came of a request."""
        with self._lock:
            self._results[probe.name, result] += 1
            self._seconds[probe.name] = seconds

    def samples(self, now: float) -> Iterator[Sample]:
        """Yield the counters of each probe, from zero on, so that none is born with its first failure."""
        with self._lock:
            names, results = self._names, Counter(self._results)
            missed, seconds = Counter(self._missed), dict(self._seconds)
        for name in names:
            for result in RESULTS:
                yield Sample("synthetic_probes_total", (name, result), results[name, result])
            yield Sample("synthetic_probes_missed_total", (name,), missed[name])
            if name in seconds:
                yield Sample("synthetic_probe_seconds", (name,), seconds[name])
