"""When which backup is asked for, and when an incremental gives way."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import dagster as dg
import pytest
import yaml
from cronsim import CronSim
from dagster import DagsterRunStatus

from ops_platform.backup.stanza import KINDS, BackupContext, Kind, load_backups, locks
from ops_platform.backup.taking import BackupRequest, precedence, report_store
from ops_platform.clients import postgres
from ops_platform.defs.backup import jobs, schedules
from ops_platform.defs.backup.assets import backup_assets
from ops_platform.defs.backup.definitions import backup_definitions
from ops_platform.defs.backup.schedules import GHOST_AFTER, busy_reason
from ops_platform.defs.dr.schedules import dr_schedules
from ops_platform.defs.resources import PlatformResource, StanzaLockResource
from ops_platform.errors import Unavailable
from ops_platform.settings import Settings, load_settings
from ops_platform_tests.backup.shapes import write_two_repositories
from ops_platform_tests.services import OpsDatabase

SUNDAY = datetime(2026, 11, 22, tzinfo=UTC)


class KnownSettings(PlatformResource):
    """The platform with the settings of a test instead of the process's."""

    url: str

    def settings(self) -> Settings:
        return load_settings({"OPS_STATE_DIR": "/nonexistent", "OPS_DATABASE_URL": self.url})

    def backup(self, stanza: str) -> BackupContext:
        """A context that can wait for the stanza's lock, and must not come so far as to use pgBackRest."""
        settings = self.settings()
        config = load_backups(settings)
        unused = cast(Any, None)
        return BackupContext(settings, config, config.stanzas[stanza], unused, unused, None)


def ticks(defs: dg.Definitions, name: str, since: datetime, until: datetime) -> list[datetime]:
    cron = defs.resolve_schedule_def(name).cron_schedule
    assert isinstance(cron, str), "one schedule, one cadence: only the latest missed tick is made up for"
    return list(itertools.takewhile(lambda at: at < until, CronSim(cron, since - timedelta(seconds=1))))


def test_a_week_has_one_full_and_six_differentials_of_each_stanza(defs: dg.Definitions) -> None:
    for stanza in ("product", "ops"):
        end = SUNDAY + timedelta(days=7)
        fulls = ticks(defs, f"backup_full_weekly_{stanza}", SUNDAY, end)
        diffs = ticks(defs, f"backup_diff_daily_{stanza}", SUNDAY, end)
        assert len(fulls) == 1
        assert fulls[0].weekday() == 6
        assert len(diffs) == 6
        assert fulls[0].date() not in {at.date() for at in diffs}


def test_after_an_outage_the_missed_full_of_each_stanza_is_made_up_for(
    defs: dg.Definitions, empty_instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both fulls are missed, and Dagster launches the last missed tick of each schedule."""
    monkeypatch.setattr(schedules, "busy_reason", lambda *_: None)
    monkeypatch.setattr(dg.ScheduleEvaluationContext, "instance", empty_instance)
    down, up = SUNDAY + timedelta(hours=1), SUNDAY + timedelta(hours=5)
    made_up = []
    for name in ("backup_full_weekly_product", "backup_full_weekly_ops"):
        context = dg.build_schedule_context(
            empty_instance,
            scheduled_execution_time=ticks(defs, name, down, up)[-1],
            resources={"platform": PlatformResource()},
        )
        made_up += list(defs.resolve_schedule_def(name).evaluate_tick(context).run_requests or ())

    assert [request.run_config for request in made_up] == [{"stanza": "product"}, {"stanza": "ops"}]


def test_every_schedule_runs_by_itself_and_in_utc(defs: dg.Definitions) -> None:
    for schedule in defs.schedules or ():
        assert isinstance(schedule, dg.ScheduleDefinition)
        assert schedule.default_status == dg.DefaultScheduleStatus.RUNNING, schedule.name
        assert schedule.execution_timezone == "UTC", schedule.name


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
    assert busy_reason(instance, platform, "product", "incremental", datetime.now(UTC)) is None


@pytest.mark.services
@pytest.mark.parametrize("status", [DagsterRunStatus.STARTING, DagsterRunStatus.STARTED])
def test_an_incremental_gives_way_to_a_waiting_full_of_its_stanza(
    instance: dg.DagsterInstance,
    platform: KnownSettings,
    add_run: Callable[..., str],
    status: DagsterRunStatus,
) -> None:
    run_id = add_run("backup_full", status)

    assert run_id[:8] in str(busy_reason(instance, platform, "product", "incremental", datetime.now(UTC)))
    assert busy_reason(instance, platform, "ops", "incremental", datetime.now(UTC)) is None


@pytest.mark.services
def test_a_ghost_that_holds_no_lock_blocks_nothing(
    instance: dg.DagsterInstance, platform: KnownSettings, add_run: Callable[..., str]
) -> None:
    add_run("backup_full", DagsterRunStatus.STARTED)
    later = datetime.now(UTC) + GHOST_AFTER + timedelta(seconds=5)

    assert busy_reason(instance, platform, "product", "incremental", later) is None
    with locks.stanza_lock(platform.url, "product", 5, print):
        assert busy_reason(instance, platform, "product", "incremental", later) == "another backup is running"
    assert busy_reason(instance, platform, "product", "incremental", later) is None


@pytest.mark.services
def test_finished_runs_do_not_count(
    instance: dg.DagsterInstance, platform: KnownSettings, add_run: Callable[..., str]
) -> None:
    add_run("backup_full", DagsterRunStatus.SUCCESS)
    add_run("backup_diff", DagsterRunStatus.FAILURE)
    add_run("wal_checks", DagsterRunStatus.STARTED)

    assert busy_reason(instance, platform, "product", "incremental", datetime.now(UTC)) is None


@pytest.mark.services
@pytest.mark.parametrize(
    ("running", "giving_way"),
    [
        ("full", {"full", "differential", "incremental"}),
        ("differential", {"differential", "incremental"}),
        ("incremental", {"incremental"}),
    ],
)
def test_a_backup_gives_way_to_its_own_kind_and_to_stronger_ones(
    instance: dg.DagsterInstance, platform: KnownSettings, running: Kind, giving_way: set[Kind]
) -> None:
    with running_backup(platform, running):
        # A full of 30 hours: its run has long been started, its report is open, it holds the lock.
        reasons = {
            kind: busy_reason(instance, platform, "product", kind, datetime.now(UTC)) for kind in KINDS
        }

    assert {kind for kind, reason in reasons.items() if reason is not None} == giving_way
    assert f"a {running} backup is running since" in str(reasons["incremental"])


@pytest.mark.services
def test_a_backup_gives_way_to_a_stronger_one_into_the_other_repository(
    instance: dg.DagsterInstance, platform: KnownSettings
) -> None:
    with (
        postgres.session(platform.url, autocommit=True) as connection,
        running_backup(platform, "full", "product@offsite"),
    ):
        # Its worker was killed: its report is open, and what runs is another one.
        dead = BackupRequest("product", "differential", "dead", "dead", "cli")
        report_store.open_report(connection, dead)
        reasons = {
            kind: busy_reason(instance, platform, "product", kind, datetime.now(UTC)) for kind in KINDS
        }
        assert report_store.reconcile(connection, "product@offsite", but="product@offsite:long-full")
        elsewhere = [
            precedence.running_elsewhere(platform.url, one) for one in ("product", "product@offsite")
        ]
    assert "a full backup of product@offsite is running since" in str(elsewhere[0])
    assert elsewhere[1] is None
    assert reasons["full"] is None, "it waits"
    assert "a full backup of product@offsite is running since" in str(reasons["differential"])
    assert "a full backup of product@offsite is running since" in str(reasons["incremental"])
    with running_backup(platform, "incremental", "product@offsite"):
        assert busy_reason(instance, platform, "product", "differential", datetime.now(UTC)) is None


@pytest.mark.parametrize(
    ("running", "gives_way"),
    [
        (("product@offsite", "full"), True),
        (("product@offsite", "differential"), False),
        (("product", "differential"), True),
        (("product@offsite", "incremental"), False),
        (("ops", "full"), False),
    ],
)
def test_what_a_differential_gives_way_to(running: tuple[str, Kind], gives_way: bool) -> None:
    assert precedence.precedes(running, ("product", "differential")) == gives_way


@contextmanager
def running_backup(platform: KnownSettings, kind: Kind, stanza: str = "product") -> Iterator[None]:
    with (
        locks.stanza_lock(platform.url, stanza, 5, print),
        postgres.session(platform.url, autocommit=True) as connection,
    ):
        request = BackupRequest(stanza, kind, f"long-{kind}", f"long-{kind}", "cli")
        report_store.open_report(connection, request)
        try:
            yield
        finally:
            report_store.fail(connection, request, "the test is over")


@pytest.mark.services
def test_a_scheduled_run_that_finds_a_full_ends_as_skipped_and_says_why(
    defs: dg.Definitions, instance: dg.DagsterInstance, platform: KnownSettings
) -> None:
    job = defs.resolve_job_def("backup_diff")

    def run(tags: dict[str, str]) -> dg.DagsterRun:
        resources = {"platform": platform, "stanza_lock": StanzaLockResource(wait_seconds=0.1)}
        result = job.execute_in_process(
            {"stanza": "product"}, instance, resources=resources, tags=tags, raise_on_error=False
        )
        recorded = instance.get_run_by_id(result.run_id)
        assert recorded is not None
        return recorded

    with running_backup(platform, "full"):
        by_schedule = run({"dagster/schedule_name": "backup_diff_daily_product"})
        by_hand = run({})

    assert by_schedule.status is DagsterRunStatus.SUCCESS
    assert "a full backup is running since" in by_schedule.tags["ops/skipped"]
    steps = {event.step_key: event.event_type_value for event in skipped_steps(instance, by_schedule)}
    assert set(steps) == {"run", "verify", "record", "keep_index"}
    with postgres.session(platform.url) as connection:
        rows = connection.execute(
            "SELECT 1 FROM backup_reports WHERE run_id = %s", (by_schedule.run_id,)
        ).fetchall()
    assert rows == [], "nothing was taken, and nothing failed"
    # Whoever launches one by hand wants it: it waits, and says what it waited for.
    assert by_hand.status is DagsterRunStatus.FAILURE
    assert "ops/skipped" not in by_hand.tags


HOUR = 3600.0


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


CLOCK = Clock()


class HeldLock(StanzaLockResource):
    """It is free after ``hours``, by a clock that a wait for it moves."""

    hours: float

    def hold(self, backup: Any, log: Any, while_waiting: Any = None) -> None:
        if while_waiting is not None:
            while_waiting()
        held = self.hours * HOUR
        CLOCK.now = min(CLOCK.now + self.wait_seconds, max(CLOCK.now, held))
        if CLOCK.now < held:
            raise Unavailable("the lock backup/product is held by somebody")


@dataclass
class OpOfARun:
    """What an op knows of its run, and the tags and lines that it leaves."""

    tags: dict[str, str]
    root_run_id: str | None = None
    added: dict[str, str] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)

    @property
    def context(self) -> Any:
        run = SimpleNamespace(tags=self.tags, root_run_id=self.root_run_id, run_id="run")
        add = SimpleNamespace(add_run_tags=lambda _, tags: self.added.update(tags))
        log = SimpleNamespace(info=self.lines.append, warning=self.lines.append)
        return SimpleNamespace(run=run, instance=add, log=log)


SCHEDULE = {"dagster/schedule_name": "backup_full_weekly_product_offsite"}
OPS = {
    "schedule": OpOfARun(SCHEDULE),
    "retry of a dead worker": OpOfARun({**SCHEDULE, "dagster/retry_number": "1"}, "root"),
    "hand": OpOfARun({}),
    "hand, again": OpOfARun(SCHEDULE, "root"),
}


def has_turn(op: OpOfARun, hours: float, monkeypatch: pytest.MonkeyPatch, *, takes_set: bool = True) -> bool:
    """Ask for the lock that is free after so many hours, with the times that count in production."""
    CLOCK.now = 0.0
    monkeypatch.setattr(jobs, "time", SimpleNamespace(monotonic=CLOCK))
    request = BackupRequest("product@offsite", "full", "run", "run", "dagster")
    lock, backup = HeldLock(hours=hours), cast(Any, SimpleNamespace(ops_url=""))
    return jobs._has_turn(op.context, backup, request, lock, takes_set=takes_set)


@pytest.mark.parametrize(
    ("by", "elsewhere", "hours", "turn"),
    [
        ("schedule", True, 47, True),  # however often: it comes next
        ("schedule", True, 49, False),  # longer than anybody should wait
        ("schedule", False, 7, None),  # somebody else holds it: that is a fault
        ("retry of a dead worker", True, 47, True),
        ("retry of a dead worker", True, 49, False),
        ("hand", True, 5, True),
        ("hand", True, 7, None),
        ("hand, again", True, 7, None),
    ],
)
def test_a_scheduled_full_comes_next_behind_the_one_into_the_other_repository(
    monkeypatch: pytest.MonkeyPatch, by: str, elsewhere: bool, hours: float, turn: bool | None
) -> None:
    running = "a full backup of product is running since 2026-11-22 02:00 UTC" if elsewhere else None
    monkeypatch.setattr(precedence, "running_elsewhere", lambda *_: running)
    monkeypatch.setattr(precedence, "running_backup", lambda *_: None)
    op = replace(OPS[by], added={}, lines=[])
    if turn is None:
        with pytest.raises(Unavailable):
            has_turn(op, hours, monkeypatch)
    else:
        assert has_turn(op, hours, monkeypatch) == turn
    reason = op.added.get(jobs.SKIPPED_TAG)
    assert (reason is not None) == (turn is False)
    if reason is not None:
        assert reason.startswith(f"product@offsite: {running}, and this one waited 48 h for its turn: take a")
    # Each round of six hours says what it waits for.
    assert op.lines.count(f"{running}: this one comes next") == (7 if turn is not None and hours > 6 else 0)


@pytest.mark.parametrize(
    ("by", "gives_way"), [("schedule", True), ("retry of a dead worker", True), ("hand, again", False)]
)
def test_a_run_of_a_schedule_gives_way_until_it_has_its_set(
    monkeypatch: pytest.MonkeyPatch, by: str, gives_way: bool
) -> None:
    monkeypatch.setattr(precedence, "running_backup", lambda *_: "a full backup is running")
    monkeypatch.setattr(precedence, "running_elsewhere", lambda *_: "a full backup is running")
    op = replace(OPS[by], added={}, lines=[])
    assert has_turn(op, 5, monkeypatch) is not gives_way
    assert (jobs.SKIPPED_TAG in op.added) == gives_way
    # What was taken before the worker died has to be verified and recorded.
    op = replace(OPS[by], added={}, lines=[])
    assert has_turn(op, 5, monkeypatch, takes_set=False)
    if gives_way:
        with pytest.raises(Unavailable):
            has_turn(op, 49, monkeypatch, takes_set=False)
    assert op.added == {}


@pytest.mark.parametrize("job", sorted(jobs.JOB_KINDS))
def test_no_backup_is_ended_while_it_waits_or_works_behind_the_longest_wait(
    defs: dg.Definitions, job: str
) -> None:
    usual = yaml.safe_load((Path(__file__).parents[3] / "dagster.yaml").read_text())["run_monitoring"]
    longest = int(defs.resolve_job_def(job).tags["dagster/max_runtime"])
    waits = StanzaLockResource().turn_seconds
    assert longest >= waits + usual["max_runtime_seconds"]


def skipped_steps(instance: dg.DagsterInstance, run: dg.DagsterRun) -> list[dg.DagsterEvent]:
    records = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_SKIPPED)
    return [record.dagster_event for record in records if record.dagster_event is not None]


def test_a_second_repository_has_schedules_and_assets_of_its_own(tmp_path: Path) -> None:
    write_two_repositories(tmp_path)
    config = load_backups(load_settings({"OPS_CONFIG_DIR": str(tmp_path)}))
    defined = [*(backup_definitions(config).schedules or ()), *dr_schedules(config)]
    names = {schedule.name for schedule in defined if isinstance(schedule, dg.ScheduleDefinition)}
    assert {"backup_full_weekly_product", "backup_full_weekly_product_offsite"} <= names
    assert {"backup_verify_daily_product_offsite", "dr_exercise_monthly_product_offsite"} <= names
    # A reference is of the server, whatever the repository.
    assert {name for name in names if name.startswith("dr_reference_hourly")} == {
        "dr_reference_hourly_product",
        "dr_reference_hourly_ops",
    }
    keys = {spec.key.to_user_string() for spec in backup_assets(config)}
    assert {"backup/product/offsite/full", "backup/product/full"} <= keys
