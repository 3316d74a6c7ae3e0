"""The gate's answers from a real ops database: migrations, overrides and the ledger's record."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from ops_platform.clients import postgres
from ops_platform.errors import ConfigurationError
from ops_platform.gate import GateAnswers, Policy
from ops_platform.gate.override import Override, make
from ops_platform.settings import Settings, load_settings
from ops_platform_tests.gate.healthy import SECONDS, TEXT
from ops_platform_tests.services import OpsDatabase

pytestmark = pytest.mark.services


def text_as_of(now: float) -> str:
    """The healthy figures, with their times moved to now."""
    lines = []
    for line in TEXT.splitlines():
        value = float(line.rpartition(" ")[2])
        moved = value - SECONDS + now if value > 1e9 else value
        lines.append(f"{line.rpartition(' ')[0]} {moved}")
    return "\n".join(lines) + "\n"


@pytest.fixture
def sources() -> Iterator[str]:
    """Both an agent's metrics and an Alertmanager's list, as they answer."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            now = datetime.now(UTC)
            held = {
                "fingerprint": "0",
                "labels": {"alertname": "Watchdog"},
                "annotations": {},
                "status": {"state": "active", "inhibitedBy": []},
                "receivers": [],
                "startsAt": now.isoformat(),
                "endsAt": (now + timedelta(minutes=5)).isoformat(),
            }
            is_list = self.path.startswith("/api/v2/alerts")
            body = json.dumps([held]) if is_list else text_as_of(now.timestamp())
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def settings_as(ops_database: OpsDatabase, sources: str) -> Callable[[str], Settings]:
    def made(role: str) -> Settings:
        return load_settings(
            {
                "OPS_STATE_DIR": "/nonexistent",
                "OPS_DATABASE_URL": ops_database.url(role),
                "OPS_METRICS_URL": f"{sources}/metrics",
                "OPS_ALERTMANAGER_URL": sources,
            }
        )

    return made


def test_worker_and_guard_decide_and_the_ledger_has_it(
    ops_database: OpsDatabase, settings_as: Callable[[str], Settings]
) -> None:
    for role in ("ops_worker", "ops_guard"):
        answers = GateAnswers(settings_as(role))
        decision = answers.record(answers.decide("shop"), f"program:{role}")
        assert [(r.check, r.text) for r in decision.reasons if r.verdict != "allow"] == []
        assert decision.verdict == "allow"
    with postgres.session(ops_database.url("ops_worker")) as ops:
        rows = list(
            ops.execute(
                "SELECT actor, object, details FROM audit_events WHERE action = 'gate.decision' ORDER BY id"
            )
        )
    assert [(row["actor"], row["object"]) for row in rows] == [
        ("program:ops_worker", "service/shop"),
        ("program:ops_guard", "service/shop"),
    ]
    assert rows[0]["details"]["verdict"] == "allow"
    assert rows[0]["details"]["reasons"]["migrations"] == "allow"


def test_a_migration_that_is_not_applied_denies(
    ops_database: OpsDatabase, settings_as: Callable[[str], Settings]
) -> None:
    with ops_database.superuser() as ops:
        ops.execute("DELETE FROM _yoyo_migration WHERE migration_id = '0037_gate'")
    decision = GateAnswers(settings_as("ops_worker")).decide(None)
    assert [(r.check, r.verdict) for r in decision.reasons if r.verdict != "allow"] == [
        ("migrations", "deny")
    ]


def test_a_database_that_is_away_leaves_it_undecided(settings_as: Callable[[str], Settings]) -> None:
    settings = settings_as("ops_worker").model_copy(
        update={"database_url": "postgresql://ops@127.0.0.1:9/ops"}
    )
    answers = GateAnswers(settings)
    decision = answers.record(answers.decide(None), "person:ada")
    undecided = [reason.check for reason in decision.reasons if reason.verdict != "allow"]
    assert undecided == ["migrations", "record"]
    assert decision.verdict == "undecided"


def test_an_override_is_in_the_ledger_and_changes_the_answer(
    ops_database: OpsDatabase, settings_as: Callable[[str], Settings]
) -> None:
    strict = Policy(stanzas=("elsewhere",), checks=("recovery_point",))
    now = datetime.now(UTC)
    wanted = Override(
        "shop", ("recovery_point",), "ada", "the archive is being moved", now + timedelta(hours=1)
    )
    settings = settings_as("ops_worker")
    assert GateAnswers(settings, strict).decide("shop").verdict == "undecided"
    with postgres.session(ops_database.url("ops_worker")) as ops:
        for wrong in (
            Override("shop", ("nothing",), "ada", wanted.because, wanted.expires_at),
            Override("shop", wanted.checks, " ", wanted.because, wanted.expires_at),
            Override("shop", wanted.checks, "ada", "because", wanted.expires_at),
            Override("shop", wanted.checks, "ada", wanted.because, now),
            Override("shop", wanted.checks, "ada", wanted.because, now + timedelta(days=8)),
        ):
            with pytest.raises(ConfigurationError):
                make(ops, wrong, now)
        make(ops, wanted, now)
        [event] = ops.execute("SELECT actor, object, details FROM audit_events")
        assert (event["actor"], event["object"]) == ("person:ada", "service/shop")
        assert event["details"]["checks"] == ["recovery_point"]
    assert GateAnswers(settings, strict).decide("shop").verdict == "allow"
    assert GateAnswers(settings, strict).decide("mail").verdict == "undecided"
