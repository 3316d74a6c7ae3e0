"""The facts that loops write and exporters read, and for how long each may be told.

Only values; how they are learnt is in ``watches`` and ``observation``, how they are shown in
``exporters``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from ops_platform.agent.expiring_value import Slot
from ops_platform.agent.probes import DagsterHealth, Expiry

TURNS = 4
"""A fact outlives this many refreshes without a new sight of it."""
GAP_TURNS = 4
"""The whole archive is looked at once in this many refreshes: it is large, and a gap does not go away."""


@dataclass(frozen=True)
class SetsSeen:
    """What ``info`` says of one stanza: per kind the newest stop time (Unix seconds) and the count."""

    last_success: Mapping[str, float]
    counts: Mapping[str, int]
    damaged: int
    encrypted: bool


@dataclass(frozen=True)
class Archiver:
    """pg_stat_archiver: ``failing`` when the newest attempt was a failed one."""

    failed_count: int
    failing: bool
    last_archived_wal: str | None = None


@dataclass(frozen=True)
class KindReport:
    """What the ops database holds on the runs of one kind of one stanza; None is absent."""

    runs: Mapping[str, int]
    last_run_failed: bool | None = None
    duration_ms: int | None = None
    size_bytes: int | None = None
    running_since: datetime | None = None


@dataclass(frozen=True)
class ExerciseState:
    """The exercises of one scenario of one stanza; None is absent. Seconds, and milliseconds as recorded."""

    expected_since: datetime | None
    rto_ms: int | None = None
    rpo_ms: int | None = None
    last_success_at: datetime | None = None
    last_failed: bool | None = None
    predicted_rto_seconds: float | None = None
    """Only of the scenario that measures throughput."""


@dataclass(frozen=True)
class FigureState:
    """An objective's newest figure of one window; None is absent: no events, or not known. Percent."""

    window: str
    state: str
    good: int | None
    total: int | None
    achievement: float | None
    budget_remaining: float | None


@dataclass(frozen=True)
class ObjectiveState:
    """``measured_at`` is None before the first figure."""

    service: str
    slo: str
    target_percentage: float
    excluded_now: bool
    period: str
    """The window that it is judged over."""
    measured_at: datetime | None = None
    figures: tuple[FigureState, ...] = ()


@dataclass(frozen=True)
class LedgerState:
    unsealed: int
    oldest_unsealed_at: datetime | None
    last_seal_at: datetime | None


@dataclass(frozen=True)
class RequestState:
    """Data subjects' requests of one type; ``entered`` by status, all of them. None is absent."""

    entered: Mapping[str, int]
    oldest_verified_at: datetime | None = None
    """Of those that are open."""
    verification_ms: float | None = None
    processing_ms: float | None = None


@dataclass(frozen=True)
class Deliveries:
    """Notifications by (severity, status), and when the Watchdog last came."""

    counts: Mapping[tuple[str, str], int]
    watchdog_at: datetime | None


@dataclass(frozen=True)
class Targets:
    """What backups.yaml promises for a stanza, in seconds; limits by kind, only of kinds with a schedule."""

    rpo_seconds: float
    rto_seconds: float
    freshness: Mapping[str, float]


@dataclass
class StanzaKnowledge:
    targets: Targets
    database_up: Slot[bool]
    archiver: Slot[Archiver]
    repository_up: Slot[bool]
    sets: Slot[SetsSeen]
    wal_gap: Slot[int]
    recovery_point: Slot[float] = field(default_factory=lambda: Slot(None))
    """Time (Unix seconds) of the newest heartbeat that the contiguous archive covers. What is once
    in the archive stays there: the data loss computed from it is never too small while nothing
    newer can be seen."""
    heartbeat_at: Slot[float] = field(default_factory=lambda: Slot(None))


@dataclass
class Knowledge:
    stanzas: dict[str, StanzaKnowledge]
    ops_up: Slot[bool]
    reports: Slot[Mapping[tuple[str, str], KindReport]]
    exercises: Slot[Mapping[tuple[str, str], ExerciseState]]
    objectives: Slot[Sequence[ObjectiveState]]
    ledger: Slot[LedgerState]
    requests: Slot[Mapping[str, RequestState]]
    deliveries: Slot[Deliveries]
    certificates: Slot[list[Expiry]]
    dagster_up: Slot[bool]
    dagster: Slot[DagsterHealth]


def knowledge(targets: Mapping[str, Targets], refresh_seconds: float) -> Knowledge:
    """Empty knowledge of these stanzas."""
    good_for = TURNS * refresh_seconds
    return Knowledge(
        stanzas={
            name: StanzaKnowledge(
                targets=target,
                database_up=Slot(good_for),
                archiver=Slot(good_for),
                repository_up=Slot(good_for),
                sets=Slot(good_for),
                wal_gap=Slot(GAP_TURNS * good_for),
            )
            for name, target in targets.items()
        },
        ops_up=Slot(good_for),
        reports=Slot(good_for),
        exercises=Slot(good_for),
        objectives=Slot(good_for),
        ledger=Slot(good_for),
        requests=Slot(good_for),
        deliveries=Slot(good_for),
        certificates=Slot(3 * CERTIFICATE_SECONDS),
        dagster_up=Slot(good_for),
        dagster=Slot(good_for),
    )


CERTIFICATE_SECONDS = 300.0
"""How often certificates are read."""
