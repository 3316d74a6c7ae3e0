"""Sealing on real services: complete, exactly once, through crashes, outages and rivals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from ops_platform.audit import keys as audit_keys
from ops_platform.audit import sealer
from ops_platform.audit.keys import SigningKey
from ops_platform.audit.ledger import append
from ops_platform.audit.seal import PREFIX, SealCopy, moment, object_key, sign
from ops_platform.audit.sealer import SealRefused, seal
from ops_platform.clients.object_store.s3_errors import ObjectStoreUnavailable
from ops_platform.clients.postgres import connection as postgres
from ops_platform.clients.waiting import wait_until
from ops_platform.errors import OpsError
from ops_platform.local.servers.object_store_server import ObjectStoreServer
from ops_platform_tests.audit.rig import Rig, event, store_of

pytestmark = pytest.mark.services

SCRIPT = """
import os, signal, sys
from pathlib import Path
from ops_platform.audit.keys import SigningKey
from ops_platform.audit.sealer import seal
from ops_platform.clients import postgres
from ops_platform.clients.object_store import ObjectStore
from ops_platform.settings import S3Identity

database, endpoint, bucket, prefix, access, secret, ca, key, fatal = sys.argv[1:]
def step(name):
    if name == fatal:
        os.kill(os.getpid(), signal.SIGKILL)
identity = S3Identity(
    role="ledger", bucket=bucket, prefix=prefix, access_key_id=access, secret_access_key=secret
)
store = ObjectStore(endpoint, "us-east-1", identity, Path(ca))
seal(postgres.connect(database), store, SigningKey(Path(key).read_text()), step=step)
"""


def test_seals_chain_and_cover_everything_once(rig: Rig) -> None:
    rig.events(3)
    first = rig.seal()
    rig.events(2)
    second = rig.seal()
    assert first is not None
    assert second is not None
    assert (first.number, first.rows, second.number, second.rows) == (1, 3, 2, 2)
    assert (first.from_xid, second.from_xid) == (0, first.to_xid)
    copy = SealCopy.parse(rig.store.get(object_key(2)))
    assert copy.signed.seal == second
    assert rig.check().events == 5
    lock = rig.store.retention(object_key(2))
    assert lock is not None
    assert lock.mode == "COMPLIANCE"
    assert lock.until == moment(second.retain_until)
    assert timedelta(days=64) < lock.until - datetime.now(UTC) < timedelta(days=66)


def test_a_quiet_ledger_is_sealed_hourly_and_not_each_minute(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = rig.seal()
    assert first is not None
    assert first.rows == 0
    assert rig.seal() is None
    monkeypatch.setattr(sealer, "QUIET_SECONDS", 0)
    second = rig.seal()
    assert second is not None
    assert (second.number, second.rows) == (2, 0)
    assert rig.findings() == []


def test_batches_are_bounded_and_never_split_a_transaction(rig: Rig) -> None:
    rig.events(7)
    rig.events(6, per_transaction=6)
    rig.events(1)
    made = rig.seal_all(batch_rows=3)
    assert [seal.rows for seal in made] == [3, 3, 1, 6, 1]
    assert rig.findings() == []


def test_transaction_ids_are_ordered_as_numbers(rig: Rig) -> None:
    """Ordered as texts, 1000 came before 999: events went into no seal."""
    with rig.superuser() as superuser:
        superuser.execute(
            """
            INSERT INTO audit_events (event_id, actor, action, phase, operation_id, object, xid)
            SELECT gen_random_uuid(), 'a', 'a', 'event', 'o', 'o', xid::text::xid8
            FROM unnest(ARRAY[9, 100, 10, 11, 99, 8]) AS xid
            """
        )
    assert [seal.rows for seal in rig.seal_all(batch_rows=2)] == [2, 2, 2]
    assert rig.check().events == 6
    assert rig.findings() == []


def test_a_slow_writer_is_never_overtaken(rig: Rig) -> None:
    slow = rig.connect()
    append(slow, event(1))
    slow.execute("SAVEPOINT nested")
    append(slow, event(2))
    rig.events(5)
    early = rig.seal()
    assert early is None or early.rows == 0
    slow.commit()
    late = rig.seal()
    assert late is not None
    assert late.rows == 7
    assert rig.findings() == []


@pytest.mark.parametrize("fatal", ["decide", "put", "insert", "done"])
def test_a_kill_at_any_step_leaves_every_event_sealed_once(
    rig: Rig, object_store: ObjectStoreServer, tmp_path: Path, fatal: str
) -> None:
    rig.events(3)
    key = tmp_path / "key.pem"
    key.write_text(rig.private_pem)
    killed = subprocess.run(
        [
            sys.executable,
            "-c",
            SCRIPT,
            rig.database.url("ops_agent"),
            object_store.endpoint_url,
            rig.store.bucket,
            rig.store.prefix,
            object_store.access_key_id("ledger"),
            object_store.secret_access_key("ledger"),
            str(object_store.ca_file),
            str(key),
            fatal,
        ],
        env=os.environ,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    # In the bucket only: its row could have been deleted, too. It is told until it is recorded.
    assert [finding.where for finding in rig.check().findings] == ["seal 1"] * (fatal == "insert")
    rig.events(2)
    wait_until(lambda: sum(seal.rows for seal in rig.seal_all()) or None, 10, "rows are sealed")
    check = rig.check()
    assert (check.findings, check.events, check.unsealed) == ([], 5, 0)
    assert len(list(rig.store.versions(PREFIX))) == check.seals


def test_two_sealers_at_once(rig: Rig) -> None:
    rig.events(20)
    with ThreadPoolExecutor(4) as pool:
        made = [
            seal for seal in pool.map(lambda _: rig.seal(batch_rows=4), range(12)) if seal is not None
        ] + rig.seal_all(batch_rows=4)
    assert sorted(seal.number for seal in made) == [1, 2, 3, 4, 5]
    assert rig.check().findings == []


def test_a_rival_without_the_lock_is_stopped_by_the_bucket(rig: Rig) -> None:
    """A sealer whose session died still runs: its lock is gone, its put is not."""
    rig.events(2)

    def rival(step: str) -> None:
        if step == "put":
            rig.events(1)
            with rig.superuser() as superuser:
                superuser.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_locks "
                    "WHERE locktype = 'advisory' AND pid <> pg_backend_pid() "
                    "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
                )
            wait_until(rig.seal, 10, "there is something to seal")

    with pytest.raises((OpsError, psycopg.Error)):
        rig.seal(step=rival)
    rig.seal_all()
    check = rig.check()
    assert (check.findings, check.events) == ([], 3)


def test_writers_with_long_transactions_while_sealers_run(rig: Rig) -> None:
    stop = threading.Event()

    def write(number: int) -> int:
        written = 0
        with postgres.connect(rig.database.url()) as connection:
            while not stop.is_set():
                for _ in range(3):
                    append(connection, event(number))
                    time.sleep(0.003 * number)
                if written % 4 == 3:
                    connection.rollback()
                else:
                    connection.commit()
                written += 1
        return 3 * (written - written // 4)

    def run_sealer() -> None:
        while not stop.is_set():
            rig.seal(batch_rows=20)

    with ThreadPoolExecutor(8) as pool:
        writers = [pool.submit(write, number) for number in range(1, 6)]
        sealers = [pool.submit(run_sealer) for _ in range(2)]
        try:
            time.sleep(4)
            live = rig.check()
        finally:
            stop.set()
        total = sum(writer.result() for writer in writers)
        for running in sealers:
            running.result()
    rig.seal_all()
    final = rig.check()
    assert live.findings == []
    assert (final.findings, final.events, final.unsealed) == ([], total, 0)
    assert final.seals > 3


def test_an_outage_of_the_store_is_caught_up(rig: Rig, object_store: ObjectStoreServer) -> None:
    rig.events(2)
    there = rig.store
    rig.store = store_of(object_store, there.prefix, endpoint_url="https://127.0.0.1:1")
    with pytest.raises(ObjectStoreUnavailable):
        rig.seal()
    rig.store = there
    rig.events(2)
    assert [seal.rows for seal in rig.seal_all()] == [4]
    assert rig.findings() == []


def test_the_signing_key_can_be_rotated(rig: Rig) -> None:
    rig.events(1)
    rig.seal()
    private, public = audit_keys.generate()
    retired, rig.private_pem = rig.public_pem, private
    rig.events(1)
    with pytest.raises(SealRefused, match="OPS_AUDIT_PUBLIC_KEY"):
        rig.seal()
    rig.public_pem = retired + public
    assert rig.seal(keys=rig.keys) is not None
    assert rig.findings() == []
    rig.public_pem = public
    assert any("unknown key" in finding for finding in rig.findings())


def test_sealing_on_a_forged_seal_is_refused(rig: Rig) -> None:
    rig.events(1)
    rig.seal()
    rig.attack("UPDATE audit_seals SET document = replace(document, '\"rows\":1', '\"rows\":2')")
    rig.events(1)
    with pytest.raises(SealRefused, match="not signed"):
        rig.seal()


def test_an_object_that_blocks_sealing_is_named(rig: Rig) -> None:
    rig.events(1)
    rig.store.put(object_key(1), b"junk")
    with pytest.raises(SealRefused, match="blocks sealing"):
        rig.seal()
    assert any("not a seal" in finding for finding in rig.findings())


def test_a_signed_seal_of_another_time_is_not_adopted(rig: Rig) -> None:
    """What a database that went back in time meets: the bucket already has its next number."""
    rig.events(2)
    made = rig.seal()
    assert made is not None
    later = replace(made, number=2, from_xid=made.to_xid, to_xid=made.to_xid, rows=5)
    other = SigningKey(audit_keys.generate()[0])
    for key, said in ((rig.key, "restore"), (other, "not signed")):
        rig.store.delete(object_key(2))
        sealed = replace(later, previous=sign(made, rig.key).hash, key_id=key.key_id)
        rig.store.put(object_key(2), SealCopy(sign(sealed, key), []).body())
        rig.events(1)
        with pytest.raises(SealRefused, match=said):
            rig.seal()


def test_the_caller_may_not_be_inside_a_transaction(rig: Rig) -> None:
    connection = rig.connect("ops_agent")
    connection.execute("SELECT 1")
    with pytest.raises(OpsError, match="inside a transaction"):
        seal(connection, rig.store, rig.key)
