"""Sets that vanished, told from those that a cleanup removed or a person wrote off."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from ops_platform.audit.ledger import AuditEvent, append
from ops_platform.backup.taking import recorded_sets, report_store
from ops_platform.backup.taking.report import BackupRequest
from ops_platform.clients.postgres import connection as postgres
from ops_platform.clients.postgres.connection import Connection
from ops_platform_tests.backup.shapes import EPOCH, entry, repository
from ops_platform_tests.services import OpsDatabase

pytestmark = pytest.mark.services

SETS = repository(*(entry(number) for number in (0, 60, 120))).sets
FIRST, SECOND, THIRD = (backup_set.label for backup_set in SETS)


@pytest.fixture
def ops(ops_database: OpsDatabase) -> Iterator[Connection]:
    """Three recorded sets, in a transaction that is rolled back."""
    with postgres.connect(ops_database.url("ops_worker")) as connection:
        for backup_set in SETS:
            request = BackupRequest("product", "full", backup_set.label, backup_set.label, "cli")
            report_store.complete(connection, request, backup_set, "s3://backups", adopted=False)
        failed = BackupRequest("product", "full", "failed", "failed", "cli")
        report_store.fail(connection, failed, "S3 is away")
        yield connection
        connection.rollback()


def expire(connection: Connection, *labels: str, phase: str = "intent", stanza: str = "product") -> None:
    event = AuditEvent(recorded_sets.EXPIRE, phase, "run", f"stanza/{stanza}", "platform", None, {})  # type: ignore[arg-type]
    append(connection, AuditEvent(**{**event.__dict__, "details": {"expired": list(labels)}}))


def test_what_was_recorded_is_to_be_there(ops: Connection) -> None:
    assert recorded_sets.expected(ops, "product") == {FIRST, SECOND, THIRD}
    assert recorded_sets.expected(ops, "ops") == frozenset()
    assert recorded_sets.history(ops, "product").promised_from == SETS[0].completed_at
    assert recorded_sets.history(ops, "ops") == recorded_sets.History(None)


def test_a_cleanup_explains_what_it_names_and_nothing_else(ops: Connection) -> None:
    expire(ops, FIRST)
    expire(ops, SECOND, stanza="ops")
    assert recorded_sets.expected(ops, "product") == {SECOND, THIRD}


def test_a_set_is_lost_when_nobody_removed_it(ops: Connection) -> None:
    before = recorded_sets.expected(ops, "product")
    assert recorded_sets.lost(ops, "product", before, [FIRST, SECOND, THIRD]) == ()
    assert recorded_sets.lost(ops, "product", before, [THIRD]) == (FIRST, SECOND)
    # A cleanup that began while the repository was listed.
    expire(ops, FIRST)
    assert recorded_sets.lost(ops, "product", before, [THIRD]) == (SECOND,)
    # A set that was recorded after the records were read is not missed in an older listing.
    assert recorded_sets.lost(ops, "product", [SECOND], [SECOND]) == ()


def test_an_acknowledgement_explains_and_promises_anew(ops: Connection) -> None:
    restart = EPOCH + timedelta(hours=2)
    recorded_sets.acknowledge(ops, "product", [SECOND, FIRST], restart, "deleted by hand", "cli:somebody")
    assert recorded_sets.expected(ops, "product") == {THIRD}
    history = recorded_sets.history(ops, "product")
    assert history.promised_from == restart
    assert history.acknowledged_at is not None
    later = restart + timedelta(days=1)
    recorded_sets.acknowledge(ops, "product", [], later, "a gap", "cli:somebody")
    assert recorded_sets.history(ops, "product").promised_from == later
    assert recorded_sets.expected(ops, "product") == {THIRD}
