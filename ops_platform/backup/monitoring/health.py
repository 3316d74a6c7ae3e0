"""Is a stanza protected now? One verdict for each promise, from what repository and server say.

A verdict that could not be reached is a failed one that says why. How it is shown in Dagster is
in ``checks``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import psycopg

from ops_platform.backup.monitoring.freshness import freshness
from ops_platform.backup.monitoring.observation import Observation, observe
from ops_platform.backup.stanza import BackupContext, Kind, Stanza
from ops_platform.backup.taking import preflight
from ops_platform.clients import object_store, postgres
from ops_platform.clients.safe_errors import describe
from ops_platform.errors import OpsError

WAL_VERDICTS = ("archive_contiguous", "archiver_healthy", "rpo_within_target", "repository_encrypted")
FRESH = "fresh"
NAMED_GAPS = 5


@dataclass(frozen=True)
class Verdict:
    """``kind`` is set for freshness, which is asked of each kind; ``numbers`` are what it rests on."""

    name: str
    passed: bool
    summary: str
    kind: Kind | None = None
    numbers: Mapping[str, str | int | float] = field(default_factory=dict)


def examine(ctx: BackupContext, now: datetime) -> list[Verdict]:
    """All verdicts of a stanza; never raises for a system that is away.

    One look at the repository serves all of them. ``now`` is an aware time.
    """
    try:
        preflight.reach_endpoint(ctx)
        seen = observe(ctx)
    except OpsError as error:
        return [_unknown(name, kind, error) for name, kind in _names(ctx.stanza)]
    asked: list[tuple[str, Callable[[], Verdict]]] = [
        ("archive_contiguous", lambda: archive_contiguous(seen)),
        ("archiver_healthy", lambda: archiver_healthy(ctx)),
        ("rpo_within_target", lambda: rpo_within_target(ctx, seen, now)),
        ("repository_encrypted", lambda: repository_encrypted(ctx, seen)),
    ]
    return [_asked(name, question) for name, question in asked] + fresh(ctx.stanza, seen, now)


def archive_contiguous(seen: Observation) -> Verdict:
    """No segment is missing between the oldest set and the end of the archive."""
    if seen.from_oldest is None or seen.archive is None:
        return Verdict(
            "archive_contiguous", False, "there is no set to measure the archive from: take a full backup"
        )
    gaps, geometry = seen.from_oldest.gaps, seen.archive.geometry
    numbers: dict[str, str | int | float] = {
        "missing_segments": seen.from_oldest.gap_segments,
        "archived_segments": len(seen.archive.segments),
    }
    if not gaps:
        return Verdict("archive_contiguous", True, "no WAL segment is missing", numbers=numbers)
    named = ", ".join(f"{geometry.name(gap.first)}..{geometry.name(gap.last)}" for gap in gaps[:NAMED_GAPS])
    return Verdict(
        "archive_contiguous",
        False,
        f"{seen.from_oldest.gap_segments} WAL segments are missing ({named}): take a full backup, "
        "moments inside the gaps cannot be recovered",
        numbers=numbers,
    )


def archiver_healthy(ctx: BackupContext) -> Verdict:
    """The server's newest attempt to archive succeeded."""
    server = preflight.look_at_server(ctx)
    if server.archive_mode not in ("on", "always"):
        return Verdict("archiver_healthy", False, f"archive_mode is {server.archive_mode}: set it to on")
    if server.archiver_failing:
        return Verdict(
            "archiver_healthy",
            False,
            f"archiving fails, last at {server.last_failed_wal}: look at the server's log",
        )
    promised = ctx.stanza.archive_timeout_seconds
    numbers = {"archive_timeout_seconds": server.archive_timeout}
    if not 0 < server.archive_timeout <= promised:
        return Verdict(
            "archiver_healthy",
            False,
            f"archive_timeout is {server.archive_timeout} s, promised are {promised} s: set it in the server",
            numbers=numbers,
        )
    return Verdict("archiver_healthy", True, "the newest attempt to archive succeeded", numbers=numbers)


def rpo_within_target(ctx: BackupContext, seen: Observation, now: datetime) -> Verdict:
    """What would be lost now is within the promise; not knowing it is a failure."""
    target = ctx.stanza.rpo_target_seconds
    with postgres.session(ctx.ops_url, application="ops-platform checks") as connection:
        point = seen.recovery_point(connection, now)
    if point is None:
        return Verdict(
            "rpo_within_target",
            False,
            "what would be lost now cannot be told: no heartbeat lies in the archive; is the agent running?",
            numbers={"target_seconds": target},
        )
    return Verdict(
        "rpo_within_target",
        point.rpo_seconds <= target,
        f"the last {point.rpo_seconds:.0f} s would be lost now; the promise is {target} s",
        numbers={"rpo_seconds": round(point.rpo_seconds, 1), "target_seconds": target, "lsn": point.lsn},
    )


def repository_encrypted(ctx: BackupContext, seen: Observation) -> Verdict:
    """pgBackRest encrypts before it sends, and S3 what it stores, as a stored object itself says."""
    wanted = ctx.stanza.encryption
    if wanted != "none" and not seen.repository.encrypted:
        return Verdict(
            "repository_encrypted", False, "the repository is not encrypted: start one with a passphrase"
        )
    key = f"{ctx.config.repository.path.lstrip('/')}/backup/{ctx.stanza.name}/backup.info"
    stored = object_store.from_settings(ctx.settings, "backup").head(key)
    if stored is None:
        return Verdict("repository_encrypted", False, f"{key} is not in the bucket: take a full backup")
    if stored.encryption is None:
        return Verdict(
            "repository_encrypted", False, f"S3 stores {key} in plain text: turn on the bucket's encryption"
        )
    numbers = {"cipher": wanted, "s3": stored.encryption}
    return Verdict(
        "repository_encrypted",
        True,
        f"encrypted by pgBackRest ({wanted}) and by S3 ({stored.encryption})",
        numbers=numbers,
    )


def fresh(stanza: Stanza, seen: Observation, now: datetime) -> list[Verdict]:
    """For each kind that is scheduled: the newest restorable set is young enough, by its own stop time."""
    verdicts = []
    for found in freshness(stanza, seen.restorable(), now):
        numbers: dict[str, str | int | float] = {"limit_seconds": found.limit_seconds}
        if found.age_seconds is not None:
            numbers["age_seconds"] = round(found.age_seconds)
        verdicts.append(Verdict(FRESH, found.fresh, found.summary, found.kind, numbers))
    return verdicts


def scheduled_kinds(stanza: Stanza) -> Sequence[Kind]:
    return [kind for kind, cron in stanza.schedules.items() if cron is not None]


def _names(stanza: Stanza) -> list[tuple[str, Kind | None]]:
    return [*((name, None) for name in WAL_VERDICTS), *((FRESH, kind) for kind in scheduled_kinds(stanza))]


def _asked(name: str, question: Callable[[], Verdict]) -> Verdict:
    try:
        return question()
    except OpsError as error:
        return _unknown(name, None, error)
    except psycopg.Error as error:
        return Verdict(name, False, f"could not be checked: {describe(error)}")


def _unknown(name: str, kind: Kind | None, error: OpsError) -> Verdict:
    return Verdict(name, False, f"could not be checked: {error}", kind)
