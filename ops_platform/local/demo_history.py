"""History of the demo product in a new stack: loaded into Prometheus and counted in the background of ``up``.

A stack gets it once. A failure here is reported in one line, and the next ``up`` tries again.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from ops_platform.clients.child_process import Launcher
from ops_platform.clients.dagster import UNFINISHED, Dagster, Run
from ops_platform.clients.prometheus import Prometheus
from ops_platform.clients.safe_errors import describe
from ops_platform.clients.waiting import wait_until
from ops_platform.errors import CheckFailed, ConfigurationError, OpsError, Unavailable
from ops_platform.local import environment
from ops_platform.local.components import Components
from ops_platform.local.demo.history import DAY, HOUR, HistoryPlan, HistoryStore, Record
from ops_platform.local.supervision import STACK_ID
from ops_platform.settings import Settings

LOADER = "ops_platform.local.demo.history.blocks"
LONGEST_DAYS = 60
"""Prometheus keeps 95 days, and forgets the oldest one by one."""
LOAD_SECONDS, SEEN_SECONDS, LAUNCH_SECONDS, COUNT_SECONDS = 300.0, 150.0, 300.0, 900.0
QUIET_SECONDS, PATIENCE_SECONDS = 3.0, 15.0
SETTLING_SECONDS = 610
"""An hour can be counted ten minutes after its end; an hour that ends now is left to the schedule."""
TAG = "ops-platform/demo-history"
HOURS_JOB, DAYS_JOB = "slo_windows", "slo_days"


def wanted_days(settings: Settings) -> int:
    """Read the number of days that the history shall have; 0 is none. Raises ConfigurationError."""
    days = settings.demo.history_days
    if not 0 <= days <= LONGEST_DAYS or days != int(days):
        raise ConfigurationError(
            f"OPS_DEMO_HISTORY_DAYS must be a whole number from 0 to {LONGEST_DAYS}: correct it"
        )
    return int(days)


class DemoHistory:
    """Loading and counting of the history in a thread.

    Call ``begin`` before Prometheus starts the first time, ``count`` when Dagster is up, then ``finish``.
    """

    def __init__(self, components: Components, settings: Settings, say: Callable[[str], None]) -> None:
        self._components, self._settings, self._say = components, settings, say
        self._store = HistoryStore(
            components.layout.state_dir / "demo-history.json", components.prometheus.data_dir
        )
        self._dagster_is_up, self._launched = threading.Event(), threading.Event()
        self._problem = ""
        self._worker: threading.Thread | None = None

    def begin(self) -> None:
        """Start loading in the background, when this stack shall have a history and has none yet."""
        try:
            record = self._planned()
        except (OpsError, OSError) as error:
            self._problem = describe(error)
            return
        if record is not None and not record.counted:
            # It dies with this process: an interrupted ``up`` leaves nothing behind that still writes.
            self._worker = threading.Thread(target=self._work, name="demo-history", daemon=True)
            self._worker.start()

    def count(self) -> None:
        """Let the objectives be counted over the history as soon as it is loaded."""
        self._dagster_is_up.set()

    def finish(self, report: Callable[[str, float | None], None]) -> None:
        """Wait until its runs are launched, and a little for the hours; report progress or a problem."""
        if self._worker is not None:
            # A later ``up`` only looks whether all runs succeeded.
            self._worker.join(QUIET_SECONDS)
            if self._worker.is_alive():
                report("the demo's history: counting", None)
            self._launched.wait()
            self._worker.join(PATIENCE_SECONDS)
            if self._worker.is_alive():
                self._say(f"the demo's history is being counted: {self._components.url('webserver')}/runs")
        if self._problem:
            self._say(f"the demo's history is not complete: {self._problem}; the next 'up' tries again")

    def _planned(self) -> Record | None:
        days = wanted_days(self._settings)
        if not days:
            return None
        return self._store.plan(
            HistoryPlan(
                end=int(time.time()),
                days=days,
                rate=self._settings.demo.traffic_rate,
                seed=self._settings.demo.traffic_seed,
                instance=f"127.0.0.1:{self._components.ports['traffic']}",
            )
        )

    def _work(self) -> None:
        try:
            record = self._loaded()
            self._dagster_is_up.wait()
            if any((self._settings.config_dir / "objectives").glob("*.y*ml")):
                self._count(record)
            else:
                self._wait_until_shown(record.plan)
                self._store.keep(replace(record, counted=True))
        except Exception as error:  # of any kind: the stack works without a history
            self._problem = describe(error)
        finally:
            self._launched.set()

    def _loaded(self) -> Record:
        record = self._store.record()
        if record is not None and record.loaded:
            return record
        command = [sys.executable, "-m", LOADER, str(self._store.record_file), str(self._store.prometheus)]
        values = {**environment.process({}), STACK_ID: self._components.stack_id}
        done = Launcher(environment=values).run(command, timeout=LOAD_SECONDS)
        record = self._store.record()
        if done.code or record is None or not record.loaded:
            output = done.stderr.strip().splitlines()
            raise Unavailable(output[-1] if output else f"the loader ended with {done.code}")
        return record

    def _wait_until_shown(self, plan: HistoryPlan) -> None:
        """Wait until Prometheus shows all of the history."""
        source = Prometheus(self._components.prometheus.url)
        span = plan.end - plan.begins + 1
        query = f'count_over_time(up{{job="product",instance="{plan.instance}"}}[{span}s])'

        def shown() -> bool:
            series = source.query(query, at=datetime.fromtimestamp(plan.end, UTC)).series
            return bool(series) and series[0].value >= plan.scrapes

        try:
            wait_until(shown, SEEN_SECONDS, "Prometheus shows the history", interval=0.5)
        finally:
            source.close()

    def _count(self, record: Record) -> None:
        url, plan = self._components.url("webserver"), record.plan
        end = countable(plan, time.time())
        # A launch stores the hours that it plans one by one before it answers.
        dagster = Dagster(url, token=self._settings.dagster_token, timeout_seconds=LAUNCH_SECONDS)
        hours = _run(dagster, HOURS_JOB, plan, "SUCCESS")
        if hours is None:
            self._wait_until_shown(plan)
            under_way = _run(dagster, HOURS_JOB, plan, *UNFINISHED)
            run_id = (
                under_way.run_id if under_way else _launch(dagster, HOURS_JOB, plan, hour_keys(plan, end))
            )
            if _run(dagster, DAYS_JOB, plan, *UNFINISHED) is None:
                # dagster.yaml lets only one run with TAG go on at a time: the days wait for the hours.
                _launch(dagster, DAYS_JOB, plan, day_keys(plan, end))
            self._launched.set()
            hours = dagster.wait(run_id, COUNT_SECONDS)
            if hours.status != "SUCCESS":
                raise CheckFailed(dagster.failure(run_id) or f"run {run_id} ended as {hours.status}")
            self._say(f"{plan.days} days of history are loaded and counted: {url}/assets/slo/compliance")
        days = _run(dagster, DAYS_JOB, plan, "SUCCESS")
        if days and (days.started_at or 0) >= (hours.ended_at or 0):
            self._store.keep(replace(record, counted=True))
        elif _run(dagster, DAYS_JOB, plan, *UNFINISHED) is None:
            _launch(dagster, DAYS_JOB, plan, day_keys(plan, end))


def _run(dagster: Dagster, job: str, plan: HistoryPlan, *statuses: str) -> Run | None:
    """Find the newest run that counts this history and is in one of ``statuses``."""
    runs = dagster.runs(job, statuses=statuses, tags={TAG: str(plan.end)}, limit=1)
    return runs[0] if runs else None


def _launch(dagster: Dagster, job: str, plan: HistoryPlan, keys: tuple[str, str]) -> str:
    first, last = keys
    tags = {
        TAG: str(plan.end),
        "dagster/asset_partition_range_start": first,
        "dagster/asset_partition_range_end": last,
    }
    return dagster.launch(job, {}, tags)


def countable(plan: HistoryPlan, now: float) -> int:
    """Compute the end of the last full hour that can be counted at ``now``, in Unix seconds."""
    return min(plan.last_hour, int(now - SETTLING_SECONDS) // HOUR * HOUR)


def hour_keys(plan: HistoryPlan, end: int) -> tuple[str, str]:
    """Name the first and last partition of the full hours up to ``end``."""
    return _key(plan.first_hour, "%Y-%m-%d-%H:00"), _key(end - HOUR, "%Y-%m-%d-%H:00")


def day_keys(plan: HistoryPlan, end: int) -> tuple[str, str]:
    """Name the first and last partition of the full days up to ``end``; at least one, see LEAD_DAYS."""
    return _key(-(-plan.first_hour // DAY) * DAY, "%Y-%m-%d"), _key(end // DAY * DAY - DAY, "%Y-%m-%d")


def _key(moment: int, form: str) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime(form)
