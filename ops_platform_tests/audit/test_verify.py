"""Every way a superuser can falsify the ledger is found, and nothing else is reported."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ops_platform.audit import chain
from ops_platform.audit import keys as audit_keys
from ops_platform.audit.batch import snapshot
from ops_platform.audit.encoding import leaves
from ops_platform.audit.keys import SigningKey
from ops_platform.audit.merkle import MerkleTree
from ops_platform.audit.seal import PREFIX, SealCopy, SignedSeal, object_key, parse, sign
from ops_platform.audit.sealer import last_seal
from ops_platform.audit.verify import verify
from ops_platform.clients.object_store.s3_errors import ObjectStoreRefused, ObjectStoreUnavailable
from ops_platform.local.servers.object_store_server import ObjectStoreServer
from ops_platform_tests.audit.rig import Rig, store_of

pytestmark = pytest.mark.services


@pytest.fixture
def sealed(rig: Rig) -> Rig:
    """Nine events under three seals."""
    for _ in range(3):
        rig.events(3)
        rig.seal()
    return rig


@pytest.fixture
def now() -> datetime:
    """When seals are no longer so new that a sealer may still be recording them."""
    return datetime.now(UTC) + 2 * chain.ADOPTION


def test_an_intact_ledger_has_no_findings_and_its_tail_is_told(sealed: Rig) -> None:
    assert verify(sealed.connect(), sealed.store, sealed.public_pem) == []
    sealed.events(2)
    check = sealed.check()
    assert (check.findings, check.seals, check.events, check.unsealed) == ([], 3, 9, 2)
    assert check.oldest_unsealed_at is not None
    assert datetime.now(UTC) - check.oldest_unsealed_at < timedelta(minutes=1)


def test_what_is_sealed_meanwhile_is_no_difference(sealed: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    ask = sealed.store.object_lock_enabled

    def meanwhile() -> bool:
        for _ in range(2):
            sealed.events(2)
            sealed.seal()
        return ask()

    monkeypatch.setattr(sealed.store, "object_lock_enabled", meanwhile)
    check = sealed.check()
    assert (check.findings, check.events) == ([], 9)
    assert any("made while this ran" in note for note in check.notes)


def test_any_change_of_any_column_is_found(sealed: Rig) -> None:
    assignments = [
        "actor = 'somebody else'",
        "outcome = 'success'",
        "details = '{\"number\": 7}'",
        "details = '{\"number\": 0.0}'",
        'commitments = \'{"a": "b"}\'',
        "occurred_at = occurred_at + interval '1 microsecond'",
        "event_id = gen_random_uuid()",
        "object = ''",
        "phase = 'outcome', outcome = 'failed'",
    ]
    sealed.attack(
        *(
            f"UPDATE audit_events SET {assignment} WHERE id = {number}"
            for number, assignment in enumerate(assignments, start=1)
        )
    )
    assert sealed.findings() == [
        f"event {number}: was changed after it was sealed (seal {(number + 2) // 3})"
        for number in range(1, 10)
    ]


def test_a_removed_event_is_found(sealed: Rig) -> None:
    sealed.attack("DELETE FROM audit_events WHERE id IN (1, 9)")
    assert sealed.findings() == [
        "event 1: was removed after it was sealed (seal 1)",
        "event 9: was removed after it was sealed (seal 3)",
    ]


def test_an_event_inserted_into_a_sealed_range_is_found(sealed: Rig) -> None:
    sealed.attack(
        "INSERT INTO audit_events (event_id, actor, action, phase, operation_id, object, xid) "
        "SELECT gen_random_uuid(), 'a', 'a', 'event', 'o', 'o', xid FROM audit_events WHERE id = 5"
    )
    assert sealed.findings() == ["event 10: was inserted into a sealed range (seal 2)"]


def test_events_inserted_beside_the_seals_are_found(sealed: Rig) -> None:
    sealed.attack(
        "INSERT INTO audit_events (event_id, actor, action, phase, operation_id, object, epoch, xid) "
        "SELECT gen_random_uuid(), 'a', 'a', 'event', 'o', 'o', epoch, xid::xid8 "
        "FROM (VALUES (0, '5'), (1, '18446744073709551615'), (2, '5'), (2, '6')) AS forged (epoch, xid)"
    )
    assert [finding.split(":")[0] for finding in sealed.findings()] == [
        "event 10",
        "event 11",
        "events 12, 13 (2)",
    ]


def test_reordering_is_found(sealed: Rig) -> None:
    sealed.attack(
        "ALTER TABLE audit_events ALTER id DROP IDENTITY",
        "UPDATE audit_events SET id = 100 WHERE id = 4",
        "UPDATE audit_events SET id = 4 WHERE id = 5",
        "UPDATE audit_events SET id = 5 WHERE id = 100",
    )
    assert [finding.split(":")[0] for finding in sealed.findings()] == [
        "column public.audit_events.id",
        "event 4",
        "event 5",
    ]


def test_events_moved_between_seals_are_found(sealed: Rig) -> None:
    sealed.attack("UPDATE audit_events SET xid = (SELECT xid FROM audit_events WHERE id = 9) WHERE id = 1")
    assert sealed.findings() == [
        "event 1: was removed after it was sealed (seal 1)",
        "event 1: was inserted into a sealed range (seal 3)",
    ]


def test_many_differences_are_counted_and_not_all_listed(rig: Rig) -> None:
    rig.events(50, per_transaction=50)
    rig.seal()
    rig.attack("UPDATE audit_events SET actor = 'x'")
    findings = rig.findings()
    assert len(findings) == 21
    assert findings[-1] == "seal 1: 30 more of its events differ"


def test_truncation_of_events_and_seals_together_is_found_through_the_bucket(
    sealed: Rig, now: datetime
) -> None:
    sealed.attack("DELETE FROM audit_seals WHERE number >= 2", "DELETE FROM audit_events WHERE id >= 4")
    findings = sealed.findings(now=now)
    assert [finding for finding in findings if finding.startswith("seal")] == [
        "seal 2: in the bucket but not in the database: removed from audit_seals, or restored to before it",
        "seal 3: in the bucket but not in the database: removed from audit_seals, or restored to before it",
    ]
    assert sum("was removed after it was sealed" in finding for finding in findings) == 6
    # At once, too: no sealer is at work that could be recording them.
    assert len(sealed.findings()) == 8


def test_emptying_both_tables_is_found(sealed: Rig, now: datetime) -> None:
    sealed.attack("TRUNCATE audit_events, audit_seals")
    assert len(sealed.findings(now=now)) == 12


def test_columns_that_belie_their_document_are_found(sealed: Rig) -> None:
    sealed.attack(
        "UPDATE audit_seals SET row_count = 4, merkle_root = repeat('0', 64) WHERE number = 1",
        "UPDATE audit_seals SET to_xid = '1', opens = 3 WHERE number = 2",
        "UPDATE audit_seals SET sealed_at = sealed_at + interval '1 microsecond' WHERE number = 3",
    )
    told = [(1, "row_count"), (1, "merkle_root"), (2, "opens"), (2, "to_xid"), (3, "sealed_at")]
    assert sealed.findings() == [
        f"seal {number}: column {name} is not what the signed document says" for number, name in told
    ]


def test_a_seal_rewritten_without_the_key_is_found(sealed: Rig) -> None:
    """The attacker changes an event and makes every seal, hash and column consistent with it."""
    sealed.attack("UPDATE audit_events SET actor = 'nobody' WHERE id = 5")
    _rewrite(sealed, SigningKey(audit_keys.generate()[0]), keep_key_id=True)
    findings = sealed.findings()
    assert "seal 2: its signature is not that of its document: forged or altered" in findings
    assert "seal 2: the row differs from the locked copy in the bucket: the row was rewritten" in findings
    assert "event 5: was changed after it was sealed (seal 2)" in findings


def test_a_seal_rewritten_with_another_key_is_found(sealed: Rig) -> None:
    sealed.attack("UPDATE audit_events SET actor = 'nobody' WHERE id = 5")
    _rewrite(sealed, SigningKey(audit_keys.generate()[0]), keep_key_id=False)
    assert any(re.match(r"seal 2: signed with an unknown key", finding) for finding in sealed.findings())


def test_a_seal_rewritten_with_the_stolen_key_is_found_through_the_bucket(sealed: Rig) -> None:
    sealed.attack("UPDATE audit_events SET actor = 'nobody' WHERE id = 5")
    _rewrite(sealed, sealed.key, keep_key_id=True)
    assert sealed.findings() == [
        "seal 2: the row differs from the locked copy in the bucket: the row was rewritten",
        "event 5: was changed after it was sealed (seal 2)",
        "seal 3: the row differs from the locked copy in the bucket: the row was rewritten",
    ]


def test_forged_signatures_and_documents_are_found(sealed: Rig) -> None:
    sealed.attack(
        "UPDATE audit_seals SET signature = 'AAAA' WHERE number = 1",
        "UPDATE audit_seals SET signature = '?' WHERE number = 2",
        "UPDATE audit_seals SET document = '{}' WHERE number = 3",
    )
    assert {finding.split(":")[0] for finding in sealed.findings()} == {"seal 1", "seal 2", "seal 3"}


def test_copies_cannot_be_deleted_and_hiding_them_is_found(
    sealed: Rig, object_store: ObjectStoreServer
) -> None:
    [version] = sealed.store.versions(object_key(3))
    for role in ("ledger", "admin"):
        store = store_of(object_store, sealed.store.prefix, role)
        with pytest.raises(ObjectStoreRefused, match="locked"):
            store.delete(object_key(3), version.version_id)
    sealed.store.delete(object_key(2))
    where = f"copy {sealed.store.uri(object_key(2))}"
    assert sealed.findings() == [f"{where}: is hidden by a delete marker"]
    sealed.store.put(object_key(2), b"junk")
    assert f"{where}: was written 2 times" in sealed.findings()


def test_a_copy_that_vanishes_is_found_while_its_lock_should_hold(sealed: Rig, now: datetime) -> None:
    """A bucket without its copies, as a store that does not keep its word would leave it."""
    sealed.store.prefix = "nowhere/"
    assert sealed.findings(now=now) == [
        f"seal {number}: its copy is missing from the bucket, though its lock has not ended"
        for number in (1, 2, 3)
    ]
    late = sealed.check(now=now + timedelta(days=66))
    assert [finding.what[:13] for finding in late.findings] == ["is the newest"]
    assert any("older than their object lock" in note for note in late.notes)
    sealed.attack("UPDATE audit_events SET actor = 'nobody' WHERE id = 5")
    late = sealed.check(now=now + timedelta(days=66))
    assert [str(f) for f in late.findings][:-1] == [
        "seal 2: its 3 events (ids 4 to 6) are not those that were sealed"
    ]


def test_a_copy_without_its_lock_is_found(sealed: Rig, now: datetime) -> None:
    body = sealed.store.get(object_key(3))
    sealed.store.prefix = "unlocked/"
    sealed.store.put(object_key(3), body)
    assert any("not locked as long" in finding for finding in sealed.findings(now=now))


def test_a_genuine_copy_under_another_number_is_found(sealed: Rig, now: datetime) -> None:
    sealed.store.put(object_key(4), sealed.store.get(object_key(3)))
    sealed.store.put(f"{PREFIX}notes.txt", b"hello")
    findings = sealed.findings(now=now)
    assert f"copy {sealed.store.uri(object_key(4))}: is seal 3, moved" in findings
    assert f"copy {sealed.store.uri(PREFIX)}notes.txt: is not the name of a seal" in findings


def test_a_gap_in_the_chain_is_found(sealed: Rig, now: datetime) -> None:
    sealed.attack("DELETE FROM audit_seals WHERE number = 2")
    sealed.store.prefix = "nowhere/"
    findings = sealed.findings(now=now)
    assert "seal 2: missing from the database and from the bucket" in findings
    assert any(finding.startswith("events 4, 5, 6 (3): in no seal's range") for finding in findings)


@pytest.mark.parametrize(
    ("number", "changes", "said"),
    [
        (2, {"retain_until": "2020-01-01T00:00:00+00:00"}, "seal 3: does not continue seal 2"),
        (3, {"from_xid": 1}, "seal 3: starts at 1/1, not where the one before ended"),
        (3, {"epoch": 4}, "seal 3: starts at 4/"),
    ],
)
def test_seals_that_do_not_fit_together_are_found_even_if_signed(
    sealed: Rig, now: datetime, number: int, changes: dict[str, Any], said: str
) -> None:
    """The key is stolen and the copies are gone: the chain itself still has to hold."""
    row = (
        sealed.connect()
        .execute("SELECT document, signature FROM audit_seals WHERE number = %s", (number,))
        .fetchall()[0]
    )
    forged = sign(replace(parse(row["document"], row["signature"]).seal, **changes), sealed.key)
    sealed.attack(
        f"UPDATE audit_seals SET document = '{forged.document}', signature = '{forged.signature_text()}', "
        f"epoch = {forged.seal.epoch}, from_xid = '{forged.seal.from_xid}' WHERE number = {number}"
    )
    sealed.store.prefix = "nowhere/"
    findings = sealed.findings(now=now + timedelta(days=99))
    assert any(finding.startswith(said) for finding in findings), findings


def test_what_cannot_be_read_is_an_error_and_not_a_verdict(
    sealed: Rig, object_store: ObjectStoreServer
) -> None:
    sealed.store = store_of(object_store, sealed.store.prefix, endpoint_url="https://127.0.0.1:1")
    with pytest.raises(ObjectStoreUnavailable):
        sealed.check()
    sealed.store = store_of(object_store, sealed.store.prefix, "media")
    with pytest.raises(ObjectStoreRefused):
        sealed.check()


def test_a_bucket_without_object_lock_proves_nothing(sealed: Rig, object_store: ObjectStoreServer) -> None:
    sealed.store = store_of(object_store, "", "admin", bucket=object_store.bucket("media"))
    assert "has no object lock" in sealed.findings()[0]


def _rewrite(rig: Rig, key: SigningKey, *, keep_key_id: bool) -> None:
    """Make seals 2 and 3 anew over what the table holds now, consistently, and put them into the table."""
    connection = rig.connect()
    signed: list[SignedSeal] = []
    for number in (1, 2, 3):
        row = connection.execute(
            "SELECT document, signature FROM audit_seals WHERE number = %s", (number,)
        ).fetchall()[0]
        original = SealCopy.parse(f"{row['document']}\n{row['signature']}\n".encode()).signed
        if number == 1:
            signed.append(original)
            continue
        connection.commit()
        tree = MerkleTree()
        with snapshot(connection):
            for leaf in leaves(
                connection,
                "xid >= %s::text::xid8 AND xid < %s::text::xid8",
                [str(original.seal.from_xid), str(original.seal.to_xid)],
            ):
                tree.add(leaf.hash)
        forged = replace(
            original.seal,
            merkle_root=tree.root().hex(),
            previous=signed[-1].hash,
            key_id=original.seal.key_id if keep_key_id else key.key_id,
        )
        signed.append(sign(forged, key))
    assert last_seal(connection) is not None
    rig.attack(
        *(
            f"UPDATE audit_seals SET document = '{seal.document}', signature = '{seal.signature_text()}', "
            f"merkle_root = '{seal.seal.merkle_root}', previous_hash = '{seal.seal.previous}', "
            f"key_id = '{seal.seal.key_id}' WHERE number = {seal.seal.number}"
            for seal in signed[1:]
        )
    )
