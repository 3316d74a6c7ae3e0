"""The queues of Celery: the one of each run, and those of a host. Both sides take the names from here."""

from __future__ import annotations

from collections.abc import Iterable

import dagster as dg

from ops_platform.backup.stanza import cluster_of
from ops_platform.defs.ownership import DUTY_TAG
from ops_platform.defs.stanza_jobs import STANZA_TAG
from ops_platform.settings import DUTIES, HostSettings

OF_STANZAS = ("backup", "dr")
"""Duties that are done beside a cluster: each of its stanzas has a queue."""
OTHERS = "housekeeping"
"""The queue of runs that belong to no duty."""


def queue_of(run: dg.DagsterRun) -> str:
    """Name the queue of a run, as "backup.product" or "gdpr". Its duty is in its tag or its assets' keys."""
    keys = sorted(run.asset_selection or ())
    duty = run.tags.get(DUTY_TAG) or next((key.path[0] for key in keys), OTHERS)
    if duty not in DUTIES:
        return OTHERS
    named = run.tags.get(STANZA_TAG) or run.run_config.get("stanza")
    stanza = named or next((key.path[1] for key in keys if len(key.path) > 1), None)
    return f"{duty}.{cluster_of(str(stanza))}" if duty in OF_STANZAS and stanza else duty


def queues_of(host: HostSettings, clusters: Iterable[str]) -> list[str]:
    """List the queues of a host's duties, for the ``clusters`` that live on it."""
    names = list(clusters)
    return [
        queue
        for duty in host.duties
        for queue in (duty, *(f"{duty}.{name}" for name in names if duty in OF_STANZAS))
    ]
