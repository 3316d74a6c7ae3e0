"""Counting ninety days of the demo product's metrics, as a backfill and by the hour, beside ``increase``.

Targets: 30 days of five objectives in one run of Dagster take at most a minute; an hour at day 90
costs at most 1.2 times what it costs at day 1.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import yaml

from ops_platform import files
from ops_platform.clients.prometheus import Prometheus
from ops_platform.definitions import build_defs
from ops_platform.errors import CheckFailed
from ops_platform.local.demo.history.blocks import make
from ops_platform.local.demo.history.samples import history
from ops_platform.local.demo.history.timetable import LEAD_DAYS, STEP_SECONDS, HistoryPlan
from ops_platform.settings import load_settings
from ops_platform.slo.counting.event_count import HOUR
from ops_platform.slo.objectives import openslo
from ops_platform.slo.objectives.model import Objective
from ops_platform.slo.reporting import refresh as keeping
from ops_platform_tests.benchmarks import slo_scale
from ops_platform_tests.benchmarks.measure import Report, Target, Timing
from ops_platform_tests.prometheus import running_prometheus
from ops_platform_tests.services import OpsDatabase, OpsDatabases, Services

FIRST = "an hour at day 1"
INCREASE = "increase(...[30d]) of the same counters"
REPETITIONS = 5


def run(say: Callable[[str], None], *, quick: bool = False) -> list[Report]:
    days = 3 if quick else 90
    end = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - HOUR
    # Scraped a little beyond what is counted.
    plan = HistoryPlan(int((end + HOUR).timestamp()) - 60, days - LEAD_DAYS, 5.0, 1, "127.0.0.1:9000")
    start = end - timedelta(days=days)
    say(f"recording {days} days of the demo product's counters, every {STEP_SECONDS} s")
    services = Services.start()
    try:
        databases = OpsDatabases(services.cluster("ops", archive=False, roles="ops"))
        with tempfile.TemporaryDirectory() as name:
            directory = Path(name)
            make(history(plan), directory / "data")
            with running_prometheus(directory) as prometheus:
                known = openslo.load_directory(files.default_config_dir() / "objectives")
                report = _measured(say, databases.create(), prometheus, known, start, end)
                _in_dagster(say, report, databases, prometheus, directory, min(30, days - 1), end)
            return [report, *slo_scale.run(say, databases, quick=quick)]
    finally:
        services.close()


def _in_dagster(
    say: Callable[[str], None],
    report: Report,
    databases: OpsDatabases,
    prometheus: Prometheus,
    directory: Path,
    days: int,
    end: datetime,
) -> None:
    """The same backfill as one run of the job, with Dagster's storage in PostgreSQL as the stack has it."""
    storage = databases.create().url("ops_owner").replace("postgresql://", "postgresql+psycopg2://", 1)
    home = directory / "dagster"
    home.mkdir()
    config = {"storage": {"postgres": {"postgres_url": storage}}, "telemetry": {"enabled": False}}
    (home / "dagster.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    environment = {
        "OPS_STATE_DIR": str(directory / "state"),
        "OPS_DATABASE_URL": databases.create().url("ops_worker"),
        "OPS_PROMETHEUS_URL": prometheus.url,
        "DAGSTER_EVENT_BATCH_SIZE": "1000",
        "DAGSTER_EMIT_PARTITION_SUBSET_IN_PLANNED_EVENTS": "true",
    }
    os.environ.update(environment)
    keys = [one.strftime("%Y-%m-%d-%H:%M") for one in (end - timedelta(days=days), end - HOUR)]
    tags = {"dagster/asset_partition_range_start": keys[0], "dagster/asset_partition_range_end": keys[1]}
    job = build_defs(load_settings()).resolve_job_def("slo_windows")
    with dg.DagsterInstance.from_config(str(home)) as instance:
        began = time.monotonic()
        quiet = {"loggers": {"console": {"config": {"log_level": "ERROR"}}}}
        done = job.execute_in_process(run_config=quiet, tags=tags, instance=instance)
        seconds = time.monotonic() - began
    if not done.success:
        raise CheckFailed("the backfill did not succeed")
    name = f"{days} days in one Dagster run"
    say(f"{name}: {seconds:.1f} s")
    report.timings.insert(1, Timing(name, (seconds,)))
    report.targets.insert(0, Target(name, seconds, 60.0, unit="s"))


def _measured(
    say: Callable[[str], None],
    database: OpsDatabase,
    prometheus: Prometheus,
    objectives: list[Objective],
    start: datetime,
    end: datetime,
) -> Report:
    url = database.url("ops_worker")

    def timed(since: datetime, until: datetime) -> float:
        began = time.monotonic()
        now = datetime.now(UTC)
        keeping.count_hours(url, prometheus, objectives, since, until, "bench", now)
        keeping.enter_ledger(url, objectives, since, until, "bench")
        keeping.store_figures(url, objectives, since, until, "bench")
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
    # Autovacuum comes once a minute, and ninety days are counted in less.
    with database.superuser() as superuser:
        superuser.execute("VACUUM ANALYZE")
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
        Target(
            f"{last_name} over {FIRST}", report.timing(last_name).median / report.timing(FIRST).median, 1.2
        ),
    ]
    report.notes = notes
    return report


def _beside_increase(url: str, prometheus: Prometheus, end: datetime) -> list[str]:
    from ops_platform.clients.postgres import connection as postgres

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
