"""An ops database that was restored, beside a ledger that remembers more."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from ops_platform import files
from ops_platform.audit.keys import PublicKeys, SigningKey, generate
from ops_platform.clients.object_store.bucket import ObjectStore
from ops_platform.clients.postgres import connection as postgres
from ops_platform.clients.postgres.connection import Connection
from ops_platform.errors import CheckFailed
from ops_platform.gdpr.after_restore import ledger_reconciliation as reconciliation
from ops_platform.gdpr.after_restore.ledger_reconciliation import Reconciled
from ops_platform.gdpr.certificates import certificate_store as certificates
from ops_platform.gdpr.certificates import document as certificate
from ops_platform.gdpr.data_map.model import DataMap
from ops_platform.gdpr.erasure import inventory
from ops_platform.gdpr.erasure.inventory import Inventory
from ops_platform.gdpr.erasure.steps import certificate_facts
from ops_platform.gdpr.subject.identity import Identity
from ops_platform.gdpr.subject.subject_key import SubjectKey
from ops_platform.gdpr.tombstones import sealed_identities
from ops_platform.gdpr.tombstones import tombstone_store as tombstones
from ops_platform.gdpr.tombstones.encryption import SealingKeys
from ops_platform.gdpr.tombstones.entry import Tombstone
from ops_platform.local.servers.object_store_server import ObjectStoreServer
from ops_platform_tests.gdpr.other_stores import TERM, sealing_keys, store
from ops_platform_tests.services import OpsDatabase, OpsDatabases

pytestmark = pytest.mark.services
PRIVATE, PUBLIC = generate()
KEY, PUBLIC_KEYS = SigningKey(PRIVATE), PublicKeys.parse(PUBLIC)


@dataclass
class Memory:
    """``lost``: the ops database as it was; ``ops``: another, restored from before. One ledger."""

    lost: Connection
    ops: Connection
    ledger: ObjectStore
    keys: SealingKeys
    data_map: DataMap
    now: datetime

    def erasure(
        self,
        subject: UUID,
        request_id: str,
        *,
        complete: bool,
        requestable: bool = True,
        confirmed_at: datetime | None = None,
    ) -> Tombstone:
        kind = "creator" if requestable else "employee"
        of = SubjectKey("product", kind, str(subject), "uuid", requestable)
        one = tombstones.write(
            self.lost,
            self.ledger,
            self.keys,
            of,
            request_id=request_id,
            map_version="m1",
            term=TERM,
            now=self.now,
        )
        if complete:
            expires = tombstones.complete(self.lost, self.ledger, self.keys, one, TERM, self.now)
            composed = certificate.compose(
                one, self.data_map, [], proof=[], residue={}, backups_expire_at=expires, now=self.now
            )
            if confirmed_at is not None:
                composed = {**composed, "confirmed_at": confirmed_at.isoformat()}
            certificates.issue(self.lost, self.ledger, KEY, composed)
        return one

    def restored_request(self, subject: UUID, request_id: str, *, verified: bool = True) -> None:
        """As the backup holds it: with the address, and still to be carried out."""
        made = self.now - timedelta(days=1)
        self.ops.execute(
            "INSERT INTO gdpr_requests (request_id, creator_id, request_type, requestor_email, created_at, "
            "verified_at) VALUES (%s, %s, 'erasure', 'anna@example.org', %s, %s)",
            (request_id, subject, made, made if verified else None),
        )

    def reconcile(self) -> Reconciled:
        return reconciliation.reconcile(self.ops, self.ledger, self.keys, PUBLIC_KEYS, self.now)

    def request(self, request_id: str) -> dict[str, Any]:
        row = self.ops.execute("SELECT * FROM gdpr_requests WHERE request_id = %s", (request_id,)).fetchone()
        assert row is not None
        return row


@pytest.fixture
def memory(
    ops_databases: OpsDatabases,
    ops_database: OpsDatabase,
    object_store: ObjectStoreServer,
    demo_map: DataMap,
) -> Iterator[Memory]:
    other = ops_databases.create()
    with (
        postgres.connect(other.url("ops_worker"), autocommit=True) as lost,
        postgres.connect(ops_database.url("ops_worker"), autocommit=True) as ops,
    ):
        ledger = store(object_store, "ledger")
        yield Memory(lost, ops, ledger, sealing_keys(), demo_map, datetime.now(UTC))
    ops_databases.drop(other)


def test_who_it_was_about_comes_back_and_neither_side_loses_what_it_knows(memory: Memory) -> None:
    one = memory.erasure(uuid4(), "r1", complete=False)

    def known(**names: str) -> Inventory:
        return inventory.take(memory.data_map, Identity({"id": one.subject_key.key, **names}))

    def kept() -> Inventory:
        sealed = sealed_identities.find(memory.ops, "r1")
        assert sealed is not None
        return inventory.read(sealed, memory.keys, "r1")

    first = inventory.write(known(email="anna@example.org"), memory.keys, "r1")
    until = memory.now + timedelta(days=80)
    for _ in range(2):
        sealed_identities.keep(memory.lost, memory.ledger, memory.keys, one, first, until)
    assert sum(1 for _ in memory.ledger.versions("identities/")) == 1
    memory.reconcile()
    assert kept() == known(email="anna@example.org")
    poorer = inventory.write(known(handle="anna"), memory.keys, "r1")
    memory.ops.execute("UPDATE gdpr_sealed_identities SET sealed = %s", (poorer,))
    for _ in range(2):
        memory.reconcile()
        assert kept().identity.values == known(email="anna@example.org", handle="anna").identity.values


def test_what_was_done_is_done_and_the_address_is_gone_again(memory: Memory) -> None:
    subject = uuid4()
    one = memory.erasure(subject, "r1", complete=True)
    memory.restored_request(subject, "r1")
    assert memory.reconcile() == Reconciled(1, 1, 1, 1, 0)
    request = memory.request("r1")
    assert (request["status"], request["outcome"], request["requestor_email"]) == (
        "completed",
        "fulfilled",
        "",
    )
    [found] = tombstones.read(memory.ops, "product")
    assert (found.subject_key, found.erased_at, found.salt) == (one.subject_key, one.erased_at, one.salt)
    assert found.completed_at == memory.now
    row = memory.ops.execute("SELECT expires_at FROM erasure_tombstones").fetchone()
    assert row is not None
    assert row["expires_at"] == TERM.expires(memory.now)
    assert certificates.find(memory.ops, "r1") == certificates.find(memory.lost, "r1")
    assert memory.reconcile() == Reconciled(1, 0, 0, 0, 0), "a second time changes nothing"


def test_the_same_key_of_another_kind_opens_and_ends_no_request(memory: Memory) -> None:
    subject = uuid4()
    memory.restored_request(subject, "r1")
    memory.erasure(subject, "r2", complete=True, requestable=False)
    memory.erasure(uuid4(), "r3", complete=False, requestable=False)
    assert memory.reconcile() == Reconciled(2, 2, 1, 0, 1)
    requests = memory.ops.execute("SELECT request_id, status, requestor_email FROM gdpr_requests").fetchall()
    assert [tuple(row.values()) for row in requests] == [("r1", "pending", "anna@example.org")]
    assert {one.subject_key.requestable for one in tombstones.read(memory.ops, "product")} == {False}


def test_a_backup_from_before_the_kinds_of_subject_takes_tombstones_of_each(
    memory: Memory, ops_database: OpsDatabase
) -> None:
    subject = uuid4()
    memory.erasure(subject, "r1", complete=True, requestable=False)
    with ops_database.superuser() as superuser:
        superuser.execute("ALTER TABLE erasure_tombstones DROP COLUMN requestable CASCADE")
    with postgres.connect(ops_database.url("ops_owner"), autocommit=True) as owner:
        reconciliation.prepare(owner)
        reconciliation.prepare(owner)
        # As the migration does that comes later.
        owner.execute((files.carried("sql") / "ops" / "0026_gdpr_kinds_of_subject.sql").read_text())
    assert memory.reconcile() == Reconciled(1, 1, 1, 0, 0)
    assert [one.subject_key.requestable for one in tombstones.read(memory.ops, "product")] == [False]


def test_a_backup_from_before_the_verification_is_brought_up_too(memory: Memory) -> None:
    subject = uuid4()
    memory.erasure(subject, "r1", complete=True)
    memory.restored_request(subject, "r1", verified=False)
    memory.reconcile()
    assert memory.request("r1")["status"] == "completed"


def test_earlier_requests_are_scrubbed_and_later_ones_are_not(memory: Memory) -> None:
    subject = uuid4()
    memory.erasure(subject, "r1", complete=True)
    memory.restored_request(subject, "r0")
    memory.ops.execute("UPDATE gdpr_requests SET request_type = 'export', created_at = %s", (memory.now,))
    memory.ops.execute(
        "INSERT INTO gdpr_requests (request_id, creator_id, request_type, requestor_email, created_at) "
        "VALUES ('r2', %s, 'erasure', 'back@example.org', %s)",
        (subject, memory.now + timedelta(days=1)),
    )
    memory.restored_request(uuid4(), "other")
    assert memory.reconcile().scrubbed == 1
    assert [memory.request(one)["requestor_email"] for one in ("r0", "r2", "other")] == [
        "",
        "back@example.org",
        "anna@example.org",
    ]


def test_an_erasure_that_had_begun_is_open_again_to_be_finished(memory: Memory) -> None:
    subject, forgotten = uuid4(), uuid4()
    one = memory.erasure(subject, "r1", complete=False)
    memory.restored_request(subject, "r1", verified=False)
    memory.erasure(forgotten, "r2", complete=False)
    assert memory.reconcile() == Reconciled(2, 2, 0, 0, 2)
    for request_id, who in (("r1", subject), ("r2", forgotten)):
        request = memory.request(request_id)
        assert (request["creator_id"], request["status"]) == (who, "pending")
        assert request["verified_at"] == memory.now
    # Their certificates do not state as times of the request what is only the tombstones'.
    received, _ = stated = certificate_facts.request_times(memory.ops, "r1", one.erased_at)
    assert stated == (memory.request("r1")["created_at"], None)
    assert received is not None
    assert received < one.erased_at
    assert certificate_facts.request_times(memory.ops, "r2", one.erased_at) == (None, None)
    assert memory.request("r1")["requestor_email"] == "anna@example.org", "it is still needed"
    assert memory.reconcile().adopted == 0


def test_one_open_request_of_a_subject_is_enough(memory: Memory) -> None:
    subject = uuid4()
    memory.erasure(subject, "r1", complete=False)
    memory.restored_request(subject, "r9")
    assert memory.reconcile().unfinished == 1
    rows = memory.ops.execute("SELECT request_id FROM gdpr_requests").fetchall()
    assert [row["request_id"] for row in rows] == ["r9"]


def test_a_lost_confirmation_was_when_the_certificate_says(memory: Memory) -> None:
    subject, confirmed_at = uuid4(), memory.now - timedelta(hours=80)
    memory.erasure(subject, "r1", complete=True, confirmed_at=confirmed_at)
    memory.restored_request(subject, "r1", verified=False)
    memory.reconcile()
    request = memory.request("r1")
    assert (request["status"], request["verified_at"]) == ("completed", confirmed_at)


def failed_request(memory: Memory, subject: UUID, request_id: str) -> None:
    memory.restored_request(subject, request_id)
    for status, outcome in (("processing", None), ("failed", "error")):
        memory.ops.execute(
            "UPDATE gdpr_requests SET status = %s, outcome = %s WHERE request_id = %s",
            (status, outcome, request_id),
        )


def test_what_was_open_beside_a_failed_request_ends_with_the_erasure(memory: Memory) -> None:
    subject = uuid4()
    memory.erasure(subject, "r1", complete=True)
    failed_request(memory, subject, "r1")
    memory.restored_request(subject, "r2")
    memory.reconcile()
    assert memory.request("r1")["status"] == "completed"
    assert (memory.request("r2")["status"], memory.request("r2")["outcome"]) == ("failed", "cancelled")


@pytest.mark.parametrize("status", ["pending", "processing"])
def test_a_request_of_who_came_back_is_not_ended_by_the_erasure_before(memory: Memory, status: str) -> None:
    subject = uuid4()
    memory.erasure(subject, "r1", complete=True)
    failed_request(memory, subject, "r1")
    memory.restored_request(subject, "r2")
    memory.ops.execute(
        "UPDATE gdpr_requests SET status = %s, created_at = %s WHERE request_id = 'r2'",
        (status, memory.now + timedelta(days=1)),
    )
    assert memory.reconcile().scrubbed == 1
    assert (memory.request("r1")["status"], memory.request("r2")["status"]) == ("failed", status)
    assert memory.request("r2")["requestor_email"] == "anna@example.org"
    memory.ops.execute("UPDATE gdpr_requests SET status = 'processing' WHERE request_id = 'r2'")
    memory.ops.execute("UPDATE gdpr_requests SET status = 'completed' WHERE request_id = 'r2'")
    memory.reconcile()
    assert memory.request("r1")["status"] == "completed", "the next time"


def test_a_certificate_that_is_not_genuine_completes_nothing(memory: Memory) -> None:
    subject = uuid4()
    memory.erasure(subject, "r1", complete=False)
    memory.restored_request(subject, "r1")
    memory.ledger.put("certificates/r1.json", b'{"certificate": {}, "key_id": "x", "signature": ""}')
    with pytest.raises(CheckFailed):
        memory.reconcile()
    assert memory.request("r1")["status"] == "pending"


def test_an_empty_ledger_changes_nothing(memory: Memory) -> None:
    memory.restored_request(uuid4(), "r1")
    assert memory.reconcile() == Reconciled(0, 0, 0, 0, 0)
    assert memory.request("r1")["requestor_email"] == "anna@example.org"
