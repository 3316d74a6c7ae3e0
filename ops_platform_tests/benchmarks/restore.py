"""A restore two ways, side by side: bare ``pgbackrest restore`` and start, and the exercise's own.

Targets: the exercise's restore part costs at most 1.1 times the bare one, of the large cluster in each round;
what a small exercise predicts for the large cluster is within 25 % of what is measured there. 100 GB is
extrapolated.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from uuid import uuid4

from ops_platform.backup.monitoring.observation import observe
from ops_platform.backup.recovery_point import heartbeat
from ops_platform.clients.postgres import connection as postgres
from ops_platform.clients.waiting import wait_until
from ops_platform.dr.exercise import rehearsal, runner
from ops_platform.dr.exercise import rto_forecast as forecast
from ops_platform.dr.exercise.report import ExerciseRequest, Outcome
from ops_platform.dr.exercise.rto_forecast import Measured
from ops_platform.dr.restore import workspace
from ops_platform.dr.restore.scratch_cluster import scratch
from ops_platform.dr.verification import suite as questions
from ops_platform_tests.benchmarks.backup_site import BackupSite, backup_site
from ops_platform_tests.benchmarks.measure import Report, Target, Timing

BARE = "pgbackrest restore and start"
EXERCISE = "the exercise: restore, replay, promote"
RTO = "the exercise's RTO"
FACTOR, FORECAST = 1.1, 0.25
LARGE_BYTES = 100_000_000_000
SMALL = (0.6, 100_000_000)
LARGE = (8.0, 1_250_000_000)


def run(say: Callable[[str], None], *, quick: bool = False, repetitions: int = 3) -> list[Report]:
    say("the small cluster")
    with backup_site(*((0.1, 5_000_000) if quick else SMALL), say) as site:
        small = _side_by_side(site, say, 1 if quick else repetitions)
    say("the large cluster")
    with backup_site(*((0.3, 50_000_000) if quick else LARGE), say) as site:
        large = _side_by_side(site, say, 1 if quick else repetitions)
    return [_report(small), _report(large, small)]


class _Measurements:
    def __init__(self, size: int) -> None:
        self.size = size
        self.bare: list[float] = []
        self.outcomes: list[Outcome] = []

    @property
    def measured(self) -> list[Measured]:
        return [
            Measured(
                one.copy_bytes or 0,
                one.copy_rate or 1.0,
                one.replay_bytes or 0,
                one.replay_rate or 1.0,
                (one.rto_ms or 0) / 1000,
            )
            for one in self.outcomes
        ]


def _side_by_side(site: BackupSite, say: Callable[[str], None], repetitions: int) -> _Measurements:
    questions.refresh(site.context)
    site.pgbackrest("--type=full", "backup")
    _beat(site)
    found = _Measurements(site.size())
    for _ in range(repetitions):
        found.bare.append(_bare(site))
        say(f"{BARE}: {found.bare[-1]:.1f} s")
        run_id = str(uuid4())
        name = site.context.stanza.name
        request = ExerciseRequest("manual", name, "latest", run_id, run_id, 1_800_000, 900_000)
        outcome = runner.run(site.context, request, lambda line: None, lambda fraction: None)
        if outcome.rto_ms is None:
            raise SystemExit(f"the exercise failed: {outcome.reason}")
        found.outcomes.append(outcome)
        say(f"{EXERCISE}: {_part(outcome):.1f} s of {outcome.rto_ms / 1000:.1f} s")
    return found


def _part(outcome: Outcome) -> float:
    return sum(outcome.phases[name] for name in ("restore", "replay", "promote"))


def _report(found: _Measurements, small: _Measurements | None = None) -> Report:
    rtos = tuple((one.rto_ms or 0) / 1000 for one in found.outcomes)
    report = Report(f"Restore of {found.size / 1e9:.2f} GB", base=BARE)
    report.timings = [
        Timing(BARE, tuple(found.bare), found.size),
        Timing(EXERCISE, tuple(_part(one) for one in found.outcomes), found.size),
        Timing(RTO, rtos, found.size),
    ]
    report.targets = [
        Target(
            "the exercise's restore over the bare one",
            report.timing(EXERCISE).median / report.timing(BARE).median,
            FACTOR,
        )
    ]
    newest = found.outcomes[-1]
    if small is not None:
        predicted = forecast.predict(newest.copy_bytes or 0, newest.replay_bytes or 0, small.measured)
        at_100 = forecast.predict(LARGE_BYTES, newest.replay_bytes or 0, found.measured)
        assert predicted is not None
        assert at_100 is not None
        off = abs(predicted.seconds / report.timing(RTO).median - 1)
        # Of a small cluster, where a round is a second, a median is all that can be told.
        worst = max(_part(one) / bare for one, bare in zip(found.outcomes, found.bare, strict=True))
        report.targets.append(Target("the same in the worst round", worst, FACTOR))
        report.targets.append(Target("forecast from the small exercise, off by", off, FORECAST))
        report.notes = [
            f"predicted {predicted.seconds:.1f} s, measured {report.timing(RTO).median:.1f} s",
            f"100 GB extrapolated: {at_100.seconds:.0f} s at "
            f"{LARGE_BYTES / at_100.copy_seconds / 1e6:.0f} MB/s, promised are 1800 s",
        ]
    report.facts = {"phases": [dict(one.phases) for one in found.outcomes]}
    return report


def _bare(site: BackupSite) -> float:
    """What somebody would type: restore the newest set to the end of the archive, start, wait for writes."""
    with scratch(site.settings, "bench", f"b{uuid4().hex[:6]}") as here:
        reader = workspace.open_reader(site.context, here)
        command = ["restore", "--archive-mode=off", "--type=default", "--log-level-console=warn"]
        began = time.monotonic()
        ended = workspace.launcher(site.context).run(
            [
                reader.pgbackrest.binary,
                f"--config={reader.pgbackrest.config_file}",
                f"--stanza={reader.stanza.name}",
                *command,
            ]
        )
        if ended.code:
            raise SystemExit(f"pgbackrest restore ended with {ended.code}: {ended.stdout[-500:]}")
        server = rehearsal.server_of(site.context, here)
        with server.running():
            server.wait_promoted(600)
            return time.monotonic() - began


def _beat(site: BackupSite) -> None:
    """Heartbeats, and an archive that has them."""
    with (
        postgres.session(site.product.url("ops_agent")) as product,
        postgres.session(site.settings.require("database_url").replace("ops_worker", "ops_agent")) as ops,
    ):
        for _ in range(2):
            heartbeat.record_heartbeat(product, ops, site.context.stanza.name)
    with site.product.superuser() as superuser:
        superuser.execute("SELECT pg_switch_wal()")
    t0 = datetime.now(UTC)

    def archived() -> bool:
        with postgres.session(site.context.ops_url) as ops:
            point = observe(site.context).recovery_point(ops, t0)
        return point is not None

    wait_until(archived, 120, "the heartbeats are archived", interval=0.5)
