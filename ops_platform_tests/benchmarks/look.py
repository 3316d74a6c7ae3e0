"""A look at a large repository, and what an idle stanza costs at S3's list prices.

The archive of the look is real files in a repository on disk, listed by pgBackRest itself. They are empty,
since a listing reads names. Only what the sets are comes from a text: making 840 sets would take a day.
"""

from __future__ import annotations

import functools
import os
import re
import resource
import shutil
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from ops_platform.backup.monitoring import health
from ops_platform.backup.monitoring.observation import Observer, glance
from ops_platform.backup.proof import rolling
from ops_platform.backup.proof.reading_plan import READINGS_PER_RETENTION
from ops_platform.backup.proof.rolling import RunResult
from ops_platform.backup.repository import Repository
from ops_platform.backup.stanza import Kind
from ops_platform.backup.stanza.context import BackupContext, open_context
from ops_platform.backup.taking import execution
from ops_platform.backup.taking.report import BackupRequest
from ops_platform.backup.wal import Geometry, Segment, format_lsn
from ops_platform.clients.pgbackrest import PgBackRest, StanzaInfo, StoredEntry
from ops_platform.dr.plan import restore_plan
from ops_platform.dr.plan.recovery_target import RecoveryTarget
from ops_platform.local.host import programs
from ops_platform.settings import load_settings
from ops_platform_tests.agent.process import AgentProcess
from ops_platform_tests.benchmarks.measure import Report, Target, Timing, timed
from ops_platform_tests.counting_proxy import MONTH_SECONDS, Requests, counting_proxy, dollars
from ops_platform_tests.services import OpsDatabases, Services, short_directory

SEGMENTS, NEW = 210_000, 10
LOOKS = 5
LOOK_CPU_SECONDS, LOOK_LISTS = 0.05, 3
EMERGENCY_SECONDS = 2.0
IDLE_DOLLARS = 1.0
IDLE_SECONDS, QUICK_IDLE_SECONDS = 600.0, 130.0
SETTLE_SECONDS = 70.0
REACTION_SECONDS = 75.0
"""After a backup the agent looks at its files and at the index within a minute."""
HOURS = 720
SEGMENT_READ = re.compile(r"GET /[^?]*/archive/[^?]*-[0-9a-f]{40}[^?]*$")
GEOMETRY = Geometry()
STANZA = "product"
ARCHIVE_ID = "15-1"


def run(say: Callable[[str], None], *, quick: bool) -> list[Report]:
    return [
        _look(say, 21_000 if quick else SEGMENTS),
        _idle(say, QUICK_IDLE_SECONDS if quick else IDLE_SECONDS),
    ]


# --- a look -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Counted(PgBackRest):
    """pgBackRest on a repository on disk, whose sets are made up; it counts listings."""

    answer: Mapping[str, Any] = field(default_factory=dict)
    listings: list[str] = field(default_factory=list)

    def info(self) -> StanzaInfo:
        return StanzaInfo.parse(self.answer)

    def repo_get(self, path: str) -> str:
        return path

    def repo_ls(self, path: str, recurse: bool = False) -> dict[str, StoredEntry]:
        self.listings.append(path)
        return super().repo_ls(path, recurse)


def _look(say: Callable[[str], None], segments: int) -> Report:
    root = short_directory()
    try:
        say(f"making an archive of {segments} segments")
        ctx, counted = _repository(root, segments)
        report = Report("a look at a large archive", "the first look")
        observer = Observer(ctx)
        first, cpu, children = _cost(lambda: observer.look(damage_of=_unlooked, unreadable={}))
        report.timings.append(Timing("the first look", (first,)))
        report.facts |= {"first_cpu_seconds": cpu, "first_pgbackrest_cpu_seconds": children}
        seconds, own, theirs, lists = [], [], [], []
        for number in range(LOOKS):
            last = segments + number * NEW
            _put(root, range(last, last + NEW))
            counted.listings.clear()
            wall, cpu, children = _cost(
                functools.partial(
                    observer.look, names_age=60.0 * (number % 2), damage_of=_unlooked, unreadable={}
                )
            )
            seconds.append(wall)
            own.append(cpu)
            theirs.append(children)
            lists.append(len(counted.listings))
            say(
                f"a look with {NEW} new segments: {wall:.2f} s, {cpu * 1000:.0f} ms of CPU, {lists[-1]} LISTs"
            )
        other = timed(lambda: Observer(ctx).look(damage_of=_unlooked, unreadable={}))
        report.timings += [
            Timing(f"a look with {NEW} new segments", tuple(seconds)),
            Timing("the first look of another process", (other,)),
        ]
        counted.listings.clear()
        emergency = timed(lambda: restore_plan.choose(glance(ctx), RecoveryTarget.latest(), None))
        report.timings.append(Timing("an emergency's own listing", (emergency,)))
        report.targets = [
            Target("CPU of a look, median", statistics.median(own) * 1000, LOOK_CPU_SECONDS * 1000, "ms"),
            Target("LISTs of a look", max(lists), LOOK_LISTS, "LISTs"),
            Target("an emergency's own listing", emergency, EMERGENCY_SECONDS, "s"),
        ]
        report.facts |= {
            "segments": segments,
            "pgbackrest_cpu_seconds_of_a_look": max(theirs),
            "emergency_lists": len(counted.listings),
        }
        report.notes.append(
            f"{segments} segments in {segments // GEOMETRY.per_log + 1} folders; the processes of pgBackRest "
            f"took up to {max(theirs) * 1000:.0f} ms of CPU more"
        )
        return report
    finally:
        shutil.rmtree(root)


def _unlooked(repository: Repository) -> Mapping[str, str]:
    """The files of the sets are looked at in a loop of their own."""
    return {}


def _cost(work: Callable[[], object]) -> tuple[float, float, float]:
    """Wall seconds of ``work``, CPU seconds of this process, and of its children."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    own = time.process_time()
    wall = timed(work)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    theirs = after.ru_utime + after.ru_stime - children.ru_utime - children.ru_stime
    return wall, time.process_time() - own, theirs


def _repository(root: Path, segments: int) -> tuple[BackupContext, Counted]:
    config = root / "pgbackrest.conf"
    config.write_text(
        f"[global]\nrepo1-path={root}/repo\nlock-path={root}/lock\nspool-path={root}/spool\n"
        f"log-level-file=off\n[{STANZA}]\npg1-path={root}/pg\n"
    )
    settings = load_settings({"PATH": os.environ["PATH"], "OPS_STATE_DIR": str(root / "state"),
                              "OPS_PGBACKREST_CONFIG_FILE": str(config)})  # fmt: skip
    _put(root, range(3, segments))
    ctx = open_context(settings, STANZA)
    counted = Counted(
        programs.find("pgbackrest"), config, STANZA, None, ctx.pgbackrest.environment, answer=_info(segments)
    )
    return replace(ctx, pgbackrest=counted), counted


def _put(root: Path, numbers: range) -> None:
    archive = root / "repo" / "archive" / STANZA / ARCHIVE_ID
    for number in numbers:
        segment = Segment(1, number)
        folder = archive / GEOMETRY.folder(segment)
        if number % GEOMETRY.per_log == 0 or number == numbers[0]:
            folder.mkdir(parents=True, exist_ok=True)
        file = folder / f"{GEOMETRY.name(segment)}-{'0' * 40}.lz4"
        file.touch()
        os.truncate(file, 70_000)  # a hole, as large as the least that lz4 makes of a segment


def _info(segments: int) -> dict[str, Any]:
    """Five weeks of hourly sets, a full each week."""
    began = datetime.now(UTC) - timedelta(days=35)
    sets: list[dict[str, Any]] = []
    full = ""
    for number in range(840):
        at, kind = began + timedelta(hours=number), "incr" if number % 168 else "full"
        own = f"{at:%Y%m%d-%H%M%S}{'I' if number % 168 else 'F'}"
        full = full if number % 168 else own
        segment = 3 + number * (segments - 10) // 840
        name, stop = GEOMETRY.name(Segment(1, segment)), int(at.timestamp())
        sets.append({
            "archive": {"start": name, "stop": name},
            "database": {"id": 1, "repo-key": 1},
            "error": False,
            "info": {"delta": 10, "size": 100, "repository": {"delta": 4, "size": 40}},
            "label": own if kind == "full" else f"{full}_{own}",
            "lsn": {"start": format_lsn(GEOMETRY.start(segment) + 40),
                    "stop": format_lsn(GEOMETRY.start(segment) + 400)},
            "prior": None if kind == "full" else full,
            "reference": None if kind == "full" else [full],
            "timestamp": {"start": stop - 20, "stop": stop},
            "type": kind,
        })  # fmt: skip
    database = {"id": 1, "repo-key": 1, "system-id": 7000, "version": "15"}
    return {"name": STANZA, "backup": sets, "cipher": "none", "db": [database], "status": {"code": 0}}


# --- idle stanzas -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Part:
    """Requests of something that a stanza does ``times`` a month."""

    name: str
    times: float
    kinds: Mapping[str, float]

    @property
    def dollars(self) -> float:
        return self.times * dollars(self.kinds)


@dataclass
class Idle:
    """A stanza on which nobody works, with its agent, behind a proxy that counts."""

    context: BackupContext
    requests: Requests
    a_second: Mapping[str, float] = field(default_factory=dict)
    """Requests of a second in which nothing but the agent runs."""
    lines: Sequence[str] = ()
    """What was asked for in the newest count."""

    def beyond(self, work: Callable[[], object], settle: float = 0.0) -> Mapping[str, float]:
        """Count what ``work`` causes, also in the agent within ``settle`` seconds."""
        self.requests.take()
        began = time.monotonic()
        work()
        time.sleep(settle)
        self.lines = tuple(self.requests.lines)
        seconds, kinds = time.monotonic() - began, self.requests.take()
        return {
            kind: max(0.0, count - seconds * self.a_second.get(kind, 0.0)) for kind, count in kinds.items()
        }

    def back_up(self, kind: Kind) -> None:
        run_id = str(uuid4())
        request = BackupRequest(self.context.stanza.name, kind, run_id, run_id, "cli")
        execution.run_backup(self.context, request, lambda line: None, lambda done: None)


def _idle(say: Callable[[str], None], seconds: float) -> Report:
    with _idle_stanza(say) as idle:
        time.sleep(SETTLE_SECONDS)
        idle.requests.take()
        say(f"counting the requests of an idle stanza for {seconds:.0f} s")
        time.sleep(seconds)
        idle.a_second = {kind: count / seconds for kind, count in idle.requests.take().items()}
        parts = [Part("agent and archiving", MONTH_SECONDS, idle.a_second)]
        say("a backup, the checks, the verification")
        backup = idle.beyond(lambda: idle.back_up("incremental"), REACTION_SECONDS)
        parts.append(Part("hourly incremental", HOURS, backup))
        examined = idle.beyond(lambda: health.examine(idle.context, datetime.now(UTC)))
        parts.append(Part("quarter-hourly checks", 4 * HOURS, examined))
        parts += _verification(idle)
    report = Report("idle stanzas at S3's list prices", "counted")
    report.timings.append(Timing("counted", (seconds,)))
    total = sum(part.dollars for part in parts)
    report.targets.append(Target("an idle stanza a month", total, IDLE_DOLLARS, "$"))
    report.facts |= {part.name: {"times": part.times, "requests": dict(part.kinds)} for part in parts}
    for part in parts:
        scale = 60 if part.times == MONTH_SECONDS else 1
        listed = ", ".join(f"{kind} {scale * count:.1f}" for kind, count in sorted(part.kinds.items()))
        each = "a minute" if scale == 60 else f"{part.times:.0f} times a month"
        report.notes.append(f"{part.name}: {part.dollars:.2f} $; {listed} {each}")
    return report


def _verification(idle: Idle) -> list[Part]:
    """Count a run that has read everything before, and what reading one object costs."""
    read: list[RunResult] = []

    def run() -> None:
        read.append(rolling.run(idle.context, lambda line: None))

    first = idle.beyond(run)
    segments = sum(1 for line in idle.lines if SEGMENT_READ.match(line))
    again = idle.beyond(run)
    assert read[0].complete
    sets = len(Repository.parse(STANZA, idle.context.pgbackrest.info()).sets)
    # A segment a minute, and a set an hour, each read again and again until its retention is over.
    of_a_set = (first.get("GET", 0.0) - again.get("GET", 0.0) - segments) / sets
    return [
        Part("daily verification", 30, again),
        Part("reading segments", MONTH_SECONDS / 60 * READINGS_PER_RETENTION, {"GET": 1.0}),
        Part("reading sets", HOURS * READINGS_PER_RETENTION, {"GET": max(0.0, of_a_set)}),
    ]


@contextmanager
def _idle_stanza(say: Callable[[str], None]) -> Iterator[Idle]:
    """A stanza with a full, and its agent; nothing else writes."""
    say("starting a cluster, S3 behind a counting proxy, and the agent")
    services = Services.start()
    try:
        store = services.object_store()
        cluster = services.cluster("product", settings={"archive_timeout": "60"})
        ops = services.cluster("ops", archive=False, roles="ops")
        database = OpsDatabases(ops).create()
        with counting_proxy(
            store.ports["s3"],
            store.certificate.certificate,
            store.certificate.key,
            store.bucket("backup"),
            f"{store.bucket('ledger')}/repository/",
        ) as (port, requests):
            through = {"OPS_S3_ENDPOINT_URL": f"https://127.0.0.1:{port}"}
            settings = services.settings_for(cluster, database=database, environ=through)
            idle = Idle(open_context(settings, cluster.name), requests)
            idle.back_up("full")
            slow = {
                "OPS_HEARTBEAT_SECONDS": "10",
                "OPS_AGENT_REFRESH_SECONDS": "15",
                "OPS_SEAL_SECONDS": "60",
            }
            agents = services.settings_for(cluster, database=database, role="ops_agent", environ=through)
            agent = AgentProcess(agents, services.root / "agent.log", slow)
            agent.start()
            try:
                yield idle
            finally:
                agent.close()
    finally:
        services.close()
