"""Verdicts on a stanza: one for each promise, from what the repository and the server say.

A verdict that could not be reached is a failed one that says why. ``defs.backup.checks`` shows them in
Dagster.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import psycopg

from ops_platform.backup.monitoring import accounts, archiver, file_verdicts, repository_lock
from ops_platform.backup.monitoring.accounts import Accounts
from ops_platform.backup.monitoring.archiver import ArchiveEnd, Archiver
from ops_platform.backup.monitoring.freshness import freshness
from ops_platform.backup.monitoring.observation import Observation
from ops_platform.backup.monitoring.verdict import Verdict
from ops_platform.backup.proof import OLDER_FILES_SECONDS
from ops_platform.backup.retention import set_lifetime
from ops_platform.backup.stanza import BackupContext, Kind, Stanza
from ops_platform.backup.taking import preflight
from ops_platform.clients import object_store, postgres
from ops_platform.clients.safe_errors import describe
from ops_platform.errors import OpsError

WAL_VERDICTS = (
    "archive_contiguous",
    "archiver_healthy",
    "rpo_within_target",
    "repository_encrypted",
    "repository_locked",
    "files_present",
    "sets_accounted_for",
    "window_as_promised",
    "bytes_verified",
)
FRESH = "fresh"
NAMED_GAPS = 5


def examine(ctx: BackupContext, now: datetime) -> list[Verdict]:
    """Reach all verdicts on a stanza; a system that cannot be reached fails its verdicts and raises nothing.

    The repository is read once for all of them, but for what the agent listed of older sets a moment ago.
    ``now`` is an aware time.
    """
    asked = archiver.ask(ctx)  # before the listing: what it names by then must be there
    try:
        preflight.reach_endpoint(ctx)
        drawn_up = accounts.draw_up(ctx, archiver.written(asked, now), OLDER_FILES_SECONDS)
        observation = drawn_up.observation
    except OpsError as error:
        return [_unknown(name, kind, error) for name, kind in _names(ctx.stanza)]
    judges: list[tuple[str, Callable[[], Verdict]]] = [
        ("archive_contiguous", lambda: _archive_contiguous(observation)),
        ("archiver_healthy", lambda: _archiver_healthy(ctx, asked, observation, now)),
        ("rpo_within_target", lambda: _rpo_within_target(ctx, observation, now)),
        ("repository_encrypted", lambda: _repository_encrypted(ctx, observation)),
        ("repository_locked", lambda: _repository_locked(ctx, observation, now)),
        ("files_present", lambda: file_verdicts.files_present(observation.repository)),
        ("sets_accounted_for", lambda: _sets_accounted_for(drawn_up)),
        ("window_as_promised", lambda: _window_as_promised(ctx, drawn_up, now)),
        ("bytes_verified", lambda: file_verdicts.bytes_verified(ctx, observation.repository, now)),
    ]
    return [_judged(name, judge) for name, judge in judges] + _fresh(ctx.stanza, observation, now)


def _archive_contiguous(observation: Observation) -> Verdict:
    """Check that no segment is missing between the oldest set and the end of the archive."""
    if observation.from_oldest is None or observation.archive is None:
        return Verdict(
            "archive_contiguous", False, "there is no set to measure the archive from: take a full backup"
        )
    gaps, geometry = observation.from_oldest.gaps, observation.archive.geometry
    numbers: dict[str, str | int | float] = {
        "missing_segments": observation.from_oldest.gap_segments,
        "archived_segments": len(observation.archive.segments),
    }
    if observation.archive.listed_since is not None:
        age = datetime.now(UTC) - observation.archive.listed_since
        numbers["oldest_listing_seconds"] = max(0, round(age.total_seconds()))
    if not gaps:
        return Verdict("archive_contiguous", True, "no WAL segment is missing", numbers=numbers)
    listed = ", ".join(f"{geometry.name(gap.first)}..{geometry.name(gap.last)}" for gap in gaps[:NAMED_GAPS])
    unusable = list(observation.archive.faults().items())[:NAMED_GAPS]
    if unusable:
        listed += "; there, but of no use: " + ", ".join(f"{name} ({fault})" for name, fault in unusable)
    return Verdict(
        "archive_contiguous",
        False,
        f"{observation.from_oldest.gap_segments} WAL segments are missing ({listed}): take a full backup, "
        "moments inside the gaps cannot be recovered",
        numbers=numbers,
    )


def _archiver_healthy(
    ctx: BackupContext, asked: Archiver | None, observation: Observation, moment: datetime
) -> Verdict:
    """Check that the server archives into this repository, without failures, at the promised pace."""
    server = preflight.look_at_server(ctx)
    with postgres.session(ctx.database_url, application="ops-platform checks") as connection:
        now = archiver.read(connection)
    end = None if observation.archive is None else ArchiveEnd.whole(observation.archive)
    faults = archiver.all_faults(asked, end, now, moment)
    if faults:
        return Verdict("archiver_healthy", False, "; ".join(faults.values()))
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
    if not archiver.proved(asked, end):
        return Verdict(
            "archiver_healthy",
            False,
            "cannot be told yet: there is no set, or the server names no segment that it archived since its "
            "start; take a backup or switch WAL, then look again",
            numbers=numbers,
        )
    return Verdict(
        "archiver_healthy",
        True,
        "the newest attempt to archive succeeded, and its segment is in the repository",
        numbers=numbers,
    )


def _rpo_within_target(ctx: BackupContext, observation: Observation, now: datetime) -> Verdict:
    """Check that what would be lost now is within the promise; not knowing it is a failure."""
    target = ctx.stanza.rpo_target_seconds
    with postgres.session(ctx.ops_url, application="ops-platform checks") as connection:
        point = observation.recovery_point(connection, now)
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


def _repository_encrypted(ctx: BackupContext, observation: Observation) -> Verdict:
    """Check that pgBackRest encrypts what it sends, and S3 what it stores, as a stored object itself says."""
    cipher = ctx.stanza.encryption
    if cipher != "none" and not observation.repository.encrypted:
        return Verdict(
            "repository_encrypted", False, "the repository is not encrypted: start one with a passphrase"
        )
    key = ctx.config.repository.key_prefix + ctx.pgbackrest.layout.backup_info
    stored_object = object_store.from_settings(ctx.settings, "backup").head(key)
    if stored_object is None:
        return Verdict("repository_encrypted", False, f"{key} is not in the bucket: take a full backup")
    if stored_object.encryption is None:
        return Verdict(
            "repository_encrypted", False, f"S3 stores {key} in plain text: turn on the bucket's encryption"
        )
    numbers = {"cipher": cipher, "s3": stored_object.encryption}
    return Verdict(
        "repository_encrypted",
        True,
        f"encrypted by pgBackRest ({cipher}) and by S3 ({stored_object.encryption})",
        numbers=numbers,
    )


def _repository_locked(ctx: BackupContext, observation: Observation, now: datetime) -> Verdict:
    """Check that nobody can delete what the promised window needs: by the bucket, and by stored objects."""
    needed = set_lifetime.lock_days(ctx.config.stanzas.values(), ctx.config.repository)
    faults = repository_lock.faults(ctx, observation, needed, now)
    numbers: dict[str, str | int | float] = {"needed_days": needed}
    if faults:
        return Verdict("repository_locked", False, "; ".join(faults), numbers=numbers)
    return Verdict(
        "repository_locked",
        True,
        f"each object is locked for {needed} days and more, and the bucket keeps what is deleted",
        numbers=numbers,
    )


def _sets_accounted_for(drawn_up: Accounts) -> Verdict:
    """Check that no recorded set vanished without a cleanup of ours."""
    if drawn_up.loss is not None:
        advice = "see the runbook of BackupSetsLost"
        return Verdict("sets_accounted_for", False, f"{drawn_up.loss}: {advice}")
    if drawn_up.lost is None:
        return Verdict("sets_accounted_for", False, f"could not be checked: {drawn_up.unknown}")
    return Verdict("sets_accounted_for", True, "every recorded set is listed, or a cleanup removed it")


def _window_as_promised(ctx: BackupContext, drawn_up: Accounts, now: datetime) -> Verdict:
    """Check that as much of the past can be restored as is promised, or as sets have been taken."""
    with postgres.session(ctx.ops_url, application="ops-platform checks") as connection:
        point = drawn_up.observation.recovery_point(connection, now)
    end = None if point is None else point.heartbeat_at
    seconds, expected = drawn_up.window.seconds(end), drawn_up.expected(end, now)
    numbers: dict[str, str | int | float] = {"seconds": round(seconds)}
    if expected is None:
        reason = drawn_up.unknown or "no set was recorded: take a backup"
        return Verdict("window_as_promised", False, f"could not be checked: {reason}", numbers=numbers)
    numbers["expected_seconds"] = round(expected)
    length, promise = timedelta(seconds=round(seconds)), timedelta(seconds=round(expected))
    if drawn_up.is_short(end, now):
        said = f"only the last {length} can be restored without a gap, it has to be {promise}"
        advice = "see the runbook of BackupWindowShort"
        return Verdict("window_as_promised", False, f"{said}: {advice}", numbers=numbers)
    return Verdict(
        "window_as_promised", True, f"the last {length} can be restored without a gap", numbers=numbers
    )


def _fresh(stanza: Stanza, observation: Observation, now: datetime) -> list[Verdict]:
    """Check for each scheduled kind that the newest restorable set is young enough, by its own stop time."""
    verdicts = []
    for judged in freshness(stanza, observation.restorable(), now):
        numbers: dict[str, str | int | float] = {"limit_seconds": judged.limit_seconds}
        if judged.age_seconds is not None:
            numbers["age_seconds"] = round(judged.age_seconds)
        verdicts.append(Verdict(FRESH, judged.fresh, judged.summary, judged.kind, numbers))
    return verdicts


def scheduled_kinds(stanza: Stanza) -> Sequence[Kind]:
    """List the kinds of backup that the stanza has a schedule for."""
    return [kind for kind, cron in stanza.schedules.items() if cron is not None]


def _names(stanza: Stanza) -> list[tuple[str, Kind | None]]:
    return [*((name, None) for name in WAL_VERDICTS), *((FRESH, kind) for kind in scheduled_kinds(stanza))]


def _judged(name: str, judge: Callable[[], Verdict]) -> Verdict:
    try:
        return judge()
    except OpsError as error:
        return _unknown(name, None, error)
    except psycopg.Error as error:
        return Verdict(name, False, f"could not be checked: {describe(error)}")


def _unknown(name: str, kind: Kind | None, error: OpsError) -> Verdict:
    return Verdict(name, False, f"could not be checked: {error}", kind)
