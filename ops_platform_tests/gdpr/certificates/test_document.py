"""Certificates: what is signed, who can check it, and everything that is not genuine."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from click.testing import CliRunner

from ops_platform.audit.keys import PublicKeys, SigningKey, generate
from ops_platform.cli.gdpr import gdpr
from ops_platform.clients.object_store.bucket import ObjectStore
from ops_platform.clients.postgres import connection as postgres
from ops_platform.clients.postgres.connection import Connection
from ops_platform.errors import CheckFailed
from ops_platform.gdpr.certificates import certificate_store as certificates
from ops_platform.gdpr.certificates import document as certificate
from ops_platform.gdpr.certificates.document import Issued, NotGenuine
from ops_platform.gdpr.data_map.model import DataMap
from ops_platform.gdpr.lineage.effect import Effect
from ops_platform.gdpr.subject.subject_key import SubjectKey
from ops_platform.gdpr.tombstones.entry import Tombstone
from ops_platform.local.servers.object_store_server import ObjectStoreServer
from ops_platform_tests.gdpr.other_stores import store
from ops_platform_tests.services import OpsDatabase

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
UNTIL = datetime.now(UTC) + timedelta(days=1)
"""S3 takes no lock that ends in the past."""
PRIVATE, PUBLIC = generate()
KEY, KEYS = SigningKey(PRIVATE), PublicKeys.parse(PUBLIC)
SUBJECT = SubjectKey("product", "creator", "0f5b2c00-0000-4000-8000-000000000001", "uuid")
SALT = bytes(range(32))
EFFECTS = (
    Effect("postgresql", "posts", "author", "delete", 3, 3, 0),
    Effect("postgresql", "ledger_entries", "payee", "keep", 12, 0, 12),
    Effect("s3", "media/creators/{id}/", "owner", "delete", 2, 2, 0),
)


def tombstone(request_id: str = "r1") -> Tombstone:
    return Tombstone(SUBJECT, NOW - timedelta(minutes=5), request_id, "m1", SALT)


def composed(demo_map: DataMap, request_id: str = "r1") -> dict[str, Any]:
    return certificate.compose(
        tombstone(request_id),
        demo_map,
        EFFECTS,
        proof=[{"table": "posts", "rows_beside": 20, "changed_beside": 0}],
        residue={},
        backups_expire_at=NOW + timedelta(days=44),
        now=NOW,
    )


@pytest.fixture
def genuine(demo_map: DataMap) -> Issued:
    return certificate.sign(composed(demo_map), KEY)


def test_it_says_what_was_done_what_is_kept_and_what_still_expires(genuine: Issued) -> None:
    said = certificate.verify(genuine.as_file().encode(), KEYS)
    assert said["request_id"] == "r1"
    assert said["cutoff"] == "2026-03-01T11:55:00+00:00"
    assert said["last_backup_expires_at"] == "2026-04-14T12:00:00+00:00"
    assert said["effects"][0]["place"] == "posts"
    [kept] = said["kept_by_law"]
    assert (kept["table"], kept["rows"]) == ("ledger_entries", 12)
    assert "Art. 17(3)(b)" in kept["basis"]
    assert "VACUUM" in " ".join(said["limits"])


def test_it_says_how_others_were_told_apart_and_what_they_lost(demo_map: DataMap) -> None:
    told_apart = {"by_foreign_keys": ["posts"], "by_data_map_only": ["audit_logs"], "not_at_all": []}
    follows = {"table": "follows", "role": "follower", "reached_by": ["another creator's"], "rows": 2}
    said = certificate.compose(
        tombstone(),
        demo_map,
        (),
        proof=(),
        residue={},
        backups_expire_at=NOW,
        now=NOW,
        about_others={
            "others_told_apart": told_apart,
            "shared_with_others": [{**follows, "becomes": becomes} for becomes in ("delete", "keep")],
        },
    )
    assert said["others_told_apart"] == told_apart
    lost, kept = said["shared_with_others"]
    assert lost["rows"] == 2
    assert "gone for them" in lost["consequence"]
    assert "stay as they were" in kept["consequence"]


def test_it_names_nobody_and_only_the_salt_tells_whom_it_is_about(genuine: Issued) -> None:
    assert SUBJECT.key not in genuine.as_file()
    said = json.loads(genuine.document)
    assert said["commitment"] == certificate.commitment(SUBJECT, SALT)
    others = (certificate.commitment(SUBJECT, bytes(32)), certificate.commitment(SUBJECT, b""))
    assert said["commitment"] not in others
    assert said["commitment"] != certificate.commitment(replace(SUBJECT, key=str(uuid4())), SALT)
    # Where one part ends and the next begins is part of it.
    moved = replace(SUBJECT, stanza="productc", kind="reator")
    assert said["commitment"] != certificate.commitment(moved, SALT)


@pytest.mark.parametrize(
    ("effects", "residue"),
    [
        ((Effect("s3", "media/{id}/", "owner", "delete", 2, 1, 1),), {}),
        ((), {"notes.body": 1}),
        ((Effect("processor", "Newsletter service", "recipient", "tell", 1, 0, 1),), {}),
    ],
)
def test_nothing_is_certified_while_something_is_left(
    demo_map: DataMap, effects: tuple[Effect, ...], residue: dict[str, int]
) -> None:
    with pytest.raises(CheckFailed, match="while something is left"):
        certificate.compose(
            tombstone(), demo_map, effects, proof=[], residue=residue, backups_expire_at=NOW, now=NOW
        )


def forged(genuine: Issued, change: Callable[[dict[str, Any]], None]) -> bytes:
    wrapped = json.loads(genuine.as_file())
    change(wrapped)
    return json.dumps(wrapped).encode()


def nested(depth: int) -> bytes:
    return b'{"certificate":' + b"[" * depth + b"]" * depth + b',"key_id":"k","signature":"s"}'


CHANGES: dict[str, Callable[[dict[str, Any]], None]] = {
    "another request": lambda w: w["certificate"].update(request_id="r2"),
    "another count": lambda w: w["certificate"]["effects"][0].update(changed=4),
    "true for one": lambda w: w["certificate"]["effects"][0].update(changed=True),
    "a claim added": lambda w: w["certificate"].update(approved="yes"),
    "a limit removed": lambda w: w["certificate"]["limits"].pop(),
    "another signature": lambda w: w.update(signature=base64.b64encode(bytes(64)).decode()),
    "a signature that is too short": lambda w: w.update(signature="AAAA"),
    "a signature that is no base64": lambda w: w.update(signature="%%%"),
    "no signature": lambda w: w.pop("signature"),
    "a signature that is no text": lambda w: w.update(signature=None),
    "something beside": lambda w: w.update(note="trust me"),
    "another key": lambda w: w.update(key_id="0" * 16),
    "a key that is no text": lambda w: w.update(key_id=["x"]),
    "a list for the certificate": lambda w: w.update(certificate=[]),
    "an empty certificate": lambda w: w.update(certificate={}),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_what_was_changed_is_not_genuine(genuine: Issued, change: Callable[[dict[str, Any]], None]) -> None:
    with pytest.raises(NotGenuine) as refused:
        certificate.verify(forged(genuine, change), KEYS)
    assert "\n" not in str(refused.value)


def test_spaces_and_order_do_not_matter(genuine: Issued) -> None:
    wrapped = json.loads(genuine.as_file())
    turned = {
        name: dict(reversed(value.items())) if isinstance(value, dict) else value
        for name, value in wrapped.items()
    }
    assert certificate.verify(json.dumps(turned, indent=7).encode(), KEYS) == wrapped["certificate"]


BAD_FILES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda good: b"",
    "cut off": lambda good: good[:-10],
    "no JSON": lambda good: b"%PDF-1.7",
    "no UTF-8": lambda good: b"\xff\xfe" + good,
    "NUL bytes": lambda good: b"\x00" * 100,
    "two documents": lambda good: good + good,
    "a name twice": lambda good: good.replace(b'"key_id"', b'"key_id": "x", "key_id"', 1),
    "NaN": lambda good: good.replace(b'"residue_rows": 0', b'"residue_rows": NaN'),
    "a fraction": lambda good: good.replace(b'"residue_rows": 0', b'"residue_rows": 0.0'),
    "a huge number": lambda good: good.replace(b'"residue_rows": 0', b'"residue_rows": ' + b"9" * 5000),
    "an exponent": lambda good: good.replace(b'"residue_rows": 0', b'"residue_rows": 1e999'),
    "a lone surrogate": lambda good: good.replace(b'"r1"', b'"\\ud800"'),
    "a number": lambda good: b"7",
    "null": lambda good: b"null",
    "nested": lambda good: nested(900),
    "nested deep": lambda good: nested(1_000_000),
    "too large": lambda good: b" " * (certificate.LARGEST + 1),
}


@pytest.mark.parametrize("spoil", BAD_FILES.values(), ids=BAD_FILES.keys())
def test_a_file_that_is_no_certificate_is_one_line(genuine: Issued, spoil: Callable[[bytes], bytes]) -> None:
    good = genuine.as_file().encode()
    assert spoil(good) != good
    with pytest.raises(NotGenuine) as refused:
        certificate.verify(spoil(good), KEYS)
    assert "\n" not in str(refused.value)


def test_another_document_of_the_same_key_is_no_certificate() -> None:
    other = certificate.sign(
        {"format": "something else", "request_id": "r", "certificate_id": "c", "issued_at": NOW.isoformat()},
        KEY,
    )
    with pytest.raises(NotGenuine, match="no erasure certificate"):
        certificate.verify(other.as_file().encode(), KEYS)


def test_a_rotated_key_still_verifies(genuine: Issued) -> None:
    _, newer = generate()
    both = PublicKeys.parse(newer + PUBLIC)
    assert certificate.verify(genuine.as_file().encode(), both)["request_id"] == "r1"


class TestCommand:
    @pytest.fixture
    def run(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
        public = tmp_path / "public.pem"
        public.write_text(PUBLIC, encoding="utf-8")
        monkeypatch.setenv("OPS_DATABASE_URL", "unused")
        monkeypatch.setenv("OPS_GDPR_PUBLIC_KEY_FILE", str(public))

        def run(content: bytes, *arguments: str) -> Any:
            file = tmp_path / "certificate.json"
            file.write_bytes(content)
            return CliRunner().invoke(gdpr, ["verify-certificate", str(file), *arguments])

        return run

    def test_a_genuine_one_is_shown(self, run: Callable[..., Any], genuine: Issued) -> None:
        ended = run(genuine.as_file().encode())
        assert ended.exit_code == 0, ended.output
        assert "genuine" in ended.output
        assert "ledger_entries" in ended.output
        ended = run(genuine.as_file().encode(), "--json")
        assert json.loads(ended.output)["request_id"] == "r1"

    def test_a_changed_one_is_refused(self, run: Callable[..., Any], genuine: Issued) -> None:
        ended = run(forged(genuine, CHANGES["another count"]))
        assert isinstance(ended.exception, NotGenuine)
        assert ended.exception.exit_code == 1

    def test_without_a_key_it_says_which(
        self, run: Callable[..., Any], genuine: Issued, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.delenv("OPS_GDPR_PUBLIC_KEY_FILE")
        ended = run(genuine.as_file().encode())
        assert getattr(ended.exception, "exit_code", None) == 2
        assert "OPS_GDPR_PUBLIC_KEY" in str(ended.exception)
        issuer = tmp_path / "issuer.pem"
        issuer.write_text(PUBLIC, encoding="utf-8")
        assert run(genuine.as_file().encode(), "--public-key", str(issuer)).exit_code == 0

    def test_a_file_that_is_not_there_is_a_usage_error(self) -> None:
        assert CliRunner().invoke(gdpr, ["verify-certificate", "/no/such/file"]).exit_code == 2


@pytest.mark.services
class TestIssued:
    @pytest.fixture
    def ops(self, ops_database: OpsDatabase) -> Iterator[Connection]:
        with postgres.connect(ops_database.url("ops_worker"), autocommit=True) as connection:
            yield connection

    @pytest.fixture
    def ledger(self, object_store: ObjectStoreServer) -> ObjectStore:
        return store(object_store, "ledger")

    def test_there_is_exactly_one_however_often_it_is_issued(
        self, ops: Connection, ledger: ObjectStore, demo_map: DataMap
    ) -> None:
        first = certificates.issue(ops, ledger, KEY, composed(demo_map), lock_until=UNTIL)
        again = certificates.issue(ops, ledger, KEY, composed(demo_map), lock_until=UNTIL)
        assert again == first
        assert certificates.find(ops, "r1") == first
        assert [one.key for one in ledger.versions("certificates/")] == ["certificates/r1.json"]
        kept = certificate.verify(ledger.get("certificates/r1.json"), KEYS)
        assert kept["certificate_id"] == first.certificate_id
        assert ledger.retention("certificates/r1.json") is not None

    def test_an_auditor_gets_it_by_its_request(
        self,
        ops: Connection,
        ops_database: OpsDatabase,
        ledger: ObjectStore,
        object_store: ObjectStoreServer,
        demo_map: DataMap,
        tmp_path: Path,
    ) -> None:
        environ = {
            **object_store.settings_environment(),
            "OPS_CA_FILE": str(object_store.ca_file),
            "OPS_S3_LEDGER_PREFIX": ledger.prefix,
            "OPS_DATABASE_URL": ops_database.url("ops_worker"),
            "OPS_GDPR_PUBLIC_KEY": PUBLIC,
        }

        def certificate_of(request_id: str) -> Any:
            return CliRunner(env=environ).invoke(gdpr, ["certificate", request_id])

        ended = certificate_of("r1")
        assert isinstance(ended.exception, CheckFailed)
        first = certificates.issue(ops, ledger, KEY, composed(demo_map), lock_until=UNTIL)
        ended = certificate_of("r1")
        assert (ended.exit_code, ended.output) == (0, first.as_file())
        # What the ops database has lost is in the ledger; what was replaced in it is not handed out.
        with ops_database.superuser() as superuser:
            superuser.execute("ALTER TABLE gdpr_certificates DISABLE TRIGGER ALL")
            superuser.execute("DELETE FROM gdpr_certificates")
        assert certificate_of("r1").output == first.as_file()
        certificates.adopt(ops, certificate.sign(composed(demo_map), KEY))
        ended = certificate_of("r1")
        assert isinstance(ended.exception, CheckFailed)
        assert "different certificates" in str(ended.exception)

    def test_two_workers_at_once_issue_one(
        self, ops_database: OpsDatabase, ledger: ObjectStore, demo_map: DataMap
    ) -> None:
        ledger.client  # noqa: B018 - built once, before threads share it

        def work(_: int) -> str:
            with postgres.connect(ops_database.url("ops_worker"), autocommit=True) as ops:
                return certificates.issue(
                    ops, ledger, KEY, composed(demo_map), lock_until=UNTIL
                ).certificate_id

        with ThreadPoolExecutor(4) as pool:
            assert len(set(pool.map(work, range(8)))) == 1

    def test_a_worker_that_died_after_the_copy_or_a_restored_database_adopts_it(
        self, ops: Connection, ops_database: OpsDatabase, ledger: ObjectStore, demo_map: DataMap
    ) -> None:
        first = certificates.issue(ops, ledger, KEY, composed(demo_map), lock_until=UNTIL)
        with ops_database.superuser() as superuser:
            superuser.execute("ALTER TABLE gdpr_certificates DISABLE TRIGGER ALL")
            superuser.execute("DELETE FROM gdpr_certificates")
        again = certificates.issue(ops, ledger, KEY, composed(demo_map), lock_until=UNTIL)
        assert again == first

    def test_nobody_can_hide_or_replace_the_copy(
        self, ops: Connection, ops_database: OpsDatabase, ledger: ObjectStore, demo_map: DataMap
    ) -> None:
        first = certificates.issue(ops, ledger, KEY, composed(demo_map), lock_until=UNTIL)
        ledger.delete("certificates/r1.json")
        ledger.put("certificates/r1.json", b"{}")
        assert certificates.from_ledger(ledger, KEYS, "r1") == first
        assert certificates.issue(ops, ledger, KEY, composed(demo_map), lock_until=UNTIL) == first

    def test_another_one_in_the_ledger_is_an_error(
        self, ops: Connection, ledger: ObjectStore, demo_map: DataMap
    ) -> None:
        ledger.put("certificates/r1.json", certificate.sign(composed(demo_map, "r2"), KEY).as_file().encode())
        with pytest.raises(NotGenuine, match="another request"):
            certificates.issue(ops, ledger, KEY, composed(demo_map), lock_until=UNTIL)
        assert certificates.find(ops, "r1") is None

    def test_the_table_lets_nobody_change_one(
        self, ops_database: OpsDatabase, ops: Connection, ledger: ObjectStore, demo_map: DataMap
    ) -> None:
        certificates.issue(ops, ledger, KEY, composed(demo_map), lock_until=UNTIL)
        with ops_database.superuser() as superuser, pytest.raises(Exception, match="append-only"):
            superuser.execute("UPDATE gdpr_certificates SET document = ''")
