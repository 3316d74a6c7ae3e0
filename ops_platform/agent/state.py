"""State of the agent: the facts that loops write and metrics export, and how long each stays known.

Only the whole and its times are here; the facts of each duty are in ``agent.metrics``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from ops_platform.agent.metrics import (
    AuditMetrics,
    BackupMetrics,
    DrMetrics,
    DutyMetrics,
    GdprMetrics,
    JobFailureMetrics,
    OpsDatabaseReader,
    RetentionMetrics,
    SloMetrics,
    Source,
    SyntheticMetrics,
    SystemMetrics,
    Targets,
)
from ops_platform.housekeeping.calendar import CalendarFile
from ops_platform.settings import Duty, HostSettings

T = TypeVar("T")

KEPT_REFRESHES = 4
"""A fact stays known for this many refreshes that bring no new one."""
REFRESHES_PER_LOOK = 4
"""The repository is looked at once in this many refreshes, sooner when the server archived something."""
PROBE_SECONDS = 15.0
"""Pause between two rounds of probes: each scrape of Prometheus shows a new one."""
CERTIFICATE_SECONDS = 300.0
"""Pause between two readings of the certificates."""
TICKS_SECONDS = 60.0
"""Pause between two looks at the ticks of schedules and sensors: each is a query of its own for Dagster."""
COPIES_SECONDS = 60.0
"""Pause between two looks at the newest seal in the ledger bucket."""
LOCK_SECONDS = 900.0
"""Pause between two looks at the lock of a repository."""


@dataclass(frozen=True)
class AgentState:
    """Facts that the agent knows, by duty."""

    backup: BackupMetrics
    dr: DrMetrics
    slo: SloMetrics
    audit: AuditMetrics
    job_failures: JobFailureMetrics
    duties: DutyMetrics
    gdpr: GdprMetrics
    retention: RetentionMetrics
    synthetic: SyntheticMetrics
    system: SystemMetrics
    host: HostSettings

    @property
    def sources(self) -> tuple[Source, ...]:
        """All of the host's duties that export metrics: with a duty on one host each is exported once."""
        duties: Mapping[Duty, tuple[Source, ...]] = {
            "backup": (self.backup,),
            "dr": (self.dr,),
            "slo": (self.slo, self.synthetic),
            "gdpr": (self.gdpr, self.retention),
            "housekeeping": (self.audit, self.job_failures, self.duties),
        }
        return (*self._of_host(duties), self.system)

    @property
    def readers(self) -> tuple[OpsDatabaseReader, ...]:
        """All of them that read the ops database; ``slo`` has a loop of its own, since it needs documents.

        ``system`` is the last: the age that it exports is that of a complete reading.
        """
        duties: Mapping[Duty, tuple[OpsDatabaseReader, ...]] = {
            "backup": (self.backup,),
            "dr": (self.dr,),
            "gdpr": (self.gdpr, self.retention),
            "housekeeping": (self.audit, self.job_failures, self.duties),
        }
        return (*self._of_host(duties), self.system)

    def _of_host(self, duties: Mapping[Duty, tuple[T, ...]]) -> Iterator[T]:
        for duty, parts in duties.items():
            if self.host.has(duty):
                yield from parts


def initial_state(
    targets: Mapping[str, Targets],
    refresh_seconds: float,
    data_map: Path | None = None,
    product_stanza: str | None = None,
    host: HostSettings | None = None,
    calendar: CalendarFile | None = None,
    stanzas: Sequence[str] = (),
) -> AgentState:
    """Make a state without facts for these stanzas; loops refresh them every ``refresh_seconds``.

    ``data_map``: the file whose terms of retention are watched. ``product_stanza``: that of its product; None
    where it is not known. ``host``: its duties; None: all. ``calendar``: the duties that are watched, those
    of a stanza for each of ``stanzas``, wherever these live.
    """
    host = host or HostSettings()
    good_for = KEPT_REFRESHES * refresh_seconds
    return AgentState(
        backup=BackupMetrics(
            targets,
            good_for,
            looks_good_for=REFRESHES_PER_LOOK * good_for,
            lock_good_for=LOCK_SECONDS + good_for + REFRESHES_PER_LOOK * good_for,
        ),
        dr=DrMetrics({stanza: promised.rto_seconds for stanza, promised in targets.items()}, good_for),
        slo=SloMetrics(good_for),
        audit=AuditMetrics(good_for, bucket_good_for=4 * COPIES_SECONDS),
        job_failures=JobFailureMetrics(good_for),
        duties=DutyMetrics(good_for, calendar, stanzas),
        gdpr=GdprMetrics(good_for),
        retention=RetentionMetrics(good_for, data_map, product_stanza),
        synthetic=SyntheticMetrics(PROBE_SECONDS),
        system=SystemMetrics(
            good_for,
            certificates_good_for=3 * CERTIFICATE_SECONDS,
            ticks_good_for=3 * TICKS_SECONDS,
            receives_alerts=host.has("housekeeping"),
        ),
        host=host,
    )
