"""The erasure of a subject's rows in a product database: batch by batch, each proved before it is kept.

Whoever is killed goes on where it stopped: a batch and the note of it are one transaction. Nothing is
known here of tombstones, objects, caches or certificates.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

import psycopg

from ops_platform.clients import postgres
from ops_platform.clients.postgres import Connection
from ops_platform.clients.safe_errors import why
from ops_platform.errors import ConfigurationError, Unavailable
from ops_platform.gdpr.data_map import DataMap
from ops_platform.gdpr.lineage import Effect
from ops_platform.gdpr.row_erasure import batch as row_batches
from ops_platform.gdpr.row_erasure import collateral_check as bystanders
from ops_platform.gdpr.row_erasure import materialised_views
from ops_platform.gdpr.row_erasure import passes as row_passes
from ops_platform.gdpr.row_erasure import plan as erasure_plan
from ops_platform.gdpr.row_erasure import residue_exemptions as kept_rows
from ops_platform.gdpr.row_erasure.journal import Journal, Noted, Step
from ops_platform.gdpr.row_erasure.passes import Passes
from ops_platform.gdpr.row_erasure.residue_scan import Residue
from ops_platform.gdpr.row_erasure.statements import Change
from ops_platform.gdpr.schema import Catalogue
from ops_platform.gdpr.subject import Gone, Identity, Times

BATCH = 5000
"""Rows that are changed in one transaction."""
LOCK_TIMEOUT = "60s"


@dataclass(frozen=True)
class Erasing:
    """One erasure. ``erasure_id``: opaque, the same at every attempt.

    ``also``: other values that the subject's identifiers have had since the erasure began, with the key.
    ``replay``: after a restore; rows that came into being after ``cutoff`` are spared where their table
    says when that was. ``named_until``: until when the identifiers were the subject's for sure, where that
    is not ``cutoff``. ``gone``: see ``sparing``, which says whose is what names two people.
    """

    erasure_id: str
    who: Identity
    cutoff: datetime
    replay: bool = False
    also: tuple[Identity, ...] = ()
    named_until: datetime | None = None
    gone: Gone | None = None

    @property
    def names(self) -> tuple[Identity, ...]:
        return (self.who, *self.also)

    @property
    def times(self) -> Times:
        return Times(self.named_until or self.cutoff, self.replay, self.gone)


def erase(
    connection: Connection,
    data_map: DataMap,
    catalogue: Catalogue,
    what: Erasing,
    *,
    batch: int = BATCH,
    progress: Callable[[str, int], None] = lambda place, changed: None,
) -> list[Effect]:
    """Do to every row of the subject what the map says, until none is left; what was done, step by step.

    ``connection`` commits by itself (autocommit). ``progress`` is told after each batch which table it
    was and how many rows have changed in this step so far. Safe to repeat, also after ``forget``.
    Raises CheckFailed when somebody else's row would change, or when rows come faster than they go;
    ConfigurationError when the role or the database lacks what it needs; what psycopg raises.
    """
    if not connection.autocommit:
        raise ValueError("erase needs a connection that commits by itself")
    bystanders.preflight(connection)
    materialised_views.preflight(data_map, catalogue)
    plan = erasure_plan.plan(data_map, catalogue)
    journal = Journal(connection, what.erasure_id)
    with _alone(connection, what.erasure_id):
        journal.open(data_map.version)
        for who in what.names:
            _passes(connection, data_map, catalogue, what, who, batch, progress).run(plan)
        known = journal.steps()
        changes = [change for group in row_passes.groups(plan) for change in group.changes]
        with connection.transaction():
            for change in changes:
                if change.key not in known:
                    journal.found(change.key, 0)
        return _effects(changes, journal.steps())


def remaining(connection: Connection, data_map: DataMap, catalogue: Catalogue, what: Erasing) -> list[Effect]:
    """The steps that still find rows of the subject's; what is kept by law is not among them."""
    return [
        Effect("postgresql", str(change.table), change.role, change.action, rows, 0, rows)
        for who in what.names
        for passes in [
            _passes(connection, data_map, catalogue, what, who, BATCH, lambda place, changed: None)
        ]
        for change, rows in passes.counts(erasure_plan.plan(data_map, catalogue))
        if rows and change.kind != "keep"
    ]


def residue(connection: Connection, data_map: DataMap, catalogue: Catalogue, what: Erasing) -> list[Residue]:
    """Where an identifier still stands, kept rows excepted. Materialised views are refreshed first.

    Raises ConfigurationError where a policy would hide rows from this role, also of tables that are nobody's.
    """
    materialised_views.refresh(connection, data_map, catalogue)
    try:
        with row_batches.snapshot(connection):
            return [
                one
                for who in what.names
                for one in kept_rows.residue(
                    connection, data_map, catalogue, who, what.times, what.erasure_id
                )
            ]
    except psycopg.errors.InsufficientPrivilege as error:
        raise ConfigurationError(
            f"role {connection.info.user} may not look for what is left: {why(error)}: "
            "connect as ops_eraser, or give this role BYPASSRLS and SELECT on every table"
        ) from None


def forget(connection: Connection, erasure_id: str) -> None:
    """Destroy the progress of an erasure, and with it its pseudonym. Safe to repeat."""
    Journal(connection, erasure_id).forget()


def _passes(
    connection: Connection,
    data_map: DataMap,
    catalogue: Catalogue,
    what: Erasing,
    who: Identity,
    batch: int,
    progress: Callable[[str, int], None],
) -> Passes:
    return Passes(
        connection,
        data_map,
        catalogue,
        who,
        Journal(connection, what.erasure_id),
        what.times,
        batch,
        progress,
    )


@contextmanager
def _alone(connection: Connection, erasure_id: str) -> Iterator[None]:
    """Whoever was killed holds the lock until the server has noticed."""
    key = postgres.lock_key(f"erasure/{erasure_id}")
    try:
        with connection.transaction():
            connection.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
            connection.execute("SELECT pg_advisory_lock(%s)", (key,))
    except psycopg.errors.LockNotAvailable:
        raise Unavailable("another run is at work on this erasure: wait until it has ended") from None
    try:
        yield
    finally:
        if not connection.closed:
            connection.execute("SELECT pg_advisory_unlock(%s)", (key,))


def _effects(changes: Sequence[Change], steps: Mapping[Step, Noted]) -> list[Effect]:
    """In the plan's order; what an earlier map did and this one does not know comes last."""
    kept = {change.key for change in changes if change.kind == "keep"}
    order = {change.key: number for number, change in enumerate(changes)}
    return [
        Effect("postgresql", *key, noted.before, noted.changed, noted.before if key in kept else 0)
        for key, noted in sorted(steps.items(), key=lambda item: order.get(item[0], len(order)))
    ]
