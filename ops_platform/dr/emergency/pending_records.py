"""Records of emergency restores, kept as files until the ops database can be reached.

The files are in the state directory. Recording the same file twice changes nothing, so a crash
between the recording and the removal of the file only repeats the recording.
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

from ops_platform import files
from ops_platform.backup.stanza import BackupContext
from ops_platform.clients import postgres
from ops_platform.dr.exercise import ExerciseRequest, Outcome, exercise_store, runner
from ops_platform.dr.exercise.rehearsal import Rehearsal
from ops_platform.dr.inspection import Verification
from ops_platform.errors import ConfigurationError, OpsError, Unavailable
from ops_platform.settings import Settings

SCENARIO = "emergency"


class Malformed(OpsError):
    """A file among the pending records is not a record of an emergency restore."""


def record_or_keep(ctx: BackupContext, done: Rehearsal) -> bool:
    """Record the restore now (True), or keep a file for ``record_pending`` (False)."""
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
    outcome = runner.judge(request, done)
    _write(path, json.dumps({"request": asdict(request), "outcome": asdict(outcome)}, default=_plain))
    try:
        _record(ctx.settings.require("database_url"), request, outcome)
    except (Unavailable, ConfigurationError, psycopg.Error):
        # Whatever is wrong with the ops database: the person at the keyboard has a cluster to start.
        return False
    path.unlink(missing_ok=True)
    return True


def pending(settings: Settings) -> list[Path]:
    """List the files of records that wait for the ops database."""
    return sorted(_directory(settings).glob("*.json"))


def record_pending(settings: Settings) -> list[ExerciseRequest]:
    """Record all pending files and remove them; return what was recorded.

    Raises Unavailable when the ops database is away, Malformed for a file that is not a record, once
    all the others are recorded.
    """
    paths = pending(settings)
    if not paths:
        return []
    url = settings.require("database_url")
    recorded: list[ExerciseRequest] = []
    malformed: list[OpsError] = []
    for path in paths:
        try:
            request, outcome = _read(path)
        except FileNotFoundError:
            continue  # another process recorded it just now
        except Malformed as error:
            malformed.append(error)
            continue
        _record(url, request, outcome)
        path.unlink(missing_ok=True)
        recorded.append(request)
    if malformed:
        raise malformed[0]
    return recorded


def _record(url: str, request: ExerciseRequest, outcome: Outcome) -> None:
    with postgres.session(url, application="ops-platform emergency") as ops:
        exercise_store.open_exercise(ops, request, outcome.t0)
        exercise_store.finish(ops, request, outcome)


def _write(path: Path, text: str) -> None:
    """Write the whole file or nothing: a part of a record would be useless."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    files.write_atomically(path, text)


def _directory(settings: Settings) -> Path:
    return settings.state_dir / "restores" / "unrecorded"


def _read(path: Path) -> tuple[ExerciseRequest, Outcome]:
    try:
        document: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        outcome = dict(document["outcome"])
        outcome["t0"] = datetime.fromisoformat(outcome["t0"])
        outcome["verifications"] = tuple(Verification(**result) for result in outcome["verifications"])
        return ExerciseRequest(**document["request"]), Outcome(**outcome)
    except (ValueError, KeyError, TypeError):
        raise Malformed(
            f"{path} is not a record of an emergency restore: write it down by hand, then remove it"
        ) from None


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no JSON form")
