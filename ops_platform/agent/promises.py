"""What backups.yaml promises, as the limits that alerts compare with."""

from __future__ import annotations

from datetime import timedelta

from ops_platform.agent.knowledge import Targets
from ops_platform.backup.cron import longest_pause
from ops_platform.backup.stanza import KINDS, Stanza


def targets(stanza: Stanza) -> Targets:
    """Limits only of the kinds that have a schedule."""
    return Targets(
        rpo_seconds=float(stanza.rpo_target_seconds),
        freshness={
            kind: (pause + grace(pause)).total_seconds()
            for kind in KINDS
            if stanza.schedules.get(kind) is not None
            for pause in (longest_pause(stanza.crons(kind)),)
        },
    )


def grace(pause: timedelta) -> timedelta:
    """How much later than due a backup may be: hourly 1 h, daily 2 h, weekly and rarer 6 h."""
    if pause <= timedelta(hours=2):
        return timedelta(hours=1)
    return timedelta(hours=2 if pause <= timedelta(days=2) else 6)
