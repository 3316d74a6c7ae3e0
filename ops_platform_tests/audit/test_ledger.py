"""Appending: what is stored, what is refused, and an operation's intent and outcome."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import Any

import psycopg
import pytest

from ops_platform.audit import ledger
from ops_platform.audit.ledger import LedgerError, append, commitment, operation, reason
from ops_platform.clients.postgres import connection as postgres
from ops_platform.clients.postgres.connection import Connection
from ops_platform.errors import OpsError, Unavailable
from ops_platform_tests.audit.rig import event
from ops_platform_tests.services import OpsDatabase


def rows(database: OpsDatabase) -> list[dict[str, Any]]:
    with postgres.connect(database.url()) as connection:
        return connection.execute("SELECT * FROM audit_events ORDER BY id").fetchall()


def test_reasons_hold_our_own_lines_and_nothing_of_others() -> None:
    assert reason(OpsError("no\n  luck")) == "no luck"
    assert len(reason(OpsError("x" * 5000))) == ledger.REASON_CHARACTERS
    assert reason(ValueError("alice@example.com")) == "ValueError"
    assert reason(KeyboardInterrupt()) == "KeyboardInterrupt"


@pytest.mark.services
class TestAppend:
    def test_an_event_exists_exactly_if_its_transaction_commits(self, ops_database: OpsDatabase) -> None:
        with postgres.connect(ops_database.url()) as connection:
            append(connection, event(1))
            connection.rollback()
            kept = append(connection, event(2))
        [row] = rows(ops_database)
        assert (row["event_id"], row["details"], row["epoch"]) == (kept, {"number": 2}, 1)

    def test_personal_values_are_stored_only_as_commitments_of_a_deletable_salt(
        self, ops_database: OpsDatabase
    ) -> None:
        with postgres.connect(ops_database.url()) as connection:
            for _ in range(2):
                append(connection, event(personal={"email": "alice@example.com"}))
            salts = {r["event_id"]: r["salt"] for r in connection.execute("SELECT * FROM audit_salts")}
        first, second = rows(ops_database)
        assert first["commitments"]["email"] == commitment(
            salts[first["event_id"]], "email", "alice@example.com"
        )
        assert first["commitments"] != second["commitments"]
        assert "alice" not in str(first)
        with postgres.connect(ops_database.url()) as connection:
            connection.execute("DELETE FROM audit_salts WHERE event_id = %s", (first["event_id"],))

    def test_what_is_no_event_is_refused_in_one_line_without_its_values(
        self, ops_database: OpsDatabase
    ) -> None:
        wrong: list[dict[str, Any]] = [
            {"actor": ""},
            {"outcome": "success", "phase": "intent"},
            {"phase": "outcome"},
            {"phase": "other"},
            {"object": "secret-value" * 200},
            {"details": {"a": float("nan")}},
            {"details": {"a": "secret-value\0"}},
            {"details": {"a": "secret-value\ud800"}},
            {"details": {"a": object()}},
        ]
        for changes in wrong:
            with postgres.connect(ops_database.url()) as connection:
                with pytest.raises(LedgerError) as refused:
                    append(connection, event(**changes))
                connection.rollback()
            assert "secret-value" not in str(refused.value)
            assert "\n" not in str(refused.value)
        assert rows(ops_database) == []

    def test_the_guard_can_append_and_nothing_else(self, ops_database: OpsDatabase) -> None:
        with postgres.connect(ops_database.url("ops_guard"), autocommit=True) as connection:
            append(connection, event())
            for statement in (
                "SELECT FROM audit_events",
                "UPDATE audit_events SET actor = actor",
                "DELETE FROM audit_events",
                "SELECT FROM backup_reports",
                "SELECT FROM gdpr_requests",
            ):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute(statement)

    def test_writers_can_append_and_neither_change_nor_date_nor_place(
        self, ops_database: OpsDatabase
    ) -> None:
        for role in ("ops_worker", "ops_agent", "ops_api"):
            with postgres.connect(ops_database.url(role), autocommit=True) as connection:
                append(connection, event(personal={"a": "b"}))
                for statement in (
                    "UPDATE audit_events SET actor = actor",
                    "DELETE FROM audit_events",
                    "TRUNCATE audit_events",
                    "UPDATE audit_seals SET document = document",
                    "DELETE FROM audit_seals",
                    "INSERT INTO audit_events (event_id, actor, action, phase, operation_id, object, xid) "
                    "VALUES (gen_random_uuid(), 'a', 'a', 'event', 'o', 'o', '1')",
                    "INSERT INTO audit_events (event_id, actor, action, phase, operation_id, object, "
                    "occurred_at) VALUES (gen_random_uuid(), 'a', 'a', 'event', 'o', 'o', now())",
                    "ALTER TABLE audit_events DISABLE TRIGGER ALL",
                ):
                    with pytest.raises(psycopg.errors.InsufficientPrivilege):
                        connection.execute(statement)

    def test_triggers_hold_for_owner_and_superuser_and_in_replica_mode(
        self, ops_database: OpsDatabase
    ) -> None:
        statements = (
            "UPDATE audit_events SET epoch = 2",
            "DELETE FROM audit_events",
            "TRUNCATE audit_events",
            "UPDATE audit_seals SET epoch = 2",
            "DELETE FROM audit_seals",
            "TRUNCATE audit_seals",
        )
        with postgres.connect(ops_database.url("ops_owner"), autocommit=True) as owner:
            for statement in statements:
                with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
                    owner.execute(statement)
        with ops_database.superuser() as superuser:
            superuser.execute("SET session_replication_role = replica")
            superuser.commit()
            for statement in statements:
                with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
                    superuser.execute(statement)
                superuser.rollback()


@pytest.mark.services
class TestOperation:
    def test_intent_is_committed_before_and_outcome_after(self, ops_database: OpsDatabase) -> None:
        with operation(self.connect(ops_database), action="a.b", object="o", actor="me") as running:
            [intent] = rows(ops_database)
            assert (intent["phase"], intent["outcome"]) == ("intent", None)
            running.details["label"] = "20260101-000000F"
        intent, outcome = rows(ops_database)
        assert (outcome["phase"], outcome["outcome"]) == ("outcome", "success")
        assert outcome["operation_id"] == intent["operation_id"] == running.operation_id
        assert outcome["details"] == {"label": "20260101-000000F"}

    def test_whatever_ends_it_is_its_outcome_and_goes_through(self, ops_database: OpsDatabase) -> None:
        ends: list[tuple[BaseException, str]] = [
            (OpsError("S3 is away: start it"), "S3 is away: start it"),
            (ValueError("alice@example.com"), "ValueError"),
            (KeyboardInterrupt(), "KeyboardInterrupt"),
            (SystemExit(3), "SystemExit"),
        ]
        for error, told in ends:
            with (
                pytest.raises(type(error)),
                operation(self.connect(ops_database), action="a.b", object="o", actor="me"),
            ):
                raise error
            outcome = rows(ops_database)[-1]
            assert (outcome["phase"], outcome["outcome"]) == ("outcome", "failed")
            assert outcome["details"] == {"reason": told}

    def test_a_killed_process_leaves_an_intent_without_an_outcome(self, ops_database: OpsDatabase) -> None:
        script = (
            "import os, signal, sys\n"
            "from ops_platform.audit.ledger import default_connect, operation\n"
            "with operation(default_connect(sys.argv[1]), action='a.b', object='o', actor='me'):\n"
            "    os.kill(os.getpid(), signal.SIGKILL)\n"
        )
        ended = subprocess.run(
            [sys.executable, "-c", script, ops_database.url()], env=os.environ, check=False
        )
        assert ended.returncode == -signal.SIGKILL
        [left] = rows(ops_database)
        assert (left["phase"], left["actor"]) == ("intent", "me")

    def test_a_lost_outcome_is_said_and_never_hides_the_error(
        self, ops_database: OpsDatabase, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(ledger, "OUTCOME_PATIENCE_SECONDS", 0.2)
        urls = [ops_database.url(), "postgresql://nobody@127.0.0.1:1/ops"]
        with (
            pytest.raises(Unavailable, match=r"outcome of a\.b"),
            operation(lambda: postgres.connect(urls[0]), action="a.b", object="o", actor="me"),
        ):
            urls.reverse()
        urls.reverse()

        def fail() -> None:
            urls.reverse()
            raise ValueError("original")

        with (
            pytest.raises(ValueError, match="original") as raised,
            operation(lambda: postgres.connect(urls[0]), action="a.b", object="o", actor="me"),
        ):
            fail()
        assert "not in the audit ledger" in raised.value.__notes__[0]

    @staticmethod
    def connect(database: OpsDatabase) -> Any:
        def opened() -> Connection:
            return postgres.connect(database.url())

        return opened
