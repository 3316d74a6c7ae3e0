"""The explanation of an emergency restore before it begins, and the reasons to refuse it.

Only reads: the repository's listing, and the directory that is to be filled. The restore itself is in
``dr.emergency.restore_command``.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import psutil

from ops_platform.backup.monitoring import Observation
from ops_platform.backup.repository import BackupSet
from ops_platform.backup.wal import parse_lsn
from ops_platform.dr.plan.recovery_target import RecoveryTarget
from ops_platform.dr.plan.scenario import AFTER_SET, Plan, plan_for
from ops_platform.errors import CheckFailed, ConfigurationError


@dataclass(frozen=True)
class Explanation:
    """The plan of a restore and what it will lose. Times UTC, sizes bytes.

    ``reaches``: when the newest WAL that will be replayed was archived; what was committed later is
    lost for certain, what was committed in the minutes before it may be. ``loss`` None: unknown.
    ``gaps``: WAL segments missing behind the end of the recovery.
    """

    stanza: str
    plan: Plan
    directory: Path
    reaches: datetime | None
    loss: timedelta | None
    gaps: int

    def lines(self) -> list[str]:
        """Describe the restore to the person at the keyboard."""
        backup_set = self.plan.backup_set
        lines = [
            f"stanza       {self.stanza}",
            f"backup set   {backup_set.label} ({backup_set.kind}, completed "
            f"{backup_set.completed_at:%Y-%m-%d %H:%M:%S} UTC)",
            f"recover to   {self.plan.target}",
            f"into         {self.directory}",
            f"size         {backup_set.size_bytes / 1e6:.1f} MB, and up to "
            f"{self.plan.wal_bytes / 1e6:.0f} MB WAL",
        ]
        if self.loss is not None:
            lines.append(
                f"lost         all that was committed in the last {_span(self.loss)}, or a little more"
            )
        elif self.plan.target.kind in ("lsn", "name", "xid"):
            lines.append("lost         all that was committed after the target")
        else:
            lines.append("lost         unknown: the archive does not say how far it reaches")
        if self.gaps:
            lines.append(
                f"WARNING      {self.gaps} WAL segments are missing after this; recovery ends before them"
            )
        return lines


def choose(observation: Observation, target: RecoveryTarget, label: str | None) -> Plan:
    """Choose the set to start from: ``label``, or the newest one complete before the target.

    Raises CheckFailed that says what is possible instead.
    """
    stanza = observation.repository.stanza
    restorable = observation.restorable()
    if observation.archive is None or not restorable:
        raise CheckFailed(f"stanza {stanza} has no set that can be restored: look at 'ops-platform backups'")
    candidates = [_named(observation, restorable, label)] if label else list(reversed(restorable))
    for backup_set in candidates:
        state = observation.archive.state_from(backup_set.wal_start)
        if _starts_before(backup_set, target):
            return plan_for(observation, backup_set, state, target, None, f"stanza {stanza}")
    oldest = restorable[0].completed_at
    raise CheckFailed(
        f"no set of stanza {stanza} was complete before {target}: the earliest moment is "
        f"{oldest + AFTER_SET:%Y-%m-%d %H:%M:%S}+00"
    )


def explain(plan: Plan, observation: Observation, directory: Path, now: datetime) -> Explanation:
    """Explain what the plan would do at ``now``.

    Raises CheckFailed when the archive does not reach the target.
    """
    stanza, last = observation.repository.stanza, plan.last_segment
    segments = observation.archive.segments if observation.archive is not None else ()
    reaches = max((archived.archived_at for archived in segments if archived.segment == last), default=None)
    moment = plan.target.moment
    if moment is not None and reaches is not None and moment > reaches:
        raise CheckFailed(
            f"the archive of stanza {stanza} ends at about {reaches:%Y-%m-%d %H:%M:%S}+00, before the "
            "target: choose an earlier time, or --latest"
        )
    end = plan.state.contiguous_end
    if plan.target.lsn is not None and (end is None or plan.target.lsn > end):
        raise CheckFailed("the archive ends before that LSN: choose an earlier one, or --latest")
    until = moment or (reaches if plan.target.kind == "latest" else None)
    loss = None if until is None else max(timedelta(0), now - until)
    return Explanation(stanza, plan, directory, reaches, loss, plan.state.gap_segments)


def require_empty_directory(directory: Path) -> None:
    """Check that a restore may fill ``directory``: empty or not there yet, and used by no server.

    Raises CheckFailed otherwise, ConfigurationError when it may not be read.
    """
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            if process.name().startswith("postgres") and _works_in(process, directory):
                raise CheckFailed(
                    f"a PostgreSQL server (process {process.pid}) runs in {directory}: stop it first, "
                    "or restore into another directory"
                )
    if directory.is_symlink() or (directory.exists() and not directory.is_dir()):
        raise CheckFailed(f"{directory} is not a directory: choose an empty or a new one")
    try:
        entry = next(directory.iterdir(), None) if directory.exists() else None
    except PermissionError:
        raise ConfigurationError(f"{directory} cannot be read: run as its owner or as root") from None
    if entry is not None:
        raise CheckFailed(
            f"{directory} is not empty: move it away first ('mv {directory} {directory}.before'), "
            "nothing is ever overwritten"
        )
    if not directory.parent.is_dir():
        raise CheckFailed(f"{directory.parent} does not exist: create it, or choose another directory")


def _named(observation: Observation, restorable: tuple[BackupSet, ...], label: str | None) -> BackupSet:
    for backup_set in restorable:
        if backup_set.label == label:
            return backup_set
    labels = ", ".join(backup_set.label for backup_set in restorable)
    problem = (
        "is not in the repository"
        if observation.repository.set(label or "") is None
        else "cannot be restored: its WAL or a set it builds on is missing"
    )
    raise CheckFailed(f"set {label} {problem}; restorable are {labels}")


def _starts_before(backup_set: BackupSet, target: RecoveryTarget) -> bool:
    if target.moment is not None:
        return backup_set.completed_at + AFTER_SET <= target.moment
    if target.lsn is not None:
        return parse_lsn(backup_set.lsn_stop) <= target.lsn
    # Only the WAL knows where a name or a transaction lies: take the newest set, or --set.
    return True


def _works_in(process: psutil.Process, directory: Path) -> bool:
    # The system reports a process's directory without symbolic links.
    return process.cwd() == os.path.realpath(directory) or str(directory) in process.cmdline()


def _span(span: timedelta) -> str:
    seconds = span.total_seconds()
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
