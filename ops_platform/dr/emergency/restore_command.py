"""The emergency restore, without Dagster and without the ops database.

It needs the configuration, the repository and pgBackRest. If it is killed, it leaves a directory
that no server starts in (pgBackRest writes ``pg_control`` last) or a cluster that was not
verified to the end; either is not empty, so the next attempt says so and touches nothing. The
repository is only read.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import psycopg

from ops_platform import files
from ops_platform.backup.monitoring import glance
from ops_platform.backup.proof import FilesLook, read_store
from ops_platform.backup.recovery_point import rpo
from ops_platform.backup.repository import Database
from ops_platform.backup.stanza import BackupContext
from ops_platform.backup.wal import Written
from ops_platform.clients import object_store, postgres
from ops_platform.clients.postgres import programs
from ops_platform.dr.exercise.drill import rehearse
from ops_platform.dr.exercise.rehearsal import LIVE, Knowledge, Rehearsal, RestoreOptions, server_of
from ops_platform.dr.plan import Plan, RecoveryTarget, restore_plan, timeline_choice
from ops_platform.dr.plan.restore_plan import Explanation
from ops_platform.dr.restore import RepositoryView, Workspace, tablespace_map, workspace
from ops_platform.dr.verification import live_source
from ops_platform.errors import CheckFailed, OpsError

SCENARIO = "emergency"

CURRENT_SEGMENT = "Latest checkpoint's REDO WAL file"

_XIDS = 1 << 32
_SEGMENT = re.compile(r"[0-9A-F]{24}")
# pgBackRest's settings for the recovery: afterwards they would mislead, and name a file that is removed.
_RECOVERY_SETTING = re.compile(r"^\s*(restore_command|recovery_target\w*|archive_cleanup_command)\s*=")


@contextmanager
def open_workspace(ctx: BackupContext, directory: Path) -> Iterator[Workspace]:
    """Make a workspace for filling ``directory``; it is removed at the end, the directory stays.

    Raises CheckFailed when there is something in the directory or a server uses it, ConfigurationError when
    the user who restores cannot reach it.
    """
    workspace.require_reachable(directory, ctx.settings.run_as)
    restore_plan.require_empty_directory(directory)
    root = ctx.settings.state_dir / "restores"
    workspace.make_directory(root, ctx.settings.run_as)
    base = Path(tempfile.mkdtemp(prefix="r", dir=root))
    try:
        workspace.set_owner(base, ctx.settings.run_as)
        here = Workspace(base, directory, ctx.settings.run_as)
        here.prepare()
        yield here
    finally:
        shutil.rmtree(base, ignore_errors=True)


def explain(
    ctx: BackupContext,
    here: Workspace,
    target: RecoveryTarget,
    label: str | None,
    now: datetime,
    timeline: str | None = None,
    tablespaces: Mapping[str, Path] | None = None,
    repository: RepositoryView = LIVE,
) -> Explanation:
    """Read the repository and explain what would be restored; ``label`` and ``timeline`` as typed, or None.

    ``tablespaces`` as in ``RestoreOptions``. Raises CheckFailed when nothing can be restored to that target
    or the disk is too full, ConfigurationError for a bad timeline, a tablespace that cannot be placed, or
    when this machine lacks the cluster's version of PostgreSQL.
    """
    reader = repository.open_reader(ctx, here)
    # In an emergency the files of the set that would be restored count, not those of every other one.
    recorded = _recorded(ctx)
    written, damaged = recorded or (None, {})
    observation = glance(reader, written=written)
    faults_of = FilesLook(reader.pgbackrest).faults_of
    if repository != LIVE:
        damaged = {}  # what was read now says nothing of the repository as it was
    last_beat = _last_beat(ctx)
    behind = _store_behind(ctx) if target.moment is not None else timedelta(0)
    plan = restore_plan.choose(
        observation,
        target,
        label,
        timeline,
        last_beat,
        faults_of,
        damaged,
        behind or timedelta(0),
    )
    _refuse_future_transaction(ctx, plan, observation.repository.current)
    explanation = restore_plan.explain(plan, observation, here.data_dir, now, behind, last_beat)
    version = observation.repository.version_of(plan.backup_set)
    if version is not None:
        programs.find(version, workspace.launcher(ctx))
    placements = _options(tablespaces).place(tablespace_map.of_set(reader, plan.backup_set.label), here)
    needed = plan.backup_set.size_bytes + plan.wal_bytes
    return replace(
        explanation,
        free_bytes=tablespace_map.require_space(here, placements, needed),
        tablespaces=tuple(map(str, placements)),
        repository=repository.describe(reader, plan),
        damage_known=recorded is not None and repository == LIVE,
    )


def _refuse_future_transaction(ctx: BackupContext, plan: Plan, cluster: Database | None) -> None:
    """Refuse the id of a transaction that the server, if it still answers, has not begun.

    Raises CheckFailed.
    """
    target = plan.target
    if target.kind != "xid" or target.value is None or cluster is None:
        return
    try:
        following = live_source.next_transaction(ctx, cluster.system_id, plan.state.history.timeline)
    except (OpsError, psycopg.Error):
        # A server that is lost knows nothing any more; the explanation says what is not known.
        return
    # Transaction ids go round: half of the circle lies ahead.
    if following is not None and (int(target.value) - following) % _XIDS < _XIDS // 2:
        raise CheckFailed(
            f"nobody has begun transaction {target.value}: the server's next one is {following}; choose an "
            "earlier one, or --latest"
        )


def _options(tablespaces: Mapping[str, Path] | None, repository: RepositoryView = LIVE) -> RestoreOptions:
    return RestoreOptions(
        freeze_archive=False, archive_mode=None, tablespaces=tablespaces or {}, repository=repository
    )


def _recorded(ctx: BackupContext) -> tuple[Written | None, dict[str, str]] | None:
    """Read the timeline of the newest heartbeat, and which sets were read and found damaged.

    None when the ops database does not answer. The server itself is not asked: it may be dead, or
    not the one that is meant.
    """
    try:
        with postgres.session(ctx.ops_url, application="ops-platform restore") as ops:
            beat = next(iter(rpo.heartbeats(ops, ctx.stanza.name)), None)
            damaged = read_store.damaged_sets(ops, ctx.stanza.name)
    except (OpsError, psycopg.Error):
        return None
    return None if beat is None else Written(beat.timeline, beat.at), damaged


def _store_behind(ctx: BackupContext) -> timedelta | None:
    """Ask S3 how far its clock is behind, beyond what clocks differ by; None when it does not tell."""
    if ctx.served is None:
        return None  # only pgBackRest knows where the repository is
    try:
        behind = object_store.from_settings(ctx.settings, "backup_reader").clock_behind()
    except OpsError:
        return None
    return behind if behind is None or behind > rpo.CLOCK_SLACK else timedelta(0)


def _last_beat(ctx: BackupContext) -> timeline_choice.LastBeat:
    """Ask the ops database for heartbeats, as long as it answers."""
    away = False

    def last_beat(timeline: int, lsn: int) -> datetime | None:
        nonlocal away
        if away:
            return None
        try:
            with postgres.session(ctx.ops_url, application="ops-platform restore") as ops:
                return rpo.newest_on(ops, ctx.stanza.name, timeline, lsn)
        except (OpsError, psycopg.Error):
            # Then the history files and the sets alone say when timelines parted.
            away = True
            return None

    return last_beat


def carry_out(
    ctx: BackupContext,
    here: Workspace,
    knowledge: Knowledge,
    t0: datetime,
    log: Callable[[str], None],
    progress: Callable[[float], None],
    tablespaces: Mapping[str, Path] | None = None,
    repository: RepositoryView = LIVE,
) -> Rehearsal:
    """Restore, recover, erase again, verify; the server is stopped cleanly at the end.

    What is wrong is in the results of the checks. The cluster keeps the settings of the source. Raises
    CheckFailed when the directory is not empty.
    """
    restore_plan.require_empty_directory(here.data_dir)
    workspace.make_directory(here.data_dir, here.run_as)
    done = rehearse(ctx, here, SCENARIO, knowledge, t0, log, progress, _options(tablespaces, repository))
    if done.rto_seconds is not None:
        remove_recovery_settings(here)
        mark_wal_ready(here, server_of(ctx, here).control_data()[CURRENT_SEGMENT])
    else:
        keep_log(here, log)
    return done


def remove_recovery_settings(here: Workspace) -> None:
    """Remove the settings of the recovery from postgresql.auto.conf of the stopped server."""
    path = here.data_dir / "postgresql.auto.conf"
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    kept = "".join(line for line in lines if not _RECOVERY_SETTING.match(line))
    files.write_atomically(path, kept, hand_over=lambda begun: workspace.set_owner(begun, here.run_as))


def mark_wal_ready(here: Workspace, current: str) -> list[str]:
    """Mark the WAL that was written while archiving was off as ready to be archived; return its names.

    Without the new timeline's history file no earlier set could be recovered beyond the promotion:
    PostgreSQL marks it for the archive only at the promotion itself. ``current`` is the segment with
    the shutdown checkpoint: it is still written to, and those after it are recycled files without
    content.
    """
    wal, timeline = here.data_dir / "pg_wal", current[:8]
    written = (path.name for path in wal.iterdir() if _SEGMENT.fullmatch(path.name))
    complete = sorted(name for name in written if name.startswith(timeline) and name < current)
    marked = []
    for name in [f"{timeline}.history", *complete]:
        ready = wal / "archive_status" / f"{name}.ready"
        if not (wal / name).exists() or ready.exists() or ready.with_suffix(".done").exists():
            continue
        ready.touch(mode=0o600)
        workspace.set_owner(ready, here.run_as)
        marked.append(name)
    return marked


def keep_log(here: Workspace, log: Callable[[str], None]) -> None:
    """Copy the server's log beside the data directory: after a failed restore a person reads it next."""
    if not here.log_file.exists():
        return
    kept = here.data_dir.with_name(f"{here.data_dir.name}.restore.log")
    shutil.copyfile(here.log_file, kept)
    kept.chmod(0o600)
    log(f"the restored server's log is kept as {kept}")
