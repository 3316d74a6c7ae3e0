"""Counting ninety days of the demo product's metrics, as a backfill and by the hour, beside ``increase``.

Targets: 30 days of five objectives in one run take at most a minute; an hour at day 90 costs at most
1.2 times what it costs at day 1.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from ops_platform import files
from ops_platform.clients.prometheus import Prometheus
from ops_platform.local.demo.traffic_metrics import ERROR_CODES, ROUTES, SUCCESS_CODE
from ops_platform.slo import keeping, openslo
from ops_platform.slo.counting import HOUR
from ops_platform.slo.objective import Objective
from ops_platform_tests.benchmarks.measure import Report, Target, Timing
from ops_platform_tests.services import OpsDatabases, Services
from ops_platform_tests.slo.recorded import prometheus_with

STEP_SECONDS = 60
FIRST = "an hour at day 1"
INCREASE = "increase(...[30d]) of the same counters"
REPETITIONS = 5


def run(say: Callable[[str], None], *, quick: bool = False) -> list[Report]:
    days = 3 if quick else 90
    end = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - HOUR
    start = end - timedelta(days=days)
    say(f"recording {days} days of the demo product's counters, every {STEP_SECONDS} s")
    services = Services.start()
    try:
        database = OpsDatabases(services.cluster("ops", archive=False, roles="ops")).create()
        with (
            tempfile.TemporaryDirectory() as directory,
            prometheus_with(_history(start, end), Path(directory)) as prometheus,
        ):
            known = openslo.load_directory(files.default_config_dir() / "objectives")
            return [_measured(say, database.url("ops_worker"), prometheus, known, start, end)]
    finally:
        services.close()


def _measured(
    say: Callable[[str], None],
    url: str,
    prometheus: Prometheus,
    objectives: list[Objective],
    start: datetime,
    end: datetime,
) -> Report:
    def timed(since: datetime, until: datetime) -> float:
        began = time.monotonic()
        now = datetime.now(UTC)
        keeping.count_hours(url, prometheus, objectives, since, until, "bench", now)
        keeping.enter_ledger(url, objectives, since, until, "bench")
        keeping.keep_figures(url, objectives, since, until, "bench")
        return time.monotonic() - began

    def hours_from(since: datetime) -> tuple[float, ...]:
        return tuple(
            timed(since + HOUR * number, since + HOUR * (number + 1)) for number in range(REPETITIONS)
        )

    days = (end - start).days
    last_name, backfill_name = f"an hour at day {days}", f"{min(30, days - 1)} days in one run"
    timed(start, start + timedelta(days=1))
    first = hours_from(start + timedelta(days=1))
    say(f"{FIRST}: {min(first):.2f} s")
    month = end - timedelta(days=min(30, days - 1)) - HOUR * REPETITIONS
    if start + timedelta(days=1) + HOUR * REPETITIONS < month:
        timed(start + timedelta(days=1) + HOUR * REPETITIONS, month)
    backfill = timed(month, end - HOUR * REPETITIONS)
    say(f"{backfill_name}: {backfill:.1f} s")
    last = hours_from(end - HOUR * REPETITIONS)
    say(f"{last_name}: {min(last):.2f} s")
    report = Report("Counting five objectives", base=backfill_name)
    began = time.monotonic()
    notes = _beside_increase(url, prometheus, end)
    report.timings = [
        Timing(backfill_name, (backfill,)),
        Timing(FIRST, first),
        Timing(last_name, last),
        Timing(INCREASE, (time.monotonic() - began,)),
    ]
    report.targets = [
        Target(backfill_name, backfill, 60.0, unit="s"),
        Target(
            f"{last_name} over {FIRST}", report.timing(last_name).median / report.timing(FIRST).median, 1.2
        ),
    ]
    report.notes = notes
    return report


def _beside_increase(url: str, prometheus: Prometheus, end: datetime) -> list[str]:
    from ops_platform.clients import postgres

    metric = "product_publishing_attempts_total"
    [answer] = prometheus.query(f"sum(increase({metric}[30d]))", at=end).series
    hourly = sum(
        one.value
        for number in range(30 * 24)
        for one in prometheus.query(f"sum(increase({metric}[1h]))", at=end - HOUR * number).series
    )
    with postgres.session(url) as ops:
        row = ops.execute(
            "SELECT sum(total) AS total FROM slo_window_counts WHERE slo = 'success' AND window_start >= %s "
            "AND window_seconds = 3600",
            (end - timedelta(days=30),),
        ).fetchone()
    exact = int(row["total"] or 0) if row else 0
    return [
        f"{metric} over 30 days: exactly {exact}",
        f"increase over 30 days says {answer.value:.1f}: it extrapolates to the edges of its window",
        f"the sum of 720 hourly increases says {hourly:.1f}: each drops what happens between its last sample "
        "and the next one's first, and extrapolates what it has",
    ]


def _history(start: datetime, end: datetime) -> dict[str, list[tuple[float, float]]]:
    target = 'instance="127.0.0.1:9000",job="product"'
    times = np.arange(start.timestamp() - 900, end.timestamp() + 900, STEP_SECONDS) + 3.0
    random = np.random.default_rng(1)
    moments = times.tolist()

    def counter(mean: float) -> list[tuple[float, float]]:
        return list(zip(moments, np.cumsum(random.poisson(mean, times.size)).tolist(), strict=True))

    found = {f"up{{{target}}}": [(time_, 1.0) for time_ in moments]}
    for method, route in ROUTES:
        for code, mean in ((SUCCESS_CODE[method], 20.0), ("404", 0.2), *((one, 0.01) for one in ERROR_CODES)):
            labels = f'method="{method}",route="{route}",code="{code}",{target}'
            found[f"product_api_responses_total{{{labels}}}"] = counter(mean)
    for result, mean in (("success", 5.0), ("failure", 0.02)):
        found[f'product_publishing_attempts_total{{result="{result}",{target}}}'] = counter(mean)
    for signature in ("valid", "invalid"):
        labels = f'signature="{signature}",{target}'
        found[f"product_webhook_deliveries_total{{{labels}}}"] = counter(4.0 if signature == "valid" else 0)
    for metric, bound in (
        ("product_publishing_duration_seconds", "10.0"),
        ("product_media_transcoding_duration_seconds", "300.0"),
    ):
        good = counter(3.0)
        slow = counter(0.05)
        found[f'{metric}_bucket{{le="{bound}",{target}}}'] = good
        found[f"{metric}_count{{{target}}}"] = [
            (moment, value + more) for (moment, value), (_, more) in zip(good, slow, strict=True)
        ]
    return found
