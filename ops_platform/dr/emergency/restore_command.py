"""The restore of an emergency, without Dagster and without the ops database.

It needs the configuration, the repository and pgBackRest. One that is killed leaves a directory
that no server starts in (pgBackRest writes ``pg_control`` last) or a cluster that was not
verified to the end; either is not empty, so the next attempt says so and touches nothing. The
repository is only read.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from ops_platform import files
from ops_platform.backup.monitoring import observe
from ops_platform.backup.stanza import BackupContext
from ops_platform.dr.exercise.drill import rehearse
from ops_platform.dr.exercise.rehearsal import Knowledge, Manner, Rehearsal, server_of
from ops_platform.dr.plan import RecoveryTarget, restore_plan
from ops_platform.dr.plan.restore_plan import Explanation
from ops_platform.dr.restore import Workspace, workspace

SCENARIO = "emergency"

CURRENT_SEGMENT = "Latest checkpoint's REDO WAL file"

_SEGMENT = re.compile(r"[0-9A-F]{24}")
# What pgBackRest writes for the recovery; afterwards it would only mislead, and names a file that goes.
_RECOVERY_SETTING = re.compile(r"^\s*(restore_command|recovery_target\w*|archive_cleanup_command)\s*=")


@contextmanager
def opened(ctx: BackupContext, directory: Path) -> Iterator[Workspace]:
    """A workspace for filling ``directory``; it goes at the end, the directory stays.

    Raises CheckFailed when there is something in the directory or a server uses it.
    """
    restore_plan.refuse(directory)
    root = ctx.settings.state_dir / "restores"
    workspace.make_directory(root, ctx.settings.run_as)
    base = Path(tempfile.mkdtemp(prefix="r", dir=root))
    try:
        workspace.own(base, ctx.settings.run_as)
        here = Workspace(base, directory, ctx.settings.run_as)
        here.prepare()
        yield here
    finally:
        shutil.rmtree(base, ignore_errors=True)


def explain(
    ctx: BackupContext, here: Workspace, target: RecoveryTarget, label: str | None, now: datetime
) -> Explanation:
    """What would be done; reads the repository. Raises CheckFailed when it cannot be done."""
    reader = workspace.open_reader(ctx, here)
    seen = observe(reader)
    return restore_plan.explain(restore_plan.choose(seen, target, label), seen, here.data_dir, now)


def carry_out(
    ctx: BackupContext,
    here: Workspace,
    knowledge: Knowledge,
    t0: datetime,
    log: Callable[[str], None],
    progress: Callable[[float], None],
) -> Rehearsal:
    """Restore, recover, erase again, verify; the server is stopped cleanly at the end.

    What is wrong is in the answers. The cluster's own settings are as they were at the source.
    """
    restore_plan.refuse(here.data_dir)
    workspace.make_directory(here.data_dir, here.run_as)
    manner = Manner(frozen=False, archive_mode=None, beside=False)
    done = rehearse(ctx, here, SCENARIO, knowledge, t0, log, progress, manner)
    if done.rto_seconds is not None:
        forget_recovery(here)
        hand_over_wal(here, server_of(ctx, here).control_data()[CURRENT_SEGMENT])
    else:
        keep_log(here, log)
    return done


def forget_recovery(here: Workspace) -> None:
    """Take the settings of the recovery out of postgresql.auto.conf of the stopped server."""
    path = here.data_dir / "postgresql.auto.conf"
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    kept = "".join(line for line in lines if not _RECOVERY_SETTING.match(line))
    files.write_atomically(path, kept, hand_over=lambda begun: workspace.own(begun, here.run_as))


def hand_over_wal(here: Workspace, current: str) -> list[str]:
    """Tell the archiver of the stopped cluster what was written while archiving was off; the names.

    Without the new timeline's history file no earlier set could be recovered beyond the promotion:
    PostgreSQL marks it for the archive only at the promotion itself. ``current`` is the segment with
    the shutdown checkpoint: it goes on, and those behind it are recycled files without content.
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
        workspace.own(ready, here.run_as)
        marked.append(name)
    return marked


def keep_log(here: Workspace, log: Callable[[str], None]) -> None:
    """The server's log outlives a workspace whose restore failed: it is what a person reads next."""
    if not here.log_file.exists():
        return
    kept = here.data_dir.with_name(f"{here.data_dir.name}.restore.log")
    shutil.copyfile(here.log_file, kept)
    kept.chmod(0o600)
    log(f"the restored server's log is kept as {kept}")
