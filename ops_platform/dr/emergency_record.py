"""An emergency restore in the platform's memory, as soon as the ops database can be reached.

Until then it waits in a file of the state directory. The same file recorded twice changes nothing,
so a crash between the recording and the removal of the file only repeats the recording.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg

from ops_platform.backup.context import BackupContext
from ops_platform.clients import postgres
from ops_platform.dr import exercise, records
from ops_platform.dr.ladder import Verification
from ops_platform.dr.rehearsal import Rehearsal
from ops_platform.dr.report import ExerciseRequest, Outcome
from ops_platform.errors import ConfigurationError, OpsError, Unavailable
from ops_platform.settings import Settings

SCENARIO = "emergency"


def keep(ctx: BackupContext, done: Rehearsal) -> bool:
    """Record it now (True), or leave it to ``record_pending`` (False)."""
    run_id = str(uuid4())
    request = ExerciseRequest(
        "emergency",
        ctx.stanza.name,
        SCENARIO,
        run_id,
        run_id,
        ctx.stanza.rto_target_seconds * 1000,
        ctx.stanza.rpo_target_seconds * 1000,
    )
    path = _directory(ctx.settings) / f"{run_id}.json"
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    document = {"request": asdict(request), "outcome": asdict(exercise.judge(request, done))}
    path.write_text(json.dumps(document, default=_plain), encoding="utf-8")
    try:
        return run_id in {one.run_id for one in record_pending(ctx.settings)}
    except (Unavailable, ConfigurationError, psycopg.OperationalError):
        return False


def pending(settings: Settings) -> list[Path]:
    """The records that wait for the ops database."""
    return sorted(_directory(settings).glob("*.json"))


def record_pending(settings: Settings) -> list[ExerciseRequest]:
    """Record what waits; what was recorded. Raises Unavailable when the ops database is away."""
    paths = pending(settings)
    if not paths:
        return []
    found = []
    url = settings.require("database_url")
    for path in paths:
        request, outcome = _read(path)
        with postgres.session(url, application="ops-platform emergency") as ops:
            records.open_exercise(ops, request, outcome.t0)
            records.finish(ops, request, outcome)
        path.unlink(missing_ok=True)
        found.append(request)
    return found


def _directory(settings: Settings) -> Path:
    return settings.state_dir / "restores" / "unrecorded"


def _read(path: Path) -> tuple[ExerciseRequest, Outcome]:
    try:
        document: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        outcome = dict(document["outcome"])
        outcome["t0"] = datetime.fromisoformat(outcome["t0"])
        outcome["verifications"] = tuple(Verification(**one) for one in outcome["verifications"])
        return ExerciseRequest(**document["request"]), Outcome(**outcome)
    except (ValueError, KeyError, TypeError):
        raise OpsError(
            f"{path} is no record of an emergency restore: write it down by hand, then remove it"
        ) from None


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no JSON form")
