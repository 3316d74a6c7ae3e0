"""Samples of the demo product's history, as Prometheus would have scraped it: deterministic, whole numbers.

The series are those of the traffic service, from its own registry, so that none is forgotten; their
values are drawn scrape by scrape from the distributions that ``activity`` draws from request by request.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ops_platform.local.demo.activity import MISSING_RATIO, PUBLISHING, TRANSCODING, WEIGHTS, Duration
from ops_platform.local.demo.failure_modes import HEALTHY, FailureModes
from ops_platform.local.demo.history.timetable import (
    DAY,
    FORGERIES,
    HOUR,
    OUTAGE_SECONDS,
    STEP_SECONDS,
    HistoryPlan,
)
from ops_platform.local.demo.product_metrics import (
    PUBLISHING_BUCKETS,
    ROUTES,
    SUCCESS_CODE,
    TRANSCODING_BUCKETS,
    TrafficMetrics,
)

JOB = "product"
"""Name of the scrape job in dashboards/prometheus/prometheus.yml."""
INCIDENT = HEALTHY.changed(
    {"api_error_ratio": 0.03, "publishing_error_ratio": 0.4, "publishing_slow_ratio": 0.5}
)
PEAK_HOUR = 19
SWING = 0.55
"""Relative difference of the busiest and the quietest hour of a day from its mean."""
WEEKEND, WEEKDAY = 0.7, 1.12
USAGE_RATIO = 0.25
"""One request in four is logged."""
DAYS_BEFORE_MONDAY = 3
"""The epoch was a Thursday."""

Values = NDArray[np.int64]
Shares = NDArray[np.float64]
Key = tuple[str, tuple[tuple[str, str], ...]]
"""Name and sorted labels, as the traffic service exposes them."""


@dataclass(frozen=True)
class History:
    """All series of a plan; ``times`` are the moments when a scrape was due, in Unix seconds."""

    plan: HistoryPlan
    times: Values
    scraped: NDArray[np.bool_]
    """False where a scrape did not take place."""
    events: Mapping[Key, Values]
    """By counter: the number of events since the previous moment."""
    values: Mapping[Key, Values]
    """By series: the value that a scrape at that moment shows."""

    def lines(self, start: int, end: int) -> Iterator[str]:
        """Yield OpenMetrics text of the scrapes in [``start``, ``end``), series by series, without an EOF."""
        low, high = np.searchsorted(self.times, [start, end])
        kept = self.scraped[low:high]
        moments = [f" {moment}\n" for moment in self.times[low:high][kept].tolist()]
        for (name, labels), values in self.values.items():
            target = (*labels, ("instance", self.plan.instance), ("job", JOB))
            inside = ",".join(f'{label}="{value}"' for label, value in target)
            series = f"{name}{{{inside}}} "
            numbers = values[low:high][kept].tolist()
            yield "".join([f"{series}{number}{at}" for number, at in zip(numbers, moments, strict=True)])


def history(plan: HistoryPlan) -> History:
    """Draw the history of ``plan``."""
    times = np.arange(plan.begins, plan.end + 1, STEP_SECONDS, dtype=np.int64)
    events, gauges = _Past(plan, times).draw()
    gap = plan.gap
    began = np.searchsorted(times, np.array(plan.deploys, np.int64))
    values: dict[Key, Values] = {}
    for key in _exposed():
        if key in gauges:
            values[key] = gauges[key]
        else:
            events.setdefault(key, np.zeros_like(times))
            values[key] = _counted(events[key], began)
    values[("up", ())] = np.ones_like(times)
    return History(plan, times, (times <= gap[0]) | (times >= gap[1]), events, values)


def rhythm(times: Values) -> Shares:
    """Compute how busy the product is, by hour of the day and day of the week; 1 on average."""
    day = 1 + SWING * np.cos((times % DAY - PEAK_HOUR * HOUR) * (2 * math.pi / DAY))
    weekend = (times // DAY + DAYS_BEFORE_MONDAY) % 7 >= 5
    return np.asarray(day * np.where(weekend, WEEKEND, WEEKDAY), np.float64)


class _Past:
    """Events between each two scrapes."""

    def __init__(self, plan: HistoryPlan, times: Values) -> None:
        self._plan, self._times = plan, times
        self._random = np.random.default_rng(plan.seed)
        self._events: dict[Key, Values] = {}
        self._in_incident = self._within(plan.incident)
        start = plan.incident[0] if plan.incident else 0
        self._outage = self._within((start, start + OUTAGE_SECONDS) if plan.incident else None)

    def draw(self) -> tuple[dict[Key, Values], dict[Key, Values]]:
        """Draw the events by counter and the values by gauge."""
        mean = self._plan.rate * STEP_SECONDS * rhythm(self._times)
        accepted = {}
        for (method, route), weight in zip(ROUTES, WEIGHTS, strict=True):
            asked = self._random.poisson(mean * weight / sum(WEIGHTS))
            lost = np.where(self._outage, asked, 0)
            failed = self._random.binomial(asked - lost, self._ratio("api_error_ratio"))
            answered = accepted[route] = asked - lost - failed
            missing = np.zeros_like(answered)
            if route == "/posts/{id}":
                missing = self._random.binomial(answered, MISSING_RATIO)
            codes = {SUCCESS_CODE[method]: answered - missing, "404": missing, "500": failed, "503": lost}
            for code, count in codes.items():
                self._count("product_api_responses_total", count, method=method, route=route, code=code)
            if route == "/posts":
                self._publish(answered, lost + failed)
        uploads = self._histogram(
            "product_media_transcoding_duration_seconds",
            TRANSCODING,
            TRANSCODING_BUCKETS,
            accepted["/media"],
            self._ratio("transcoding_slow_ratio"),
        )
        self._write(accepted, uploads)
        return self._events, self._gauges()

    def _publish(self, attempts: Values, refused: Values) -> None:
        failed = self._random.binomial(attempts, self._ratio("publishing_error_ratio"))
        self._count("product_publishing_attempts_total", attempts - failed, result="success")
        self._count("product_publishing_attempts_total", failed + refused, result="failure")
        published = self._histogram(
            "product_publishing_duration_seconds",
            PUBLISHING,
            PUBLISHING_BUCKETS,
            attempts - failed,
            self._ratio("publishing_slow_ratio"),
        )
        forged = np.zeros_like(published)
        forged[np.flatnonzero(self._within(self._plan.forgery) & (published > 0))[:FORGERIES]] = 1
        self._count("product_webhook_deliveries_total", published - forged, signature="valid")
        self._count("product_webhook_deliveries_total", forged, signature="invalid")
        self._count("product_rows_written_total", published, table="webhook_deliveries")

    def _histogram(
        self, name: str, duration: Duration, bounds: tuple[float, ...], total: Values, slow: Shares
    ) -> Values:
        late = self._random.binomial(total, slow)
        edges = np.array([0.0, *bounds, math.inf])
        usual = self._random.multinomial(total - late, np.diff(_usual(duration, edges)))
        by_bucket = usual + self._random.multinomial(late, np.diff(_late(duration, edges)))
        cumulative = np.cumsum(by_bucket, axis=1)
        for number, bound in enumerate((*bounds, "+Inf")):
            self._count(f"{name}_bucket", cumulative[:, number], le=str(bound))
        self._count(f"{name}_count", total)
        # Whole seconds: every event of a bucket counts with the middle of the bucket.
        middle = np.array([*(edges[:-2] + np.diff(edges[:-1]) / 2), duration.late[1]])
        self._count(f"{name}_sum", np.rint(by_bucket @ middle).astype(np.int64))
        return total

    def _write(self, accepted: Mapping[str, Values], uploads: Values) -> None:
        logged = sum((count for route, count in accepted.items() if route != "/creators"), start=0 * uploads)
        for table, count in (
            ("creators", accepted["/creators"]),
            ("profiles", accepted["/creators"]),
            ("posts", accepted["/posts"]),
            ("comments", accepted["/posts/{id}/comments"]),
            ("media", uploads),
            ("sessions", accepted["/sessions"]),
            ("audit_logs", accepted["/sessions"]),
            ("usage_logs", self._random.binomial(logged, USAGE_RATIO)),
        ):
            self._count("product_rows_written_total", count, table=table)

    def _gauges(self) -> dict[Key, Values]:
        losses = np.zeros_like(self._times)
        losses[np.flatnonzero(self._outage)[:1]] = 1
        self._count("product_database_losses_total", losses)
        deploys = np.array(self._plan.deploys, np.int64)
        processes = np.array([self._plan.started, *self._plan.deploys], np.int64)
        return {
            _key("product_database_up"): np.where(self._outage, 0, 1).astype(np.int64),
            _key("process_start_time_seconds"): processes[
                np.searchsorted(deploys, self._times, side="right")
            ],
        }

    def _ratio(self, name: str) -> Shares:
        return np.where(self._in_incident, _mode(INCIDENT, name), _mode(HEALTHY, name))

    def _within(self, span: tuple[int, int] | None) -> NDArray[np.bool_]:
        start, end = span or (0, 0)
        return (self._times > start) & (self._times <= end)

    def _count(self, name: str, events: Values, **labels: str) -> None:
        self._events[_key(name, **labels)] = events.astype(np.int64)


def _key(name: str, **labels: str) -> Key:
    return name, tuple(sorted(labels.items()))


def _mode(modes: FailureModes, name: str) -> float:
    return modes.as_dict()[name]


def _exposed() -> Iterator[Key]:
    """Yield every series of the traffic service that a history can have."""
    for family in TrafficMetrics().registry.collect():
        for sample in family.samples:
            of_process = sample.name.startswith("process_") and sample.name != "process_start_time_seconds"
            if not of_process and not sample.name.endswith("_created"):
                yield _key(sample.name, **sample.labels)


def _counted(events: Values, began: NDArray[np.intp]) -> Values:
    """Sum up ``events`` to a counter that restarts at zero at each index of ``began``."""
    counts = np.cumsum(events)
    for at in began.tolist():
        counts[at:] -= counts[at - 1]
    return counts


def _usual(duration: Duration, bounds: NDArray[np.float64]) -> Shares:
    """Compute the share of durations within each bound when all is well."""
    shares = [
        1.0 if bound >= duration.longest else 0.5 * (1 + math.erf(_normal(duration, bound) / math.sqrt(2)))
        for bound in bounds.tolist()
    ]
    return np.array(shares)


def _normal(duration: Duration, bound: float) -> float:
    return math.log(bound / duration.median) / duration.sigma if bound else -math.inf


def _late(duration: Duration, bounds: NDArray[np.float64]) -> Shares:
    first, last = duration.late
    return np.clip((bounds - first) / (last - first), 0.0, 1.0)
