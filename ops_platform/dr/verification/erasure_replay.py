"""Subjects who must stay erased after a restore: found in the ops database or in the locked ledger.

They are erased again by the engine that erased them first (``gdpr``), before the restored cluster
takes traffic. A restored ops database is brought up to what the ledger remembers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice

from ops_platform import files
from ops_platform.backup.repository import Repository
from ops_platform.backup.stanza import BackupContext, load_backups
from ops_platform.clients import object_store, postgres
from ops_platform.clients.postgres import Connection, one_row
from ops_platform.dr.inspection import Verification, failed, verdict
from ops_platform.dr.restore import RestoredServer
from ops_platform.dr.verification import backup_expiry as backup_term
from ops_platform.errors import CheckFailed
from ops_platform.gdpr import certificates
from ops_platform.gdpr import certificates as certificate
from ops_platform.gdpr.after_restore import Reconciled, Replayed, ledger_reconciliation
from ops_platform.gdpr.after_restore import replay as engine
from ops_platform.gdpr.data_map import parser
from ops_platform.gdpr.requests import work_queue
from ops_platform.gdpr.tombstones import LEDGER_PREFIX, Tombstone, encryption, ledger_copies, tombstone_store
from ops_platform.settings import Settings

NAME = "tombstones"
FOOTPRINT_OWNER = "ops_owner"
_ERASER = """
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'ops_eraser') THEN CREATE ROLE ops_eraser; END IF;
END $$
"""


@dataclass(frozen=True)
class Tombstones:
    """Of one stanza, and where they were read."""

    found: Sequence[Tombstone]
    source: str

    @property
    def count(self) -> int:
        return len(self.found)

    def with_those_of(self, other: Tombstones) -> Tombstones:
        """Each once, the oldest first."""
        known = {one.ledger_key for one in self.found}
        more = [one for one in other.found if one.ledger_key not in known]
        both = sorted([*self.found, *more], key=lambda one: one.erased_at)
        return Tombstones(both, f"{self.source} and {other.source}")


@dataclass(frozen=True)
class ReplayedLive:
    """``under_way``: erasures that were left to their own runs."""

    memory: Reconciled
    rows: Replayed
    under_way: int


def from_ops_database(ops_url: str, stanza: str) -> Tombstones:
    """Expired ones too: as long as one is there, a backup older than it thinks may be, too.

    Raises Unavailable when the ops database is away.
    """
    with postgres.session(ops_url) as connection:
        return Tombstones(_known(connection, stanza), "the ops database")


def since(ops: Connection, stanza: str, moment: datetime) -> bool:
    """Whether anybody has been erased, or began to be, since ``moment``."""
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
    """From the copies under object lock; needs no database, and the key only when there are any.

    Raises an OpsError when S3 is away or a copy cannot be read.
    """
    ledger = object_store.from_settings(settings, "ledger")
    source = "the object-locked ledger"
    if not any(islice(ledger.versions(f"{LEDGER_PREFIX}{stanza}/"), 1)):
        return Tombstones((), source)
    found = ledger_copies.read(ledger, encryption.sealing_keys(settings), stanza)
    completed = certificates.stored(ledger)
    return Tombstones([replace(one, completed_at=completed.get(one.request_id)) for one in found], source)


def replay(
    found: Tombstones, server: RestoredServer, database: str, settings: Settings, log: Callable[[str], None]
) -> Verification:
    """Erase again whoever was erased, in ``database`` of the restored server. Passes when nobody is left.

    Where it is the ops database, its memory is brought up to the ledger's too.
    """
    said, numbers = [], dict[str, int]()
    with server.connect(database) as connection:
        try:
            if _is_ops_database(connection):
                text, counted = _brought_up(connection, settings, log)
                said.append(text)
                numbers |= counted
            if found.count:
                _footprint(connection, server.url(database, FOOTPRINT_OWNER), log)
                done = erase_again(connection, settings, found.found, log)
                numbers |= {"came_back": done.came_back, "rows": sum(one.changed for one in done.effects)}
                said.append(
                    f"{done.tombstones} tombstones in {found.source}; {done.came_back} erased subjects had "
                    "come back and were erased again"
                )
        except CheckFailed as error:
            return failed(NAME, str(error), tombstones=found.count)
    return verdict(
        NAME,
        True,
        "; ".join(said) or f"nobody was erased, says {found.source}",
        tombstones=found.count,
        **numbers,
    )


def erase_again(
    connection: Connection, settings: Settings, found: Sequence[Tombstone], log: Callable[[str], None]
) -> Replayed:
    """In a product database; the data map is read only when there is anybody."""
    if not found:
        return Replayed(0, 0, ())
    return engine.replay(connection, parser.load(settings.config_dir / "data_map.yaml"), found, log)


def replay_live(settings: Settings, log: Callable[[str], None]) -> ReplayedLive:
    """On the databases that serve now, after either of them was restored: first the memory, then the rows.

    An erasure that is under way is left to its own run: it knows more than the tombstone, and looks
    again for rows that came back. Raises an OpsError when anything is left, or psycopg's.
    """
    stanza = backup_term.product_stanza(settings, load_backups(settings)).name
    product = settings.product_eraser_database_url or settings.require("product_database_url")
    with postgres.session(settings.require("database_url"), autocommit=True) as ops:
        known = reconcile(ops, settings)
        found, under_way = _not_under_way(ops, stanza, log)
        with postgres.session(product, application="ops-platform erasure", autocommit=True) as connection:
            return ReplayedLive(known, erase_again(connection, settings, found, log), under_way)


def _not_under_way(ops: Connection, stanza: str, log: Callable[[str], None]) -> tuple[list[Tombstone], int]:
    """Tombstones to be replayed, and the number of the others.

    Unfinished ones that nobody works on are claimed for as long as ``ops`` is open.
    """
    going_on = tombstone_store.under_way(ops, stanza)
    found, left = list[Tombstone](), 0
    for one in _known(ops, stanza):
        unfinished = one.completed_at is None
        if one.request_id in going_on or (
            unfinished and not postgres.try_lock(ops, work_queue.lock_name(one.request_id))
        ):
            left += 1
            log(f"request {one.request_id}: the erasure is under way and erases what came back by itself")
        else:
            found.append(one)
            if unfinished:
                log(f"request {one.request_id}: the erasure was given up half-way; resume it after this")
    return found, left


def _known(ops: Connection, stanza: str) -> list[Tombstone]:
    """All of a stanza; complete are those that have a certificate, which is what comes last."""
    found = tombstone_store.read(ops, stanza)
    certified = certificates.issued(ops, [one.request_id for one in found])
    return [one if one.request_id in certified else replace(one, completed_at=None) for one in found]


def expire(ctx: BackupContext, now: datetime) -> int:
    """Delete the stanza's tombstones that no set in the repository needs any more; how many.

    Raises PgBackRestError when the repository cannot be read; then nothing is deleted.
    """
    sets = Repository.parse(ctx.stanza.name, ctx.pgbackrest.info()).sets
    oldest = min((one.started_at for one in sets), default=None)
    with postgres.session(ctx.ops_url) as ops:
        return tombstone_store.expire(ops, ctx.stanza.name, oldest, now)


def reconcile(ops: Connection, settings: Settings) -> Reconciled:
    """Bring back into the ops database what the ledger remembers; the keys only when there is anything."""
    ledger = object_store.from_settings(settings, "ledger")
    if not any(islice(ledger.versions(LEDGER_PREFIX), 1)):
        return Reconciled(0, 0, 0, 0, 0)
    keys, public = encryption.sealing_keys(settings), certificate.public_keys(settings)
    return ledger_reconciliation.reconcile(ops, ledger, keys, public, datetime.now(UTC))


def _is_ops_database(connection: Connection) -> bool:
    row = one_row(connection, "SELECT to_regclass('public.erasure_tombstones') IS NOT NULL AS ours")
    return bool(row["ours"])


def _brought_up(
    connection: Connection, settings: Settings, log: Callable[[str], None]
) -> tuple[str, dict[str, int]]:
    """What was done to a restored ops database, whose memory is older than the ledger's."""
    if not _knows_certificates(connection):
        log("this ops database is older than erasures: then run 'ops-platform migrate' and tombstone_replay")
        return "an ops database from before the first erasure", {}
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


def _footprint(connection: Connection, owners_url: str, log: Callable[[str], None]) -> None:
    """A backup may be older than the tables in which an erasure notes how far it is."""
    row = one_row(connection, "SELECT to_regclass('ops_platform.erasures') IS NULL AS missing")
    if row["missing"]:
        connection.execute(_ERASER)
        from ops_platform.clients.postgres.migrations import migrate  # yoyo, for an old copy alone

        made = migrate(owners_url, files.carried("sql") / "product")
        log(f"the backup is older than the platform's tables: brought up to date by {', '.join(made)}")
