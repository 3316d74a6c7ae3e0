"""The facts that loops write and metrics show, and for how long each may be told.

Only the whole and its times; which facts there are, how they are read and how they are shown is in
``metrics``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ops_platform.agent.metrics import (
    AuditMetrics,
    BackupMetrics,
    DrMetrics,
    GdprMetrics,
    OpsDatabaseReader,
    SloMetrics,
    Source,
    SystemMetrics,
    Targets,
)

TURNS = 4
"""A fact outlives this many refreshes without a new sight of it."""
GAP_TURNS = 4
"""The whole archive is looked at once in this many refreshes: it is large, and a gap does not go away."""
CERTIFICATE_SECONDS = 300.0
"""How often certificates are read."""


@dataclass(frozen=True)
class Knowledge:
    """Hold what the agent knows, by duty."""

    backup: BackupMetrics
    dr: DrMetrics
    slo: SloMetrics
    audit: AuditMetrics
    gdpr: GdprMetrics
    system: SystemMetrics

    @property
    def sources(self) -> tuple[Source, ...]:
        """List all that show metrics."""
        return (self.backup, self.dr, self.slo, self.audit, self.gdpr, self.system)

    @property
    def readers(self) -> tuple[OpsDatabaseReader, ...]:
        """List all that read the ops database; ``slo`` has a loop of its own, for it needs documents too.

        ``system`` is the last: the age that it shows is that of a whole look.
        """
        return (self.backup, self.dr, self.audit, self.gdpr, self.system)


def knowledge(targets: Mapping[str, Targets], refresh_seconds: float) -> Knowledge:
    """Make empty knowledge of these stanzas; facts are refreshed every ``refresh_seconds``."""
    good_for = TURNS * refresh_seconds
    return Knowledge(
        backup=BackupMetrics(targets, good_for, gaps_good_for=GAP_TURNS * good_for),
        dr=DrMetrics({stanza: promised.rto_seconds for stanza, promised in targets.items()}, good_for),
        slo=SloMetrics(good_for),
        audit=AuditMetrics(good_for),
        gdpr=GdprMetrics(good_for),
        system=SystemMetrics(good_for, certificates_good_for=3 * CERTIFICATE_SECONDS),
    )
