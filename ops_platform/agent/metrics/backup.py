"""Metrics of backups: from the repository, the stanza's server and the ops database.

The loops that look at repository and server are in ``agent.loops``, what is computed of them in ``backup``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ops_platform.agent.expiring_value import ExpiringValue
from ops_platform.agent.metrics.archiving import ArchivingState
from ops_platform.agent.metrics.definition import Sample, counter, gauge, known_sample
from ops_platform.agent.metrics.index import IndexState
from ops_platform.agent.metrics.proof import ReadingState
from ops_platform.agent.metrics.window import WindowState
from ops_platform.backup.recovery_point import rpo
from ops_platform.backup.repository import Repository
from ops_platform.backup.stanza import KINDS, cluster_of
from ops_platform.backup.wal import Lineage
from ops_platform.clients.postgres import Connection

_KIND = ("stanza", "kind")
_STANZA = ("stanza",)

METRICS = (
    gauge("backup_duration_ms", "Duration of the newest completed backup of this kind.", _KIND),
    gauge(
        "backup_size_bytes", "Size of the cluster as the newest completed backup of this kind saw it.", _KIND
    ),
    gauge(
        "backup_last_success_timestamp_seconds",
        "Stop time of the newest set of this kind, as the repository has it.",
        _KIND,
    ),
    gauge("backup_sets", "Sets of this kind in the repository.", _KIND),
    gauge("backup_damaged_sets", "Sets in the repository with page checksum errors.", _STANZA),
    gauge(
        "backup_incomplete_sets",
        "Sets that lack stored files or hold damaged ones, with no newer whole full to make up for them.",
        _STANZA,
    ),
    gauge(
        "backup_freshness_limit_seconds",
        "Age at which a kind is stale; a stronger kind counts for it.",
        _KIND,
    ),
    counter(
        "backup_runs_total",
        "Backup runs by how they ended, counted in the ops database.",
        (*_KIND, "status"),
    ),
    gauge("backup_last_run_failed", "1 when the newest finished run of this kind failed.", _KIND),
    gauge("backup_running_since_timestamp_seconds", "Start of the backup that runs now.", _KIND),
    gauge("backup_rpo_seconds", "Data that would be lost if the cluster died now.", _STANZA),
    gauge("backup_rpo_known", "1 when backup_rpo_seconds could be determined.", _STANZA),
    gauge("backup_rpo_target_seconds", "The RPO that backups.yaml promises.", _STANZA),
    gauge("backup_wal_gap_segments", "WAL segments missing from the archive since the oldest set.", _STANZA),
    gauge("backup_heartbeat_timestamp_seconds", "Time of the newest heartbeat row.", _STANZA),
    gauge(
        "backup_clock_skew_seconds",
        "Seconds that the clock of the stanza's server is ahead of the agent's; behind is negative.",
        _STANZA,
    ),
    gauge("backup_database_up", "1 when the stanza's server answers.", _STANZA),
    gauge("backup_repository_up", "1 when the repository could be listed.", _STANZA),
    gauge("backup_repository_seen_age_seconds", "Age of the newest listing of the archive.", _STANZA),
    gauge("backup_repository_encrypted", "1 when the repository says it is encrypted.", _STANZA),
    gauge("backup_repository_locked", "1 when bucket and objects are under object lock.", _STANZA),
    gauge("backup_place_own", "1 when the repository is known to share its place with no other.", _STANZA),
)

_RUNS = """
    SELECT stanza, requested_kind AS kind, status, count(*) AS runs, min(started_at) AS since
    FROM backup_reports WHERE requested_kind <> 'wal_archive'
    GROUP BY stanza, requested_kind, status
"""
_LAST_RUNS = """
    SELECT DISTINCT ON (stanza, requested_kind) stanza, requested_kind AS kind, status = 'failed' AS failed
    FROM backup_reports WHERE requested_kind <> 'wal_archive' AND status <> 'running'
    ORDER BY stanza, requested_kind, opened_at DESC
"""
_LAST_SETS = """
    SELECT DISTINCT ON (stanza, kind) stanza, kind, duration_ms, size_bytes
    FROM backup_reports WHERE kind <> 'wal_archive' AND status = 'completed'
    ORDER BY stanza, kind, completed_at DESC
"""
_NEWEST_HEARTBEATS = """
    SELECT stanza, at FROM unnest(%s::text[]) AS wanted (stanza)
    CROSS JOIN LATERAL (
        SELECT max(beat_at) AS at FROM heartbeat_positions AS p WHERE p.stanza = wanted.stanza
    ) AS newest
    WHERE at IS NOT NULL
"""


@dataclass(frozen=True)
class Targets:
    """Promises of backups.yaml for a stanza, in seconds.

    ``freshness``: the limit of each kind that has a schedule.
    """

    rpo_seconds: float
    rto_seconds: float
    freshness: Mapping[str, float]
    retention_seconds: float


@dataclass(frozen=True)
class SetSummary:
    """Sets of one stanza as ``info`` lists them; newest stop time (Unix seconds) and count by kind."""

    last_success: Mapping[str, float]
    counts: Mapping[str, int]
    damaged: int
    encrypted: bool


@dataclass(frozen=True)
class KindReport:
    """Runs of one kind of one stanza, as the ops database holds them; None is absent."""

    runs: Mapping[str, int]
    last_run_failed: bool | None = None
    duration_ms: int | None = None
    size_bytes: int | None = None
    running_since: datetime | None = None


class StanzaState:
    """Facts that loops read of one stanza, kept for ``good_for`` seconds after each look.

    The repository is looked at less often: what it shows is known for ``looks_good_for`` seconds. Its
    lock and its place are looked at least often, and known for ``lock_good_for`` seconds.
    """

    def __init__(
        self,
        targets: Targets,
        good_for: float,
        looks_good_for: float,
        lock_good_for: float,
        *,
        of_server: bool = True,
    ) -> None:
        """``of_server`` False: of a further repository; facts about the server are not kept twice."""
        self.targets = targets
        self.database_up: ExpiringValue[bool] = ExpiringValue(good_for)
        self.archiving = ArchivingState(good_for, looks_good_for, of_server=of_server)
        self.index = IndexState(looks_good_for)
        self.window = WindowState(looks_good_for, timedelta(seconds=targets.retention_seconds))
        self.repository_up: ExpiringValue[bool] = ExpiringValue(looks_good_for)
        self.sets: ExpiringValue[SetSummary] = ExpiringValue(looks_good_for)
        self.damage: ExpiringValue[Mapping[str, str]] = ExpiringValue(None)
        """Label of a set -> what is wrong with its stored files, as the newest look found it."""
        self.reading = ReadingState(good_for)
        self.incomplete_sets: ExpiringValue[int] = ExpiringValue(looks_good_for)
        self.wal_gap: ExpiringValue[int] = ExpiringValue(looks_good_for)
        self.locked: ExpiringValue[bool] = ExpiringValue(lock_good_for)
        self.own_place: ExpiringValue[bool] = ExpiringValue(lock_good_for)
        self.recovery_point: ExpiringValue[float] = ExpiringValue(None)
        """Time (Unix seconds) of the newest heartbeat that the contiguous archive covers. What is once
        in the archive stays there: the data loss computed from it is never too small while nothing
        newer can be seen."""
        self.heartbeat_at: ExpiringValue[float] = ExpiringValue(None)
        self.clock_skew: ExpiringValue[float] = ExpiringValue(good_for)

    def samples(self, stanza: str, now: float) -> Iterator[Sample]:
        """Yield what is known of ``stanza`` at ``now`` (Unix seconds), and what is promised."""
        labels = (stanza,)
        yield Sample("backup_rpo_target_seconds", labels, self.targets.rpo_seconds)
        for kind, limit in self.targets.freshness.items():
            yield Sample("backup_freshness_limit_seconds", (stanza, kind), limit)
        yield from self._repository_samples(stanza)
        point = self.recovery_point.get()
        if point is not None and point - now > rpo.CLOCK_SLACK.total_seconds():
            # The clock of the server is ahead: that nothing would be lost is not known.
            point = None
        yield Sample("backup_rpo_known", labels, point is not None)
        if point is not None:
            yield Sample("backup_rpo_seconds", labels, max(0.0, now - point))
        yield from known_sample("backup_heartbeat_timestamp_seconds", labels, self.heartbeat_at.get())
        yield from known_sample("backup_clock_skew_seconds", labels, self.clock_skew.get())
        yield from known_sample("backup_database_up", labels, self.database_up.get())
        yield from self.archiving.samples(stanza)
        yield from self.index.samples(stanza)
        yield from self.window.samples(stanza, now, point)

    def _repository_samples(self, stanza: str) -> Iterator[Sample]:
        yield from known_sample("backup_repository_up", (stanza,), self.repository_up.get())
        yield from known_sample("backup_repository_seen_age_seconds", (stanza,), self.wal_gap.age())
        yield from known_sample("backup_wal_gap_segments", (stanza,), self.wal_gap.get())
        yield from known_sample("backup_repository_locked", (stanza,), self.locked.get())
        yield from known_sample("backup_place_own", (stanza,), self.own_place.get())
        yield from known_sample("backup_incomplete_sets", (stanza,), self.incomplete_sets.get())
        yield from self.reading.samples(stanza)
        summary = self.sets.get()
        if summary is None:
            return
        yield Sample("backup_repository_encrypted", (stanza,), summary.encrypted)
        yield Sample("backup_damaged_sets", (stanza,), summary.damaged)
        for kind, count in summary.counts.items():
            yield Sample("backup_sets", (stanza, kind), count)
        for kind, stopped_at in summary.last_success.items():
            yield Sample("backup_last_success_timestamp_seconds", (stanza, kind), stopped_at)


class BackupMetrics:
    """Facts about every stanza, and the runs by (stanza, kind), each kept for a while."""

    def __init__(
        self, targets: Mapping[str, Targets], good_for: float, looks_good_for: float, lock_good_for: float
    ) -> None:
        self.stanzas = {
            stanza: StanzaState(
                promised, good_for, looks_good_for, lock_good_for, of_server=cluster_of(stanza) == stanza
            )
            for stanza, promised in targets.items()
        }
        self.reports: ExpiringValue[Mapping[tuple[str, str], KindReport]] = ExpiringValue(good_for)

    def read(self, connection: Connection) -> None:
        """Read the ops database. Raises psycopg.Error."""
        self.reports.put(
            {key: report for key, report in reports(connection).items() if key[0] in self.stanzas}
        )
        for stanza, state in self.stanzas.items():
            state.reading.read(connection, stanza)
        for stanza, at in newest_heartbeats(connection, list(self.stanzas)).items():
            # A heartbeat of the stanza's own loop may be newer than its position here.
            heartbeat_at = self.stanzas[stanza].heartbeat_at
            heartbeat_at.put(max(at.timestamp(), heartbeat_at.get() or 0.0))

    def samples(self, now: float) -> Iterator[Sample]:
        """Yield what is known at ``now`` (Unix seconds)."""
        for stanza, state in self.stanzas.items():
            yield from state.samples(stanza, now)
        for labels, report in (self.reports.get() or {}).items():
            for status, count in report.runs.items():
                yield Sample("backup_runs_total", (*labels, status), count)
            yield from known_sample("backup_last_run_failed", labels, report.last_run_failed)
            yield from known_sample("backup_duration_ms", labels, report.duration_ms)
            yield from known_sample("backup_size_bytes", labels, report.size_bytes)
            yield from known_sample("backup_running_since_timestamp_seconds", labels, report.running_since)


def reports(connection: Connection) -> dict[tuple[str, str], KindReport]:
    """Read the runs by (stanza, kind): counted under the kind asked for, sized under the one made."""
    runs: defaultdict[tuple[str, str], dict[str, int]] = defaultdict(dict)
    fields: defaultdict[tuple[str, str], dict[str, Any]] = defaultdict(dict)
    for row in connection.execute(_RUNS):
        key = (row["stanza"], row["kind"])
        if row["status"] == "running":
            fields[key]["running_since"] = row["since"]
        else:
            runs[key][row["status"]] = row["runs"]
    for row in connection.execute(_LAST_RUNS):
        fields[row["stanza"], row["kind"]]["last_run_failed"] = row["failed"]
    for row in connection.execute(_LAST_SETS):
        fields[row["stanza"], row["kind"]] |= {
            "duration_ms": row["duration_ms"],
            "size_bytes": row["size_bytes"],
        }
    # A status that was never reached is a true zero: the whole table was read.
    zero = {"completed": 0, "failed": 0}
    return {key: KindReport({**zero, **runs[key]}, **fields[key]) for key in {*runs, *fields}}


def newest_heartbeats(connection: Connection, stanzas: Sequence[str]) -> dict[str, datetime]:
    """Read the time of the newest heartbeat of each stanza whose position was recorded."""
    return {row["stanza"]: row["at"] for row in connection.execute(_NEWEST_HEARTBEATS, (list(stanzas),))}


def summarise_sets(repository: Repository, lineage: Lineage | None) -> SetSummary:
    """Count the sets of the current cluster, and find the newest of each kind.

    A damaged set keeps nothing fresh, nor does one of the cluster before an upgrade, nor one that a
    restore left behind. ``lineage`` is None when there is no archive to tell.
    """
    current = repository.current
    sets = [
        backup_set
        for backup_set in repository.sets
        if current is not None and backup_set.database_id == current.id
    ]
    newest = {
        backup_set.kind: backup_set.completed_at
        for backup_set in sorted(rpo.sound_sets(repository), key=lambda backup_set: backup_set.completed_at)
        if lineage is not None and backup_set.lives(lineage)
    }
    return SetSummary(
        last_success={kind: at.timestamp() for kind, at in newest.items()},
        counts={kind: sum(backup_set.kind == kind for backup_set in sets) for kind in KINDS},
        damaged=sum(backup_set.error for backup_set in repository.sets),
        encrypted=repository.encrypted,
    )
