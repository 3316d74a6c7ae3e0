"""The replay of erasures after a restore, from tombstones in the ops database or in the locked ledger.

Subjects are erased again by the engine that erased them first (``gdpr``), before the restored cluster
takes traffic. A restored ops database is brought up to date from the ledger.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice

from ops_platform.backup.repository import Repository
from ops_platform.backup.retention import version_pruning
from ops_platform.backup.stanza import BackupContext, load_backups, open_context
from ops_platform.clients import object_store, postgres
from ops_platform.clients.postgres import Connection, one_row
from ops_platform.dr.inspection import Verification, failed, verdict
from ops_platform.dr.restore import RestoredServer
from ops_platform.dr.verification import backup_expiry, database_replay, replay_places
from ops_platform.errors import CheckFailed
from ops_platform.gdpr import certificates
from ops_platform.gdpr.after_restore import Reconciled, Replayed, ledger_reconciliation
from ops_platform.gdpr.requests import work_queue
from ops_platform.gdpr.tombstones import (
    LEDGER_PREFIX,
    Tombstone,
    encryption,
    ledger_copies,
    sealed_identities,
    tombstone_store,
)
from ops_platform.settings import Settings

NAME = "tombstones"


@dataclass(frozen=True)
class Tombstones:
    """The tombstones of one stanza; ``source``: where they were read, for people."""

    tombstones: Sequence[Tombstone]
    source: str

    @property
    def count(self) -> int:
        """The number of tombstones."""
        return len(self.tombstones)

    def merged_with(self, other: Tombstones) -> Tombstones:
        """Merge two sources: each tombstone once, the oldest first."""
        known = {tombstone.ledger_key for tombstone in self.tombstones}
        others = {tombstone.ledger_key: tombstone for tombstone in other.tombstones}
        # Either may have lost who the subject was.
        own = [
            replace(tombstone, identity=others[tombstone.ledger_key].identity)
            if tombstone.identity is None and tombstone.ledger_key in others
            else tombstone
            for tombstone in self.tombstones
        ]
        more = [tombstone for key, tombstone in others.items() if key not in known]
        both = sorted([*own, *more], key=lambda tombstone: tombstone.erased_at)
        return Tombstones(both, f"{self.source} and {other.source}")


@dataclass(frozen=True)
class ReplayedLive:
    """The result of a replay on the databases that serve now.

    ``memory``: what the ops database took over from the ledger. ``rows``: what was erased again.
    ``under_way``: how many erasures were left to their own runs.
    """

    memory: Reconciled
    rows: Replayed
    under_way: int


def from_ops_database(ops_url: str, stanza: str) -> Tombstones:
    """Read the tombstones of ``stanza``, expired ones too.

    While an expired tombstone is there, so may be a backup that outlived its expected lifetime.
    Raises Unavailable when the ops database is away.
    """
    with postgres.session(ops_url) as connection:
        return Tombstones(_stored(connection, stanza), "the ops database")


def anyone_erased_since(ops: Connection, stanza: str, moment: datetime) -> bool:
    """Tell whether anybody has been erased, or began to be, since ``moment``."""
    row = one_row(
        ops,
        """
        SELECT EXISTS (SELECT FROM erasure_tombstones WHERE stanza = %s
                       AND (completed_at IS NULL OR greatest(erased_at, completed_at) > %s)) AS found
        """,
        (stanza, moment),
    )
    return bool(row["found"])


def from_ledger(settings: Settings, stanza: str) -> Tombstones:
    """Read the copies under object lock; needs no database, and the key only when there are copies.

    Raises an OpsError when S3 is away or a copy cannot be read.
    """
    ledger = object_store.from_settings(settings, "ledger")
    source = "the object-locked ledger"
    if not any(islice(ledger.versions(f"{LEDGER_PREFIX}{stanza}/"), 1)):
        return Tombstones((), source)
    keys = encryption.sealing_keys(settings)
    copies = sealed_identities.attach_copies(ledger, keys, ledger_copies.read(ledger, keys, stanza))
    completed = certificates.stored(ledger)
    tombstones = [replace(copy, completed_at=completed.get(copy.request_id)) for copy in copies]
    return Tombstones(tombstones, source)


def replay(
    known: Tombstones,
    server: RestoredServer,
    stanza: str,
    database: str,
    settings: Settings,
    log: Callable[[str], None],
) -> Verification:
    """Erase again whoever was erased, in ``database`` of the restored server. Passes when nobody is left.

    And in the databases of ``stanza`` that the data map names. Where ``database`` is the ops database, it is
    brought up to date from the ledger too.
    """
    said, numbers = [], dict[str, int]()
    with server.connect(database) as connection:
        try:
            if _is_ops_database(connection):
                text, counted = _bring_up_to_date(connection, settings, log)
                said.append(text)
                numbers |= counted
            if known.count:
                done = database_replay.in_server(
                    server, stanza, connection, database, settings, known.tombstones, log
                )
                rows = sum(effect.changed for effect in done.effects)
                numbers |= {"came_back": done.came_back, "rows": rows}
                said.append(
                    f"{done.tombstones} tombstones in {known.source}; {done.came_back} erased subjects had "
                    "come back and were erased again"
                )
                if done.not_there:
                    numbers["databases_not_there"] = len(done.not_there)
                    said.append(f"not there in the restored moment: database {', '.join(done.not_there)}")
                said += [
                    f"in {left.after} rows of {left.place} an identifier cannot be replaced: take it out "
                    "by hand"
                    for left in done.unredactable
                ]
                said += [
                    f"{left.after} rows of {left.place} ({left.role}) are somebody else's, too, in the "
                    "restored moment and were left: delete them by hand where they are nobody else's"
                    for left in done.left_to_others
                ]
        except CheckFailed as error:
            return failed(NAME, str(error), tombstones=known.count)
    return verdict(
        NAME,
        True,
        "; ".join(said) or f"nobody was erased, says {known.source}",
        tombstones=known.count,
        **numbers,
    )


def replay_live(settings: Settings, log: Callable[[str], None]) -> ReplayedLive:
    """Replay on the databases that serve now, after either was restored: the ops database, then the rows.

    An erasure that is under way is left to its own run: it knows more than the tombstone, and looks
    again for rows that came back. Raises an OpsError when anything is left, or psycopg's error.
    """
    stanza = backup_expiry.product_stanza(settings, load_backups(settings)).name
    with postgres.session(settings.require("database_url"), autocommit=True) as ops:
        memory = reconcile(ops, settings)
        tombstones, under_way = _not_under_way(ops, stanza, log)
        with database_replay.product(settings) as connection:
            return ReplayedLive(
                memory, database_replay.erase_again(connection, settings, tombstones, log), under_way
            )


def _not_under_way(ops: Connection, stanza: str, log: Callable[[str], None]) -> tuple[list[Tombstone], int]:
    """Return the tombstones to be replayed, and the number of the others.

    Unfinished ones that no run works on are claimed for as long as ``ops`` is open.
    """
    going_on = tombstone_store.under_way(ops, stanza)
    to_replay, left = list[Tombstone](), 0
    for tombstone in _stored(ops, stanza):
        request_id, unfinished = tombstone.request_id, tombstone.completed_at is None
        if request_id in going_on or (
            unfinished and not postgres.try_lock(ops, work_queue.lock_name(request_id))
        ):
            left += 1
            log(f"request {request_id}: the erasure is under way and erases what came back by itself")
        else:
            to_replay.append(tombstone)
            if unfinished:
                log(f"request {request_id}: the erasure was given up half-way; resume it after this")
    return to_replay, left


def _stored(ops: Connection, stanza: str) -> list[Tombstone]:
    """Read a stanza's tombstones; complete are those with a certificate, the last step of an erasure."""
    tombstones = sealed_identities.attach(ops, tombstone_store.read(ops, stanza))
    certified = certificates.issued(ops, [tombstone.request_id for tombstone in tombstones])
    return [
        tombstone if tombstone.request_id in certified else replace(tombstone, completed_at=None)
        for tombstone in tombstones
    ]


def expire(ctx: BackupContext, now: datetime) -> int:
    """Delete the stanza's tombstones that no set in any repository needs any more; return how many.

    A deleted set of which the bucket keeps versions counts: it can be restored. Raises ConfigurationError,
    PgBackRestError or an error of the object store when these, or the map, cannot be read; then nothing is
    deleted.
    """
    with postgres.session(ctx.ops_url) as ops:
        if not tombstone_store.read(ops, ctx.stanza.cluster):
            return 0
    stanzas = replay_places.further_stanzas(ctx.settings, ctx.stanza.cluster)
    holding = (ctx, *(open_context(ctx.settings, stanza) for stanza in sorted(stanzas)))
    oldest = [
        _oldest_backup(repository)
        for context in holding
        for repository in (context, *context.in_other_repositories())
    ]
    known = [began for began in oldest if began is not None]
    with postgres.session(ctx.ops_url) as ops:
        # A repository of which it is not known may hold older sets than the others.
        first = min(known) if len(known) == len(oldest) else None
        return tombstone_store.expire(ops, ctx.stanza.cluster, first, now)


def _oldest_backup(ctx: BackupContext) -> datetime | None:
    """Tell when the oldest set of one repository began; None when that is not known."""
    sets = Repository.parse(ctx.stanza.name, ctx.pgbackrest.info()).sets
    kept = version_pruning.oldest_set_kept(ctx)
    began = [*(backup_set.started_at for backup_set in sets), *(() if kept is None else (kept,))]
    return min(began, default=None) if sets else None


def reconcile(ops: Connection, settings: Settings) -> Reconciled:
    """Bring the ops database up to date from the ledger.

    Reads the keys only when the ledger holds anything.
    """
    ledger = object_store.from_settings(settings, "ledger")
    if not any(islice(ledger.versions(LEDGER_PREFIX), 1)):
        return Reconciled(0, 0, 0, 0, 0)
    keys, public = encryption.sealing_keys(settings), certificates.public_keys(settings)
    return ledger_reconciliation.reconcile(ops, ledger, keys, public, datetime.now(UTC))


def _is_ops_database(connection: Connection) -> bool:
    row = one_row(connection, "SELECT to_regclass('public.erasure_tombstones') IS NOT NULL AS ours")
    return bool(row["ours"])


def _bring_up_to_date(
    connection: Connection, settings: Settings, log: Callable[[str], None]
) -> tuple[str, dict[str, int]]:
    """Bring a restored ops database, which is older than the ledger, up to date; say what was done."""
    if not _knows_certificates(connection):
        log("this ops database is older than erasures: then run 'ops-platform migrate' and tombstone_replay")
        return "an ops database from before the first erasure", {}
    ledger_reconciliation.prepare(connection)
    done = reconcile(connection, settings)
    said = (
        f"of {done.tombstones} tombstones in the object-locked ledger {done.adopted} were missing or open in "
        f"this ops database, as were {done.certificates} certificates; {done.scrubbed} requests were emptied "
        "again"
    )
    return said, {"adopted": done.adopted, "scrubbed": done.scrubbed, "unfinished": done.unfinished}


def _knows_certificates(connection: Connection) -> bool:
    row = one_row(connection, "SELECT to_regclass('public.gdpr_certificates') IS NOT NULL AS known")
    return bool(row["known"])
