"""Tombstones in a real ops database and a real object-locked bucket."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from ops_platform.clients.object_store.bucket import ObjectStore
from ops_platform.clients.object_store.s3_errors import ObjectStoreRefused
from ops_platform.clients.postgres import connection as postgres
from ops_platform.clients.postgres.connection import Connection
from ops_platform.errors import CheckFailed, ConfigurationError
from ops_platform.gdpr.requests import precedence
from ops_platform.gdpr.requests.deadlines import FINISH_WITHIN
from ops_platform.gdpr.subject.subject_key import SubjectKey
from ops_platform.gdpr.tombstones import ledger_copies as tombstone_copies
from ops_platform.gdpr.tombstones import legal_holds
from ops_platform.gdpr.tombstones import tombstone_store as tombstones
from ops_platform.gdpr.tombstones.encryption import SealingKeys
from ops_platform.gdpr.tombstones.entry import LEDGER_PREFIX, Tombstone
from ops_platform.gdpr.tombstones.legal_holds import Held
from ops_platform.local.servers.object_store_server import ObjectStoreServer
from ops_platform_tests.gdpr.other_stores import TERM, sealing_keys, store
from ops_platform_tests.services import OpsDatabase

pytestmark = pytest.mark.services


@dataclass
class Kept:
    """The stores of one test; ``now`` is real: S3 takes no lock that ends in the past."""

    ops: Connection
    ledger: ObjectStore
    keys: SealingKeys
    now: datetime

    def write(self, of: SubjectKey, request_id: str, now: datetime | None = None) -> Tombstone:
        return tombstones.write(
            self.ops,
            self.ledger,
            self.keys,
            of,
            request_id=request_id,
            map_version="m1",
            term=TERM,
            now=now or self.now,
        )

    def complete(self, one: Tombstone, now: datetime) -> datetime:
        return tombstones.complete(self.ops, self.ledger, self.keys, one, TERM, now)

    def row(self, of: SubjectKey) -> dict[str, object]:
        row = self.ops.execute(
            "SELECT * FROM erasure_tombstones WHERE subject_key = %s", (of.key,)
        ).fetchone()
        assert row is not None
        return row


@pytest.fixture
def kept(ops_database: OpsDatabase, object_store: ObjectStoreServer) -> Iterator[Kept]:
    with postgres.connect(ops_database.url("ops_worker"), autocommit=True) as ops:
        yield Kept(ops, store(object_store, "ledger"), sealing_keys(), datetime.now(UTC))


def somebody(key: str | None = None) -> SubjectKey:
    return SubjectKey("product", "creator", key or str(uuid4()), "uuid")


def test_both_copies_are_there_before_it_returns(kept: Kept) -> None:
    of = somebody()
    one = kept.write(of, "r1")
    row = kept.row(of)
    assert row["erased_at"] == one.erased_at == kept.now
    assert row["copied_at"] is not None
    lock = kept.ledger.retention(one.ledger_key)
    assert lock is not None
    assert lock.mode == "COMPLIANCE"
    assert lock.until >= TERM.expires(kept.now + FINISH_WITHIN)
    assert tombstone_copies.read(kept.ledger, kept.keys, "product") == [one]
    assert tombstone_copies.read(kept.ledger, kept.keys) == tombstones.read(kept.ops, "product") == [one]
    assert tombstone_copies.read(kept.ledger, kept.keys, "other") == []


def test_the_ledger_tells_nobody_whom_it_is_about(kept: Kept) -> None:
    of = somebody()
    one = kept.write(of, "r1")
    assert of.key not in one.ledger_key
    assert of.key.encode() not in kept.ledger.get(one.ledger_key)
    with pytest.raises(ConfigurationError, match="does not hold the key"):
        tombstone_copies.read(kept.ledger, sealing_keys(), "product")


def test_with_its_key_an_expired_copy_is_forgotten_for_good(kept: Kept) -> None:
    one = kept.write(somebody(), "r1")
    expires = kept.complete(one, kept.now + timedelta(days=10))
    rotated = sealing_keys()
    with pytest.raises(ConfigurationError, match="does not hold the key"):
        tombstone_copies.read(kept.ledger, rotated, now=expires - timedelta(minutes=1))
    late = expires + timedelta(minutes=1)
    assert tombstone_copies.read(kept.ledger, rotated, now=late) == []
    assert tombstone_copies.read(kept.ledger, kept.keys, now=late) == [one], "while there is the key"


def test_a_retry_keeps_the_first_cutoff_and_writes_nothing_new(kept: Kept) -> None:
    of = somebody()
    one = kept.write(of, "r1")
    again = kept.write(of, "r1", kept.now + timedelta(hours=1))
    assert again == one
    assert len(list(kept.ledger.versions())) == 1


def test_a_worker_that_died_between_row_and_copy_goes_on(kept: Kept) -> None:
    of = somebody()
    broken = Kept(kept.ops, _away(kept.ledger), kept.keys, kept.now)
    with pytest.raises(ConfigurationError):
        broken.write(of, "r1")
    assert kept.row(of)["copied_at"] is None
    one = kept.write(of, "r1", kept.now + timedelta(minutes=5))
    assert one.erased_at == kept.now
    assert kept.row(of)["copied_at"] is not None


def test_a_bucket_without_object_lock_is_refused(kept: Kept, object_store: ObjectStoreServer) -> None:
    of = somebody()
    unlocked = Kept(kept.ops, store(object_store, "media"), kept.keys, kept.now)
    with pytest.raises((CheckFailed, ObjectStoreRefused)):
        unlocked.write(of, "r1")
    assert kept.row(of)["copied_at"] is None


def test_completion_says_until_when_a_backup_can_hold_the_data(kept: Kept) -> None:
    of = somebody()
    one = kept.write(of, "r1")
    done = kept.now + timedelta(days=10)
    expires = kept.complete(one, done)
    assert expires == TERM.expires(done)
    lock = kept.ledger.retention(one.ledger_key)
    assert lock is not None
    assert lock.until >= expires, "the erasure took longer than the lock reckoned with"
    assert kept.complete(one, done + timedelta(days=1)) == expires, "a second time changes nothing"
    assert len(list(kept.ledger.versions())) == 2
    assert tombstone_copies.read(kept.ledger, kept.keys) == [one]


def test_who_comes_back_and_goes_again_has_a_new_cutoff(kept: Kept) -> None:
    of = somebody("anna@example.org")
    first = kept.write(of, "r1")
    kept.complete(first, kept.now)
    later = kept.now + timedelta(hours=2)
    second = kept.write(of, "r2", later)
    assert second.erased_at == later
    assert kept.row(of)["completed_at"] is None
    assert tombstone_copies.read(kept.ledger, kept.keys) == [first, second]


def test_nobody_can_hide_or_replace_a_copy(kept: Kept) -> None:
    one = kept.write(somebody(), "r1")
    kept.ledger.delete(one.ledger_key)
    kept.ledger.put(one.ledger_key, b"nobody")
    assert tombstone_copies.read(kept.ledger, kept.keys) == [one]
    other = LEDGER_PREFIX + "product/0000"
    kept.ledger.put(other, kept.ledger.get(one.ledger_key, _first(kept.ledger, one.ledger_key)))
    with pytest.raises(CheckFailed, match="another name than its own"):
        tombstone_copies.read(kept.ledger, kept.keys)


def test_an_ops_database_that_lost_them_gets_them_back(kept: Kept) -> None:
    of = somebody()
    one = kept.write(of, "r1")
    kept.ops.execute("DELETE FROM erasure_tombstones")
    [found] = tombstone_copies.read(kept.ledger, kept.keys)
    assert tombstones.adopt(kept.ops, found, None, None, kept.now)
    assert tombstones.of_request(kept.ops, "r1") == one
    assert not tombstones.adopt(kept.ops, found, None, None, kept.now), "it had it"
    assert tombstones.adopt(kept.ops, found, kept.now, kept.now, kept.now), "that it is complete is new"
    older = Tombstone(of, one.erased_at - timedelta(days=1), "r0", "m0", b"1" * 32)
    assert not tombstones.adopt(kept.ops, older, None, None, kept.now)


def test_a_hold_and_an_erasure_exclude_each_other(kept: Kept) -> None:
    held, erased = somebody(), somebody()
    hold = legal_holds.place(kept.ops, held, "a claim", "counsel", kept.now)
    with pytest.raises(Held, match=f"legal hold {hold.id}"):
        kept.write(held, "r1")
    assert tombstones.read(kept.ops, "product") == []
    assert list(kept.ledger.versions()) == []
    legal_holds.release(kept.ops, hold.id, "counsel", kept.now)
    assert legal_holds.active(kept.ops, held) == []
    kept.write(held, "r1")
    kept.write(erased, "r2")
    with pytest.raises(CheckFailed, match="too late"):
        legal_holds.place(kept.ops, erased, "a claim", "counsel", kept.now)
    # Who comes back after it, with the same key, is somebody whose data can be wanted.
    kept.ops.execute("UPDATE erasure_tombstones SET completed_at = now()")
    again = legal_holds.place(kept.ops, erased, "a claim", "counsel", kept.now)
    with pytest.raises(Held, match=f"legal hold {again.id}"):
        kept.write(erased, "r3")
    with pytest.raises(CheckFailed, match="no active legal hold"):
        legal_holds.release(kept.ops, hold.id, "counsel", kept.now)


def test_a_hold_waits_for_an_erasure_that_is_just_beginning(kept: Kept, ops_database: OpsDatabase) -> None:
    of = somebody()
    with postgres.connect(ops_database.url("ops_worker")) as other:
        legal_holds.lock(other, of)
        kept.ops.execute("SET lock_timeout = '50ms'")
        with pytest.raises(Exception, match="lock timeout"), kept.ops.transaction():
            legal_holds.place(kept.ops, of, "a claim", "counsel", kept.now)


def test_a_tombstone_goes_only_when_no_backup_is_older(kept: Kept) -> None:
    of, held = somebody(), somebody()
    with kept.ops.transaction():
        for each, released_at in ((of, kept.now), (of, None), (held, kept.now)):
            hold = legal_holds.place(kept.ops, each, "claim", "me", kept.now - timedelta(days=1))
            legal_holds.release(kept.ops, hold.id, "me", released_at or kept.now + timedelta(days=2))
    one = kept.write(of, "r1")
    unfinished = kept.write(somebody(), "r2")
    later = kept.now + timedelta(days=1)
    for number, made in enumerate((kept.now, later)):
        kept.ops.execute(
            "INSERT INTO gdpr_requests (request_id, creator_id, request_type, requestor_email, status, "
            "outcome, created_at) VALUES (%s, %s, 'erasure', '', 'failed', 'cancelled', %s)",
            (f"r{number}", one.subject_key.key, made),
        )
    expires = kept.complete(one, kept.now)
    late = expires + timedelta(seconds=1)
    assert tombstones.expire(kept.ops, "product", None, late) == 0
    assert tombstones.expire(kept.ops, "product", kept.now - timedelta(days=1), late) == 0
    assert tombstones.expire(kept.ops, "product", late, expires - timedelta(seconds=1)) == 0
    assert tombstones.expire(kept.ops, "product", late, late) == 1
    assert tombstones.read(kept.ops, "product") == [unfinished]
    rows = kept.ops.execute(
        "SELECT creator_id::text = %s AS theirs FROM gdpr_requests ORDER BY id", (one.subject_key.key,)
    )
    assert [row["theirs"] for row in rows] == [False, True], "what was made since is somebody's who came back"
    holds = kept.ops.execute("SELECT subject_key FROM gdpr_legal_holds ORDER BY id").fetchall()
    assert [row["subject_key"] for row in holds] == [of.key, held.key], "the same of what was released since"


def test_the_same_key_of_another_kind_is_nobody_of_the_requests(kept: Kept) -> None:
    of = somebody()
    other = replace(of, kind="employee", requestable=False)
    another = kept.write(other, "r2")
    kept.ops.execute(
        "INSERT INTO gdpr_requests (request_id, creator_id, request_type, requestor_email, verified_at, "
        "created_at) VALUES ('r1', %s, 'erasure', '', now(), %s)",
        (of.key, kept.now),
    )
    begun = f"SELECT {precedence.ERASURE_HAS_BEGUN} AS begun FROM gdpr_requests AS r"
    assert kept.ops.execute(begun).fetchall() == [{"begun": False}]
    assert tombstones.under_way(kept.ops, "product") == set()
    one = kept.write(of, "r1")
    assert kept.ops.execute(begun).fetchall() == [{"begun": True}]
    assert tombstones.under_way(kept.ops, "product") == {"r1"}
    published = kept.ops.execute("SELECT gdpr_request_id FROM data_erasure_tombstones").fetchall()
    assert published == [{"gdpr_request_id": "r1"}]
    # Both know their kind also without the ops database.
    copies = tombstone_copies.read(kept.ledger, kept.keys, "product")
    assert {copy.request_id: copy.subject_key for copy in copies} == {"r1": of, "r2": other}
    assert [copy.subject_key.creator is None for copy in (one, another)] == [False, True]
    kept.ops.execute("UPDATE gdpr_requests SET status = 'failed', outcome = 'cancelled'")
    late = kept.complete(another, kept.now) + timedelta(days=1)
    assert tombstones.expire(kept.ops, "product", late, late) == 1
    theirs = kept.ops.execute("SELECT creator_id::text AS creator FROM gdpr_requests").fetchall()
    assert theirs == [{"creator": of.key}]


def test_the_row_must_be_durable(kept: Kept, ops_database: OpsDatabase) -> None:
    with (
        postgres.connect(ops_database.url("ops_worker")) as ops,
        pytest.raises(AssertionError, match="durable"),
    ):
        Kept(ops, kept.ledger, kept.keys, kept.now).write(somebody(), "r1")


def _away(ledger: ObjectStore) -> ObjectStore:
    identity = ledger._identity.model_copy(update={"bucket": "no-such-bucket"})
    return ObjectStore(ledger._endpoint_url, ledger._region, identity, ledger._ca_file)


def _first(ledger: ObjectStore, key: str) -> str | None:
    return [one for one in ledger.versions(key) if not one.delete_marker][-1].version_id
