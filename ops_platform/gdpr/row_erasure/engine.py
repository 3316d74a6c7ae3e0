"""The erasure of a subject's rows in a product database: batch by batch, each proved before it is committed.

A killed erasure continues where it stopped: a batch and its journal entry are one transaction. Nothing is
known here of tombstones, objects, caches or certificates.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

import psycopg
from psycopg import sql

from ops_platform.clients import postgres
from ops_platform.clients.postgres import Connection
from ops_platform.clients.safe_errors import why
from ops_platform.errors import CheckFailed, ConfigurationError, Unavailable
from ops_platform.gdpr.connections import OpenDatabase
from ops_platform.gdpr.data_map import DataMap
from ops_platform.gdpr.lineage import Effect
from ops_platform.gdpr.row_erasure import batch as batch_work
from ops_platform.gdpr.row_erasure import collateral_check, materialised_views, passes, residue_exemptions
from ops_platform.gdpr.row_erasure.batch import snapshot
from ops_platform.gdpr.row_erasure.journal import Journal, Noted, Step
from ops_platform.gdpr.row_erasure.others import Reach, Register, SharedRows, register
from ops_platform.gdpr.row_erasure.passes import Passes
from ops_platform.gdpr.row_erasure.plan import plan
from ops_platform.gdpr.row_erasure.residue_exemptions import Wanted
from ops_platform.gdpr.row_erasure.residue_scan import Residue
from ops_platform.gdpr.row_erasure.statements import Change
from ops_platform.gdpr.schema import Catalogue, Name
from ops_platform.gdpr.subject import FirstErasure, Identity, Times, spared_rows

BATCH = 5000
"""Rows that are changed in one transaction."""
LOCK_TIMEOUT = "60s"


@dataclass(frozen=True)
class Searched:
    """The columns in which a search found the subject: ``left`` and, by the map, ``accepted``."""

    left: tuple[Residue, ...]
    accepted: tuple[Residue, ...]


@dataclass(frozen=True)
class RowErasure:
    """One erasure of ``identity``. ``erasure_id``: the same at every attempt.

    ``later_identities``: other values of the subject's identifiers since the erasure began, with the key.
    ``replay``: repeated after a restore; rows created after ``cutoff`` are spared where their table says
    when they were created. ``named_until``: until when the identifiers surely were the subject's, where that
    is not ``cutoff``. ``first_erasure``: the first complete erasure; see ``subject.name_reuse``. ``home``:
    the database with the subject's row, where these rows are in another one.
    """

    erasure_id: str
    identity: Identity
    cutoff: datetime
    replay: bool = False
    later_identities: tuple[Identity, ...] = ()
    named_until: datetime | None = None
    first_erasure: FirstErasure | None = None
    home: OpenDatabase | None = None

    @property
    def identities(self) -> tuple[Identity, ...]:
        """All identities to erase."""
        return (self.identity, *self.later_identities)

    @property
    def times(self) -> Times:
        """The times that decide whose a row is."""
        return Times(self.named_until or self.cutoff, self.replay, self.first_erasure, self.home)


def erase(
    connection: Connection,
    data_map: DataMap,
    catalogue: Catalogue,
    erasure: RowErasure,
    *,
    batch: int = BATCH,
    progress: Callable[[str, int], None] = lambda place, changed: None,
) -> list[Effect]:
    """Do to every row of the subject what the map says, until none is left; returns the effects by step.

    ``connection`` is in autocommit mode. ``batch``: rows of one transaction. ``progress`` is told after each
    batch its table and the rows of the step changed so far. Safe to repeat, also after ``forget``.
    Raises CheckFailed when somebody else's row would change, when rows come faster than they go, or where
    an identifier cannot be redacted; a replay leaves those rows, and those that others reach, too, where the
    map says nothing of them.
    ConfigurationError when the role or the database lacks what it needs; Unavailable while another run is
    at work or others keep rows locked; what psycopg raises.
    """
    if not connection.autocommit:
        raise ValueError("erase needs a connection in autocommit mode")
    collateral_check.preflight(connection)
    materialised_views.preflight(data_map, catalogue)
    erasure_plan = plan(data_map, catalogue)
    if not erasure.replay:
        refuse_unredactable(connection, data_map, catalogue, erasure)
    journal = Journal(connection, erasure.erasure_id)
    with _exclusive(connection, erasure.erasure_id):
        journal.open(data_map.version)
        for identity in erasure.identities:
            _passes(connection, data_map, catalogue, erasure, identity, batch, progress).run(erasure_plan)
        known = journal.steps()
        changes = [change for group in passes.groups(erasure_plan) for change in group.changes]
        missing = [change.key for change in changes if change.key not in known]
        if missing:
            with connection.transaction():
                for key in missing:
                    journal.record_found(key, 0)
            known = journal.steps()
        return _effects(changes, known)


def refuse_unredactable(
    connection: Connection, data_map: DataMap, catalogue: Catalogue, erasure: RowErasure
) -> None:
    """Raise CheckFailed where an identifier in others' rows cannot be replaced exactly; change nothing."""
    for effect in unredactable(connection, data_map, catalogue, erasure):
        raise CheckFailed(
            f"{effect.place} ({effect.role}): in {effect.before} rows an identifier stands where it cannot "
            "be replaced exactly, as in base64 or in a key or number of JSON: these rows are as they were: "
            "say in the data map by what else they are found, or take it out by hand"
        )


def unredactable(
    connection: Connection, data_map: DataMap, catalogue: Catalogue, erasure: RowErasure
) -> Iterator[Effect]:
    """Count rows of others in which an identifier cannot be replaced exactly, in places not accepted."""
    changes = [
        change
        for group in passes.groups(plan(data_map, catalogue))
        for change in group.changes
        if change.step.kind == "redact"
    ]
    for identity in erasure.identities if changes else ():
        writer = _passes(
            connection, data_map, catalogue, erasure, identity, BATCH, lambda place, changed: None
        ).writer()
        for change in changes:
            with snapshot(connection):
                rows = batch_work.waiting(connection, writer, change, writer.unredactable(change))
            if rows:
                yield Effect("postgresql", str(change.table), change.role, change.action, rows, 0, rows)


def left_to_others(connection: Connection, data_map: DataMap, erasure: RowErasure) -> list[Effect]:
    """Count the rows that a replay left, by role: others reach them, and the map says nothing of those."""
    undecided = {
        (str(table.name), belonging.role)
        for table, belonging in data_map.belongings()
        if belonging.shared is None
    }
    rows: dict[tuple[str, str], int] = {}
    for one in Register(Journal(connection, erasure.erasure_id)).summary() if erasure.replay else ():
        role = (one["table"], one["role"])
        if role in undecided:
            rows[role] = rows.get(role, 0) + one["rows"]
    return [
        Effect("postgresql", *role, "leave to the others who reach it", number, 0, number)
        for role, number in rows.items()
    ]


def find_shared(
    connection: Connection, data_map: DataMap, catalogue: Catalogue, erasure: RowErasure
) -> list[SharedRows]:
    """Count the rows that would be erased and that another subject reaches, too; change nothing."""
    found: dict[tuple[str, str], SharedRows] = {}
    for identity in erasure.identities:
        with searching(connection):
            spared = spared_rows(connection, data_map, catalogue, identity, erasure.times)
            for rows in register.find(connection, Reach(data_map, catalogue, identity, spared)):
                found.setdefault((rows.table, rows.role), rows)
    return [*found.values()]


def remaining(
    connection: Connection, data_map: DataMap, catalogue: Catalogue, erasure: RowErasure
) -> list[Effect]:
    """Count the rows that wait, for each step that still finds any; rows to be kept are not counted."""
    return [
        Effect("postgresql", str(change.table), change.role, change.action, rows, 0, rows)
        for identity in erasure.identities
        for identity_passes in [
            _passes(connection, data_map, catalogue, erasure, identity, BATCH, lambda place, changed: None)
        ]
        for change, rows in identity_passes.counts(plan(data_map, catalogue))
        if rows and change.kind != "keep"
    ]


def residue(
    connection: Connection, data_map: DataMap, catalogue: Catalogue, erasure: RowErasure
) -> list[Residue]:
    """Find where an identifier is left that nobody accepts; see ``search``."""
    return [*search(connection, data_map, catalogue, erasure).left]


def search(connection: Connection, data_map: DataMap, catalogue: Catalogue, erasure: RowErasure) -> Searched:
    """Find where an identifier is left; see ``search_each``."""
    [searched] = search_each(connection, data_map, catalogue, [erasure])
    return searched


def search_each(
    connection: Connection, data_map: DataMap, catalogue: Catalogue, erasures: Sequence[RowErasure]
) -> list[Searched]:
    """Find where identifiers of each are left, kept rows excepted, in one pass through the database.

    Materialised views are refreshed first. Raises ConfigurationError where a policy would hide rows from this
    role, also in tables that the map does not mention.
    """
    materialised_views.refresh(connection, data_map, catalogue)
    wanted = [
        (place, Wanted(identity, erasure.times, erasure.erasure_id))
        for place, erasure in enumerate(erasures)
        for identity in erasure.identities
    ]
    with searching(connection):
        found = residue_exemptions.residue_each(connection, data_map, catalogue, [one for _, one in wanted])
    hits: list[list[Residue]] = [[] for _ in erasures]
    for (place, _), of_identity in zip(wanted, found, strict=True):
        hits[place] += of_identity
    return [sort_out(data_map, of_erasure) for of_erasure in hits]


@contextmanager
def searching(connection: Connection) -> Iterator[None]:
    """Open the snapshot of a search. Raises ConfigurationError where this role does not see all rows."""
    try:
        with snapshot(connection):
            yield
    except psycopg.errors.InsufficientPrivilege as error:
        raise ConfigurationError(
            f"role {connection.info.user} may not look for what is left: {why(error)}: "
            "connect as ops_eraser, or give this role BYPASSRLS and SELECT on every table"
        ) from None


def sort_out(data_map: DataMap, hits: Iterable[Residue]) -> Searched:
    """Separate hits in places that the map accepts from the others; each place once."""
    rows: dict[tuple[Name, str], int] = {}
    for hit in hits:
        rows[hit.place] = max(rows.get(hit.place, 0), hit.rows)
    accepted = {accepted.place for accepted in data_map.accepted}
    residue = [Residue(*place, number) for place, number in rows.items()]
    return Searched(
        tuple(hit for hit in residue if hit.place not in accepted),
        tuple(hit for hit in residue if hit.place in accepted),
    )


def forget(connection: Connection, erasure_id: str) -> None:
    """Delete the journal of an erasure, and its pseudonym with it. Safe to repeat."""
    Journal(connection, erasure_id).forget()


def _passes(
    connection: Connection,
    data_map: DataMap,
    catalogue: Catalogue,
    erasure: RowErasure,
    identity: Identity,
    batch: int,
    progress: Callable[[str, int], None],
) -> Passes:
    return Passes(
        connection,
        data_map,
        catalogue,
        identity,
        Journal(connection, erasure.erasure_id),
        erasure.times,
        batch,
        progress,
    )


@contextmanager
def _exclusive(connection: Connection, erasure_id: str) -> Iterator[None]:
    """Hold the erasure's lock. A killed run holds it until the server notices, hence the wait."""
    key = postgres.lock_key(f"erasure/{erasure_id}")
    try:
        # Several statements at once are one transaction.
        connection.execute(
            sql.SQL("SET LOCAL lock_timeout = {}; SELECT pg_advisory_lock({})").format(
                sql.Literal(LOCK_TIMEOUT), sql.Literal(key)
            )
        )
    except psycopg.errors.LockNotAvailable:
        raise Unavailable("another run is at work on this erasure: wait until it has ended") from None
    try:
        yield
    finally:
        if not connection.closed:
            connection.execute("SELECT pg_advisory_unlock(%s)", (key,))


def _effects(changes: Sequence[Change], steps: Mapping[Step, Noted]) -> list[Effect]:
    """Sort in the plan's order; steps of an earlier map that this one does not have come last."""
    kept = {change.key for change in changes if change.kind == "keep"}
    order = {change.key: number for number, change in enumerate(changes)}
    return [
        Effect("postgresql", *key, noted.before, noted.changed, noted.before if key in kept else 0)
        for key, noted in sorted(steps.items(), key=lambda item: order.get(item[0], len(order)))
    ]
