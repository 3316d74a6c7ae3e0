"""Verifications on record: what is new is compared, what was before is counted, weekly all is compared."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ops_platform.audit.copies import newest_copy
from ops_platform.audit.epochs import open_epoch
from ops_platform.audit.findings import Verification
from ops_platform.audit.seal import object_key
from ops_platform.audit.verification_log import verify_and_record
from ops_platform.clients.postgres import connection as postgres
from ops_platform_tests.audit.rig import Rig

pytestmark = pytest.mark.services


def verified(rig: Rig, **options: Any) -> Verification:
    with postgres.connect(rig.database.url()) as connection:
        return verify_and_record(connection, rig.store, rig.keys, run_id="run", **options)


def told(result: Verification) -> tuple[int, int, int, list[str]]:
    return result.since, result.events, result.seals, [str(one) for one in result.findings]


def test_each_goes_on_where_the_one_before_ended(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(2):
        rig.events(3)
        rig.seal()
    assert told(verified(rig)) == (0, 6, 2, [])
    rig.events(2)
    rig.seal()
    rig.events(1)
    read, asked = rig.store.get, list[str]()

    def get(key: str, version_id: str | None = None) -> bytes:
        asked.append(key)
        return read(key, version_id)

    monkeypatch.setattr(rig.store, "get", get)
    assert told(verified(rig)) == (2, 2, 1, [])
    assert sorted(asked) == [object_key(2), object_key(3)]
    assert told(verified(rig, full=True)) == (0, 8, 3, [])
    assert told(verified(rig)) == (3, 0, 0, [])
    newest = newest_copy(rig.store, 2)
    assert newest is not None
    assert newest[0] == 3
    assert newest_copy(rig.store, 3) is None

    # Rows of before: removed ones are missed at once by their number, changed ones by the weekly run.
    rig.attack("UPDATE audit_events SET actor = 'nobody' WHERE id = 5")
    assert told(verified(rig)) == (3, 0, 0, [])
    rig.attack("DELETE FROM audit_events WHERE id = 1")
    [finding] = verified(rig).findings
    assert finding.what.startswith("holds 7 events up to seal 3, where 8 were verified")
    week = datetime.now(UTC) + timedelta(days=7)
    found = verified(rig, now=week)
    assert found.since == 0
    assert {one.where for one in found.findings} == {"event 1", "event 5", "seal 3"}
    # One in full that found something is repeated in full: its findings do not end by themselves.
    assert verified(rig).since == 0
    with rig.connect() as connection:
        rows = connection.execute(
            "SELECT since, findings, seal, run_id FROM audit_verifications ORDER BY id"
        ).fetchall()
    assert [(row["since"], row["findings"] > 0, row["seal"]) for row in rows][:4] == [
        (0, False, 2),
        (2, False, 3),
        (0, False, 3),
        (3, False, 3),
    ]


def test_a_mark_that_is_not_the_chains_is_found_and_an_epoch_begins_anew(rig: Rig) -> None:
    rig.events(2)
    rig.seal()
    assert told(verified(rig)) == (0, 2, 1, [])
    with rig.superuser() as superuser:
        superuser.execute(
            "INSERT INTO audit_verifications "
            "(started_at, since, findings, seal, seal_hash, epoch, to_xid, events) "
            "SELECT now(), 0, 0, seal, repeat('0', 64), epoch, to_xid, events FROM audit_verifications"
        )
    assert told(verified(rig))[3] == [
        "seal 1: is not the one that the verification before this one found good"
    ]
    with postgres.connect(rig.database.url("ops_owner")) as owner:
        open_epoch(owner, rig.store, rig.key)
    rig.events(1)
    rig.seal()
    assert told(verified(rig)) == (0, 3, 3, [])
    assert told(verified(rig))[:3] == (3, 0, 0)
