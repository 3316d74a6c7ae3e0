"""What an emergency restore is going to do, told before it does it; and what it refuses to do.

Only reads: the repository's listing, and the directory that is to be filled. Doing it is in
``break_glass``.
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
    """What a restore is going to do, before it does it. Times UTC, sizes bytes.

    ``reaches``: when the newest WAL that will be replayed came into the archive; what was committed
    later is lost for certain, what was committed in the minutes before it may be.
    """

    stanza: str
    plan: Plan
    directory: Path
    reaches: datetime | None
    loss: timedelta | None
    gaps: int

    def lines(self) -> list[str]:
        """For the person at the keyboard."""
        one = self.plan.backup_set
        said = [
            f"stanza       {self.stanza}",
            f"backup set   {one.label} ({one.kind}, completed {one.completed_at:%Y-%m-%d %H:%M:%S} UTC)",
            f"recover to   {self.plan.target}",
            f"into         {self.directory}",
            f"size         {one.size_bytes / 1e6:.1f} MB, and up to {self.plan.wal_bytes / 1e6:.0f} MB WAL",
        ]
        if self.loss is not None:
            said.append(
                f"lost         all that was committed in the last {_span(self.loss)}, or a little more"
            )
        elif self.plan.target.kind in ("lsn", "name", "xid"):
            said.append("lost         all that was committed after the target")
        else:
            said.append("lost         unknown: the archive does not say how far it reaches")
        if self.gaps:
            said.append(
                f"WARNING      {self.gaps} WAL segments are missing after this; recovery ends before them"
            )
        return said


def choose(seen: Observation, target: RecoveryTarget, label: str | None) -> Plan:
    """The set to start from. Raises CheckFailed that says what is possible instead."""
    stanza = seen.repository.stanza
    restorable = seen.restorable()
    if seen.archive is None or not restorable:
        raise CheckFailed(f"stanza {stanza} has no set that can be restored: look at 'ops-platform backups'")
    candidates = [_named(seen, restorable, label)] if label else list(reversed(restorable))
    for one in candidates:
        state = seen.archive.state_from(one.wal_start)
        if _starts_before(one, target):
            return plan_for(seen, one, state, target, None, f"stanza {stanza}")
    oldest = restorable[0].completed_at
    raise CheckFailed(
        f"no set of stanza {stanza} was complete before {target}: the earliest moment is "
        f"{oldest + AFTER_SET:%Y-%m-%d %H:%M:%S}+00"
    )


def explain(plan: Plan, seen: Observation, directory: Path, now: datetime) -> Explanation:
    """Raises CheckFailed when the archive does not reach the target."""
    stanza, last = seen.repository.stanza, plan.last_segment
    segments = seen.archive.segments if seen.archive is not None else ()
    reaches = max((one.archived_at for one in segments if one.segment == last), default=None)
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


def refuse(directory: Path) -> None:
    """Raises CheckFailed when there is anything in ``directory``, or a server uses it."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            if process.name().startswith("postgres") and _works_in(process, directory):
                raise CheckFailed(
                    f"a PostgreSQL server (process {process.pid}) runs in {directory}: stop it first, "
                    "or restore into another directory"
                )
    if directory.is_symlink() or (directory.exists() and not directory.is_dir()):
        raise CheckFailed(f"{directory} is no directory: choose an empty or a new one")
    try:
        holds = next(directory.iterdir(), None) if directory.exists() else None
    except PermissionError:
        raise ConfigurationError(f"{directory} cannot be read: run as its owner or as root") from None
    if holds is not None:
        raise CheckFailed(
            f"{directory} is not empty: move it away first ('mv {directory} {directory}.before'), "
            "nothing is ever overwritten"
        )
    if not directory.parent.is_dir():
        raise CheckFailed(f"{directory.parent} does not exist: create it, or choose another directory")


def _named(seen: Observation, restorable: tuple[BackupSet, ...], label: str | None) -> BackupSet:
    for one in restorable:
        if one.label == label:
            return one
    known = ", ".join(each.label for each in restorable)
    there = seen.repository.set(label or "") is not None
    what = (
        "cannot be restored: its WAL or a set it builds on is missing"
        if there
        else "is not in the repository"
    )
    raise CheckFailed(f"set {label} {what}; restorable are {known}")


def _starts_before(one: BackupSet, target: RecoveryTarget) -> bool:
    if target.moment is not None:
        return one.completed_at + AFTER_SET <= target.moment
    if target.lsn is not None:
        return parse_lsn(one.lsn_stop) <= target.lsn
    # Where a name or a transaction lies is known to the WAL alone: the newest set, or --set.
    return True


def _works_in(process: psutil.Process, directory: Path) -> bool:
    # A server's own directory is told without symbolic links.
    return process.cwd() == os.path.realpath(directory) or str(directory) in process.cmdline()


def _span(span: timedelta) -> str:
    seconds = span.total_seconds()
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
