"""Which runs begin first when more wait than may run at once (``dagster/priority``; higher goes first).

The queue itself, and the limit of each lane, are in ``dagster.yaml``.
"""

from datetime import datetime, timedelta

from dagster._core.storage.tags import PRIORITY_TAG

LANE_TAG = "ops/lane"
"""Runs of one lane may not fill all places of the queue: see ``tag_concurrency_limits``."""
NEAR = timedelta(hours=24)
"""A request whose deadline is nearer than this goes before everything else."""
BEFORE_ALL = {PRIORITY_TAG: "20"}
BACKUP = {PRIORITY_TAG: "10"}
ERASURE = {PRIORITY_TAG: "5"}
EXPORT = {PRIORITY_TAG: "-5", LANE_TAG: "export"}
WHEN_IDLE = {PRIORITY_TAG: "-10"}
"""Reads much and is not urgent: everything else goes before it."""


def of_request(due_at: datetime, now: datetime) -> dict[str, str]:
    """Return the tags of a request's run beyond its job's: none, until its deadline is near.

    They are those of the moment in which the run is asked for; one that waits in the queue keeps them. A near
    one has a lane of its own, or others' exports would hold it up.
    """
    return {**BEFORE_ALL, LANE_TAG: "urgent"} if due_at - now < NEAR else {}
