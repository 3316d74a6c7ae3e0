"""When which backup is asked for, and when an incremental gives way."""

import itertools
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest
from cronsim import CronSim
from dagster import DagsterRunStatus

from ops_platform.backup.stanza import locks
from ops_platform.definitions import build_defs
from ops_platform.defs.backup.schedules import GHOST_AFTER, busy_reason, is_due
from ops_platform.defs.resources import PlatformResource
from ops_platform.settings import Settings, load_settings
from ops_platform_tests.services import OpsDatabase

SUNDAY = datetime(2026, 11, 22, tzinfo=UTC)
NAMES = {"backup_full_weekly", "backup_diff_daily"}


class KnownSettings(PlatformResource):
    """The platform with the settings of a test instead of the process's."""

    url: str

    def settings(self) -> Settings:
        return load_settings({"OPS_STATE_DIR": "/nonexistent", "OPS_DATABASE_URL": self.url})


@pytest.fixture
def defs() -> dg.Definitions:
    return build_defs(load_settings({"OPS_STATE_DIR": "/nonexistent"}))


def requested(defs: dg.Definitions, instance: dg.DagsterInstance, name: str, at: datetime) -> list[str]:
    """The stanzas for which a tick asks for a run."""
    schedule = defs.resolve_schedule_def(name)
    context = dg.build_schedule_context(
        instance, scheduled_execution_time=at, resources={"platform": PlatformResource()}
    )
    data = schedule.evaluate_tick(context)
    return [str(request.run_config["stanza"]) for request in data.run_requests or ()]


def test_a_week_of_ticks_asks_for_one_full_and_six_differentials_of_each_stanza(
    defs: dg.Definitions, empty_instance: dg.DagsterInstance
) -> None:
    asked: dict[str, list[tuple[datetime, str]]] = {name: [] for name in NAMES}
    before, end = SUNDAY - timedelta(seconds=1), SUNDAY + timedelta(days=7)
    for name in NAMES:
        ticks = {
            at
            for cron in crons(defs, name)
            for at in itertools.takewhile(lambda at: at < end, CronSim(cron, before))
        }
        for at in sorted(ticks):
            asked[name] += [(at, stanza) for stanza in requested(defs, empty_instance, name, at)]

    for stanza in ("product", "ops"):
        fulls = [at for at, one in asked["backup_full_weekly"] if one == stanza]
        diffs = [at for at, one in asked["backup_diff_daily"] if one == stanza]
        assert len(fulls) == 1
        assert fulls[0].weekday() == 6
        assert len(diffs) == 6
        assert fulls[0].date() not in {at.date() for at in diffs}


def crons(defs: dg.Definitions, name: str) -> list[str]:
    cron = defs.resolve_schedule_def(name).cron_schedule
    return [cron] if isinstance(cron, str) else list(cron)


def test_every_schedule_runs_by_itself_and_in_utc(defs: dg.Definitions) -> None:
    for schedule in defs.schedules or ():
        assert isinstance(schedule, dg.ScheduleDefinition)
        assert schedule.default_status == dg.DefaultScheduleStatus.RUNNING, schedule.name
        assert schedule.execution_timezone == "UTC", schedule.name


@pytest.mark.parametrize(
    ("cron", "at", "due"),
    [
        ("30 * * * *", "2026-11-22T04:30:00+00:00", True),
        ("30 * * * *", "2026-11-22T04:30:59+00:00", True),
        ("30 * * * *", "2026-11-22T04:31:00+00:00", False),
        ("0 2 * * 0", "2026-11-22T03:00:00+01:00", True),
        ("0 2 * * 0", "2026-11-22T02:00:00+01:00", False),
    ],
)
def test_due_is_decided_by_the_minute_in_utc(cron: str, at: str, due: bool) -> None:
    assert is_due(cron, datetime.fromisoformat(at)) is due


@pytest.fixture
def platform(ops_database: OpsDatabase) -> KnownSettings:
    return KnownSettings(url=ops_database.url("ops_worker"))


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


@pytest.fixture
def add_run(instance: dg.DagsterInstance, defs: dg.Definitions) -> Callable[..., str]:
    def add(job: str, status: DagsterRunStatus, stanza: str = "product") -> str:
        config: dict[str, Any] = {} if job == "wal_checks" else {"stanza": stanza}
        run = instance.create_run_for_job(defs.resolve_job_def(job), run_config=config, status=status)
        return run.run_id

    return add


@pytest.mark.services
def test_nothing_runs_so_nothing_gives_way(instance: dg.DagsterInstance, platform: KnownSettings) -> None:
    assert busy_reason(instance, platform, "product", datetime.now(UTC)) is None


@pytest.mark.services
@pytest.mark.parametrize("status", [DagsterRunStatus.STARTING, DagsterRunStatus.STARTED])
def test_an_incremental_gives_way_to_a_waiting_full_of_its_stanza(
    instance: dg.DagsterInstance,
    platform: KnownSettings,
    add_run: Callable[..., str],
    status: DagsterRunStatus,
) -> None:
    run_id = add_run("backup_full", status)

    assert run_id[:8] in str(busy_reason(instance, platform, "product", datetime.now(UTC)))
    assert busy_reason(instance, platform, "ops", datetime.now(UTC)) is None


@pytest.mark.services
def test_a_ghost_that_holds_no_lock_blocks_nothing(
    instance: dg.DagsterInstance, platform: KnownSettings, add_run: Callable[..., str]
) -> None:
    add_run("backup_full", DagsterRunStatus.STARTED)
    later = datetime.now(UTC) + GHOST_AFTER + timedelta(seconds=5)

    assert busy_reason(instance, platform, "product", later) is None
    with locks.stanza_lock(platform.url, "product", 5, print):
        assert busy_reason(instance, platform, "product", later) == "another backup is running"
    assert busy_reason(instance, platform, "product", later) is None


@pytest.mark.services
def test_finished_runs_do_not_count(
    instance: dg.DagsterInstance, platform: KnownSettings, add_run: Callable[..., str]
) -> None:
    add_run("backup_full", DagsterRunStatus.SUCCESS)
    add_run("backup_diff", DagsterRunStatus.FAILURE)
    add_run("wal_checks", DagsterRunStatus.STARTED)

    assert busy_reason(instance, platform, "product", datetime.now(UTC)) is None
