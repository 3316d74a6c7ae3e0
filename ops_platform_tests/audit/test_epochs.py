"""A ledger whose database went back in time: refused until an epoch is opened, then true again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from psycopg import sql

from ops_platform.audit.epochs import open_epoch
from ops_platform.audit.ledger import append
from ops_platform.audit.seal import Seal
from ops_platform.audit.sealer import SealRefused
from ops_platform.clients.postgres import connection as postgres
from ops_platform.errors import Unavailable
from ops_platform_tests.audit.rig import Rig, event
from ops_platform_tests.services import OpsDatabase, OpsDatabases

pytestmark = pytest.mark.services

LATER = timedelta(hours=1)


@pytest.fixture
def restored(rig: Rig, ops_databases: OpsDatabases) -> Iterator[Rig]:
    """Sealed, copied aside, gone on, sealed on; then the copy takes the database's place.

    The copy holds two events that no seal of its own covers; seal 2 and 3 know one of them and more.
    """
    rig.events(3)
    rig.seal()
    rig.events(1)
    with rig.connect() as slow:
        append(slow, event(99))
        slow.commit()
    rig.close()
    earlier = _copy(ops_databases, rig.database, f"{rig.database.name}_earlier")
    for _ in range(2):
        rig.events(2)
        rig.seal()
    rig.close()
    yield replace(rig, database=earlier)
    ops_databases.drop(earlier)


def open_as_owner(rig: Rig) -> Seal:
    with postgres.connect(rig.database.url("ops_owner")) as owner:
        return open_epoch(owner, rig.store, rig.key)


def test_a_restored_database_is_noticed_by_sealer_and_verifier(restored: Rig) -> None:
    restored.events(1)
    with pytest.raises(SealRefused, match="after a restore"):
        restored.seal()
    findings = restored.findings(now=datetime.now(UTC) + LATER)
    assert any(finding.startswith("seal 3: in the bucket but not in the database") for finding in findings)
    assert any("was removed after it was sealed" in finding for finding in findings)


def test_an_opened_epoch_is_true_and_names_the_loss(restored: Rig) -> None:
    opening = open_as_owner(restored)
    assert (opening.number, opening.epoch, opening.opens, opening.void_from) == (4, 1, 2, 2)
    assert opening.rows == 2
    restored.events(3)
    sealed = restored.seal()
    assert sealed is not None
    assert (sealed.number, sealed.epoch, sealed.rows) == (5, 2, 3)
    check = restored.check(now=datetime.now(UTC) + LATER)
    assert (check.findings, check.events, check.seals, check.unsealed) == ([], 8, 5, 0)
    assert any("epoch 2" in note and "seals 2 to 3 were lost" in note for note in check.notes)
    restored.attack("UPDATE audit_events SET actor = 'x' WHERE id IN (4, 6)")
    assert [finding.split(":")[0] for finding in restored.findings()] == ["event 4", "event 6"]


def test_an_opening_that_only_reached_the_bucket_is_superseded(restored: Rig) -> None:
    with postgres.connect(restored.database.url("ops_owner")) as owner:
        owner.execute(
            "CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE division_by_zero; END'"
        )
        owner.execute("CREATE TRIGGER die BEFORE INSERT ON audit_seals FOR EACH ROW EXECUTE FUNCTION die()")
    with pytest.raises(Exception, match="division_by_zero"):
        open_as_owner(restored)
    with postgres.connect(restored.database.url("ops_owner")) as owner:
        owner.execute("DROP FUNCTION die CASCADE")
    opening = open_as_owner(restored)
    assert (opening.number, opening.opens, opening.void_from) == (5, 3, 2)
    restored.events(1)
    restored.seal()
    check = restored.check(now=datetime.now(UTC) + LATER)
    assert (check.findings, check.events, check.unsealed) == ([], 6, 0)


def test_an_epoch_can_be_opened_where_nothing_was_lost_and_where_nothing_is(rig: Rig) -> None:
    rig.events(1)
    assert open_as_owner(rig).opens == 2
    rig.events(1)
    assert open_as_owner(rig).opens == 3
    rig.events(1)
    rig.seal()
    check = rig.check()
    assert (check.findings, check.events, check.seals) == ([], 3, 3)


def test_an_altered_database_is_no_restored_one(rig: Rig) -> None:
    for _ in range(2):
        rig.events(1)
        rig.seal()
    rig.attack(
        "UPDATE audit_seals SET document = replace(document, '\"rows\":1', '\"rows\":9') WHERE number = 2"
    )
    with pytest.raises(SealRefused, match="not merely restored"):
        open_as_owner(rig)


def test_a_writer_can_not_straddle_two_epochs(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ops_platform.audit.epochs.WRITERS_WAIT", "200ms")
    slow = rig.connect()
    slow.execute("SET default_transaction_isolation = 'repeatable read'")
    slow.commit()
    append(slow, event(1))
    with pytest.raises(Unavailable, match="still being written"):
        open_as_owner(rig)
    slow.commit()
    slow.execute("SELECT count(*) FROM gdpr_lineage")  # its snapshot is older than the new epoch
    open_as_owner(rig)
    append(slow, event(2))
    slow.commit()
    rig.seal()
    check = rig.check()
    assert (check.findings, check.events, check.unsealed) == ([], 2, 0)
    epochs = slow.execute("SELECT epoch FROM audit_events ORDER BY id").fetchall()
    assert [row["epoch"] for row in epochs] == [1, 2]


def _copy(databases: OpsDatabases, source: OpsDatabase, name: str) -> OpsDatabase:
    with databases.cluster.superuser() as superuser:
        superuser.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (source.name,)
        )
        superuser.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER ops_owner STRATEGY FILE_COPY").format(
                sql.Identifier(name), sql.Identifier(source.name)
            )
        )
    return OpsDatabase(source.cluster, name)
