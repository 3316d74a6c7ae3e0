"""Subjects that must stay erased after a restore: found in the ops database or in the locked ledger.

Erasing them again is the erasure engine's work (``gdpr``); without one, a single tombstone is a
failure: a cluster that brings somebody back must not take traffic.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from ops_platform.clients import object_store, postgres
from ops_platform.clients.postgres import Connection
from ops_platform.dr.ladder import Verification, failed, verdict
from ops_platform.settings import Settings

LEDGER_PREFIX = "tombstones/"
"""Below it, in the ledger bucket: ``<stanza>/<id>``, an encrypted copy of each tombstone."""
_COUNTED = 10_000


@dataclass(frozen=True)
class Tombstones:
    """How many there are for a stanza, and where that was read."""

    count: int
    source: str


def from_ops_database(ops_url: str, stanza: str) -> Tombstones:
    """Raises Unavailable when the ops database is away."""
    with postgres.session(ops_url) as connection:
        row = connection.execute(
            """
            SELECT count(*) AS tombstones FROM erasure_tombstones
            WHERE stanza = %s AND (expires_at IS NULL OR expires_at > now())
            """,
            (stanza,),
        ).fetchone()
    return Tombstones(int(row["tombstones"]) if row else 0, "the ops database")


def since(ops: Connection, stanza: str, moment: datetime) -> bool:
    """Whether anybody has been erased, or began to be, since ``moment``."""
    row = ops.execute(
        """
        SELECT EXISTS (SELECT FROM erasure_tombstones WHERE stanza = %s
                       AND (completed_at IS NULL OR greatest(erased_at, completed_at) > %s)) AS found
        """,
        (stanza, moment),
    ).fetchone()
    return bool(row and row["found"])


def from_ledger(settings: Settings, stanza: str) -> Tombstones:
    """From the copies under object lock; needs no database. Raises an OpsError when S3 is away."""
    store = object_store.from_settings(settings, "ledger")
    found = sum(1 for _ in islice(store.list(f"{LEDGER_PREFIX}{stanza}/"), _COUNTED))
    return Tombstones(found, "the object-locked ledger")


def replay(found: Tombstones, log: Callable[[str], None]) -> Verification:
    """Erase again whoever was erased. Passes when there is nobody."""
    name = "tombstones"
    if found.count == 0:
        return verdict(name, True, f"nobody was erased, says {found.source}", tombstones=0)
    log(f"{found.count} erased subjects would come back, and this version cannot erase them again")
    return failed(
        name,
        f"{found.count} tombstones in {found.source} cannot be applied: this version has no erasure engine; "
        "do not let the restored cluster take traffic",
        tombstones=found.count,
    )
