"""The watch for changes of a catalogue, so that the newest reference is not older than the newest change.

A restored copy is compared with the newest reference from before its moment. A table that was made since
then would be a difference that nobody can explain. Taking the reference is the job ``dr_reference``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime, timedelta

from ops_platform.backup.stanza import BackupContext
from ops_platform.clients import postgres
from ops_platform.dr.reference import capture, reference_store
from ops_platform.dr.reference.reference_store import Newest

FREE_IN_AN_HOUR = 12
"""References that changes may cause at once; a product that goes on changing gets one in PAUSE."""
PAUSE = timedelta(minutes=5)
"""Pause between references of a catalogue that goes on changing."""
RETRY = timedelta(minutes=15)
"""Pause between attempts that fail; one for a stanza without any reference is left to the hourly schedule."""


def due(ctx: BackupContext, now: datetime) -> str | None:
    """Return a key of the change for which no reference was taken yet; None: none is due.

    Only reads. Raises Unavailable when the source or the ops database is away.
    """
    stanza = ctx.stanza.cluster
    with postgres.session(ctx.ops_url, application="ops-platform reference") as ops:
        newest = reference_store.newest(ops, stanza)
    if newest is not None and must_wait(newest, now):
        return None
    marks = capture.change_marks(ctx)
    if newest is not None and newest.change_marks == marks:
        return None
    return _key(marks, newest, now)


def must_wait(newest: Newest, now: datetime) -> bool:
    """Tell whether the stanza has had so many references that even a changed catalogue waits for the next."""
    return newest.in_last_hour >= FREE_IN_AN_HOUR and now - newest.taken_at < PAUSE


def _key(marks: Mapping[str, str], newest: Newest | None, now: datetime) -> str:
    """Name the change, the reference that lacks it, and the attempt: a failed one is repeated after RETRY."""
    since = None if newest is None else newest.taken_at.isoformat()
    attempt = 0 if newest is None else int(now.timestamp() // RETRY.total_seconds())
    return hashlib.sha256(json.dumps([dict(marks), since, attempt], sort_keys=True).encode()).hexdigest()[:24]
