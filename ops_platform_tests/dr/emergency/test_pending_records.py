"""An emergency is recorded once, whenever the ops database comes back and whatever is killed meanwhile."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ops_platform.backup.stanza.context import BackupContext
from ops_platform.clients.postgres import connection as postgres
from ops_platform.dr.emergency import pending_records as emergency_record
from ops_platform.dr.exercise import exercise_store as records
from ops_platform.dr.exercise.rehearsal import Rehearsal
from ops_platform.dr.inspection.check_result import CRITICAL, VERIFICATIONS, passed, unknown
from ops_platform.errors import OpsError, Unavailable
from ops_platform.settings import load_settings
from ops_platform_tests.backup.site import Site
from ops_platform_tests.services import OpsDatabase

pytestmark = pytest.mark.services

T0 = datetime(2026, 11, 24, 3, 7, 9, 123456, tzinfo=UTC)
AWAY = "postgresql://ops_worker@127.0.0.1:1/ops?connect_timeout=2"


def rehearsal(result: str = "success") -> Rehearsal:
    answers = [passed(name, f"{name} is fine", number=1) for name in VERIFICATIONS["emergency"]]
    if result == "partial":
        answers[-1] = unknown("closed_rows", "there is no reference")
    return Rehearsal(
        T0, answers, {"restore": 1.5}, rto_seconds=9.0, loss=timedelta(seconds=7), replayed_bytes=2**33
    )


@pytest.fixture
def ctx(ops_database: OpsDatabase, site: Site, tmp_path: Path) -> BackupContext:
    """A stanza with an ops database and a state directory of the test's own."""
    values = {name: one.get_secret_value() for name, one in site.settings.environ.items()}
    settings = load_settings(
        {**values, "OPS_STATE_DIR": str(tmp_path), "OPS_DATABASE_URL": ops_database.url("ops_worker")}
    )
    return replace(site.context, settings=settings)


def without_ops(ctx: BackupContext) -> BackupContext:
    values = {name: one.get_secret_value() for name, one in ctx.settings.environ.items()}
    return replace(ctx, settings=load_settings({**values, "OPS_DATABASE_URL": AWAY}))


def rows(ctx: BackupContext) -> list[dict[str, Any]]:
    with postgres.session(ctx.settings.require("database_url")) as ops:
        return records.history(ops)


def told(ctx: BackupContext) -> list[tuple[str, str | None]]:
    with postgres.session(ctx.settings.require("database_url")) as ops:
        found = ops.execute("SELECT phase, outcome FROM audit_events ORDER BY id").fetchall()
    return [(one["phase"], one["outcome"]) for one in found]


def test_it_is_recorded_at_once_while_the_ops_database_answers(ctx: BackupContext) -> None:
    assert emergency_record.record_or_keep(ctx, rehearsal())
    [row] = rows(ctx)
    assert (row["exercise_type"], row["scenario"], row["stanza"]) == (
        "emergency", "emergency", ctx.stanza.name,
    )  # fmt: skip
    assert (row["result"], row["success_criteria_met"]) == ("success", True)
    assert (row["started_at"], row["t0"]) == (T0, T0)
    assert (row["actual_rto_ms"], row["actual_rpo_ms"]) == (9000, 7000)
    assert row["replay_bytes"] == 2**33
    assert set(CRITICAL) <= set(row["verifications"])
    assert told(ctx) == [("intent", None), ("outcome", "success")]
    assert emergency_record.pending(ctx.settings) == []


@pytest.mark.parametrize("result", ["success", "partial"])
def test_it_waits_for_the_ops_database_and_is_then_recorded_once(ctx: BackupContext, result: str) -> None:
    away = without_ops(ctx)
    assert not emergency_record.record_or_keep(away, rehearsal(result))
    [path] = emergency_record.pending(ctx.settings)
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(Unavailable):
        emergency_record.record_pending(away.settings)
    assert emergency_record.pending(ctx.settings) == [path]

    kept = path.read_text()
    assert len(emergency_record.record_pending(ctx.settings)) == 1
    assert emergency_record.pending(ctx.settings) == []
    path.write_text(kept)
    assert len(emergency_record.record_pending(ctx.settings)) == 1
    [row] = rows(ctx)
    assert row["result"] == result
    outcome = "success" if result == "success" else "failed"
    assert told(ctx) == [("intent", None), ("outcome", outcome)]


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"request": {}, "outcome": {}}', '"x"', "\x00"])
def test_a_file_that_is_no_record_stays_and_holds_up_no_other(ctx: BackupContext, text: str) -> None:
    emergency_record.record_or_keep(without_ops(ctx), rehearsal())
    [good] = emergency_record.pending(ctx.settings)
    bad = good.with_name("00000000.json")
    bad.write_text(text)
    with pytest.raises(OpsError, match=r"00000000\.json is not a record of an emergency restore") as error:
        emergency_record.record_pending(ctx.settings)
    assert len(str(error.value).splitlines()) == 1
    assert emergency_record.pending(ctx.settings) == [bad]
    assert len(rows(ctx)) == 1
    # Nor does it stop the next restore.
    assert emergency_record.record_or_keep(ctx, rehearsal())
    assert len(rows(ctx)) == 2


def test_a_database_that_refuses_leaves_it_waiting(ctx: BackupContext, ops_database: OpsDatabase) -> None:
    with ops_database.superuser() as superuser:
        superuser.execute("REVOKE INSERT ON dr_exercises FROM ops_worker")
    assert not emergency_record.record_or_keep(ctx, rehearsal())
    assert len(emergency_record.pending(ctx.settings)) == 1
    with ops_database.superuser() as superuser:
        superuser.execute("GRANT INSERT ON dr_exercises TO ops_worker")
    assert len(emergency_record.record_pending(ctx.settings)) == 1


_DIES = """
import os, signal, sys
from pathlib import Path
from ops_platform.dr.emergency import pending_records
from ops_platform.dr.exercise import exercise_store
from ops_platform.settings import load_settings

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

where = sys.argv[1]
if where == "before":
    exercise_store.open_exercise = die
elif where == "between":
    exercise_store.finish = die
elif where == "after":
    Path.unlink = die
pending_records.record_pending(load_settings())
"""


@pytest.mark.parametrize("where", ["before", "between", "after"])
def test_killed_anywhere_it_is_recorded_once(ctx: BackupContext, where: str) -> None:
    emergency_record.record_or_keep(without_ops(ctx), rehearsal())
    values = {name: one.get_secret_value() for name, one in ctx.settings.environ.items()}
    died = subprocess.run([sys.executable, "-c", _DIES, where], env=values, check=False)
    assert died.returncode == -signal.SIGKILL
    assert len(emergency_record.pending(ctx.settings)) == 1
    assert len(rows(ctx)) == (1 if where == "after" else 0)

    emergency_record.record_pending(ctx.settings)
    [row] = rows(ctx)
    assert row["result"] == "success"
    assert told(ctx) == [("intent", None), ("outcome", "success")]
    assert emergency_record.pending(ctx.settings) == []


def test_killed_while_it_is_written_it_is_no_record_at_all(
    ctx: BackupContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        emergency_record.record_or_keep(ctx, rehearsal())
    assert emergency_record.pending(ctx.settings) == []
