"""The explanation of an emergency restore before it begins, and the reasons to refuse it.

Only reads: the repository's listing, and the directory that is to be filled. The restore itself is in
``dr.emergency.restore_command``.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import psutil

from ops_platform.backup.monitoring import Observation
from ops_platform.backup.proof import Faults
from ops_platform.backup.recovery_point import rpo
from ops_platform.backup.repository import BackupSet
from ops_platform.backup.wal import History, format_lsn
from ops_platform.dr.plan import timeline_choice
from ops_platform.dr.plan.recovery_target import RecoveryTarget
from ops_platform.dr.plan.scenario import AFTER_SET, Plan, plan_for
from ops_platform.errors import CheckFailed, ConfigurationError

NAMED_SETS = 3
"""A refusal names at most this many sets."""


@dataclass(frozen=True)
class Explanation:
    """The plan of a restore and what it will lose. Times UTC, sizes bytes.

    ``reaches``: when the newest WAL that will be replayed was archived, at the latest by any clock; what was
    committed later is lost for certain, what was committed in the minutes before it may be. ``loss`` is
    reckoned from the earliest of those times for the latest; None: unknown.
    ``gaps``: WAL segments missing behind the end of the recovery.
    """

    stanza: str
    plan: Plan
    directory: Path
    timeline: str
    reaches: datetime | None
    loss: timedelta | None
    gaps: int
    free_bytes: int | None = None
    """Free space where everything goes; None: it goes to several file systems."""
    tablespaces: tuple[str, ...] = ()
    """Each tablespace and its directory."""
    repository: str | None = None
    """What is read instead of the repository as it is; None: that."""
    damage_known: bool = True
    """What ``backup_verify`` read and found damaged was asked for, and the set is not among it."""

    def lines(self) -> list[str]:
        """Describe the restore to the person at the keyboard."""
        backup_set = self.plan.backup_set
        lines = [
            f"stanza       {self.stanza}",
            f"backup set   {backup_set.label} ({backup_set.kind}, completed "
            f"{backup_set.completed_at:%Y-%m-%d %H:%M:%S} UTC)",
            f"recover to   {self.plan.target}",
            f"timeline     {self.timeline}",
            f"into         {self.directory}",
            f"size         {backup_set.size_bytes / 1e6:.1f} MB, and up to "
            f"{self.plan.wal_bytes / 1e6:.0f} MB WAL; " + self._free(),
            *(f"tablespace   {tablespace}" for tablespace in self.tablespaces),
        ]
        if self.plan.target.kind in ("name", "xid"):
            lines.append(
                f"NOT KNOWN    whether the archive has this {_KIND[self.plan.target.kind]} behind the set: "
                "only the recovery finds out, and fails at the end of the archive when it is not there"
            )
        if self.repository is not None:
            lines.append(f"repository   {self.repository}")
        if not self.damage_known:
            why = (
                "backup_verify read it as it is now"
                if self.repository
                else "the ops database does not answer"
            )
            lines.append(f"NOT KNOWN    whether bytes of the set are damaged: {why}. Its files are there")
        if self.loss is not None:
            lines.append(
                f"lost         all that was committed in the last {_span(self.loss)}, or a little more"
            )
        elif self.plan.target.kind in ("lsn", "name", "xid"):
            lines.append("lost         all that was committed after the target")
        else:
            lines.append("lost         unknown: the archive does not say how far it reaches")
        lines += [f"WARNING      {warning}" for warning in self.plan.warnings]
        if self.gaps:
            lines.append(
                f"WARNING      {self.gaps} WAL segments are missing after this; recovery ends before them"
            )
        return lines

    def _free(self) -> str:
        if self.free_bytes is None:
            return "free space not checked: it goes to several file systems"
        return f"{self.free_bytes / 1e6:.0f} MB are free"


_KIND = {"name": "restore point", "xid": "transaction"}


def choose(
    observation: Observation,
    target: RecoveryTarget,
    label: str | None,
    timeline: str | None = None,
    last_beat: timeline_choice.LastBeat = timeline_choice.no_heartbeats,
    faults_of: Callable[[str], Faults] = lambda label: Faults(),
    damaged: Mapping[str, str] | None = None,
    store_behind: timedelta = timedelta(0),
) -> Plan:
    """Choose the set to start from: ``label``, or the newest one complete before the target.

    ``timeline`` is what somebody typed: a number, ``latest``, or None; then it is the living one, and a
    target that another one has too is refused; ``last_beat`` narrows down when they parted. ``faults_of``
    looks at the files of a set that fits; one that lacks some is passed over for an older one. So is one of
    ``damaged`` (label -> what was found wrong when it was read), unless it was asked for: it may have been
    repaired since. The plan says what was passed over. ``store_behind`` is how far S3's clock is known to be
    behind. Raises CheckFailed that says what is possible instead, ConfigurationError for what is no timeline.
    """
    stanza = observation.repository.stanza
    number = timeline_choice.parse(timeline)
    if observation.archive is None or not observation.whole_chains():
        raise CheckFailed(_nothing_sound(stanza))
    history = timeline_choice.history_of(observation.archive, number)
    if timeline is None:
        timeline_choice.require_unambiguous(observation, target, last_beat, store_behind)
    on_way = [
        backup_set
        for backup_set in observation.whole_chains()
        if history.holds_position(backup_set.timeline, backup_set.stop_position)
    ]
    candidates = [_named(observation, on_way, label, history)] if label else list(reversed(on_way))
    lacking: list[str] = []
    damaged = damaged or {}
    for backup_set in candidates:
        # The archive is listed from the set on that is chosen: of the others nothing is asked.
        if _starts_before(backup_set, target) and observation.has_own_wal(backup_set):
            known = damaged.get(backup_set.label)
            if wrong := faults_of(backup_set.label).summary or ("" if label else known):
                lacking.append(f"{backup_set.label} ({wrong})")
                continue
            until = target.moment if target.moment is not None else target.lsn
            state = observation.archive.state_from(
                backup_set.wal_start, timeline=history.timeline, until=until
            )
            warnings = [f"set {passed_over} was passed over" for passed_over in lacking]
            warnings += (
                [f"set {label} was found damaged when it was read: {known}"] if label and known else []
            )
            plan = plan_for(observation, backup_set, state, target, None, f"stanza {stanza}")
            return replace(plan, warnings=tuple(warnings))
    if lacking:
        raise CheckFailed(
            f"no set of stanza {stanza} can be restored to {target}: stored files are missing or damaged of "
            f"{', '.join(lacking[:NAMED_SETS])}: put them back from the versions of the bucket"
            + ("; --set tries one that was repaired since it was read" if damaged and not label else "")
        )
    if label and not _starts_before(candidates[0], target):
        raise CheckFailed(_set_too_young(candidates[0], target))
    if not observation.sound():
        raise CheckFailed(_nothing_sound(stanza))
    restorable = [backup_set for backup_set in on_way if observation.has_own_wal(backup_set)]
    raise CheckFailed(_no_set_before(observation, restorable, target, history))


def _nothing_sound(stanza: str) -> str:
    return f"stanza {stanza} has no set that can be restored: look at 'ops-platform backups'"


def explain(
    plan: Plan,
    observation: Observation,
    directory: Path,
    now: datetime,
    store_behind: timedelta | None = timedelta(0),
    last_beat: timeline_choice.LastBeat = timeline_choice.no_heartbeats,
) -> Explanation:
    """Explain what the plan would do at ``now``.

    ``store_behind`` is how far S3's clock, which dates what is archived, is behind; None when nobody knows.
    Raises CheckFailed when the archive certainly does not reach the target; the plan warns of a doubt, also
    of one about which clock is right.
    """
    stanza = observation.repository.stanza
    certain, reaches = _reaches(plan, observation, store_behind or timedelta(0), last_beat)
    moment = plan.target.moment
    if moment is not None and certain is not None and reaches is not None and moment > certain:
        ends = f"the archive of stanza {stanza} ends at about {reaches:%Y-%m-%d %H:%M:%S}+00"
        beyond = moment > now or (store_behind is not None and moment > reaches + rpo.CLOCK_SLACK)
        if moment > reaches and beyond:
            raise CheckFailed(f"{ends}, before the target: choose an earlier time, or --latest")
        why = "clocks may differ by so much"
        if store_behind is None:
            why = "S3 does not tell its time"
        elif moment <= reaches:
            # The clock of this host, or of the server at one of its sets, may be the one that was wrong.
            why = f"by the clock of S3 at {certain:%Y-%m-%d %H:%M:%S}+00, which may be the right one"
        doubt = f"NOT KNOWN whether the target is reached: {ends}, and {why}; if not, the recovery fails"
        plan = replace(plan, warnings=(*plan.warnings, doubt))
    end = plan.state.contiguous_end
    if plan.target.lsn is not None and (end is None or plan.target.lsn > end):
        raise CheckFailed("the archive ends before that LSN: choose an earlier one, or --latest")
    until = moment or (certain if plan.target.kind == "latest" else None)
    loss = None if until is None else max(timedelta(0), now - until)
    return Explanation(
        stanza, plan, directory, _timeline(plan, observation), reaches, loss, plan.state.gap_segments
    )


def _reaches(
    plan: Plan, observation: Observation, store_behind: timedelta, last_beat: timeline_choice.LastBeat
) -> tuple[datetime | None, datetime | None]:
    """Tell until when the archive reaches, for certain and by the clocks; None when it does not say.

    Certain is what S3 dated with its own clock, and a heartbeat. What another clock adds to that is a
    correction by a clock that may itself be wrong, or was wrong when a set was taken.
    """
    archive, end = observation.archive, plan.state.contiguous_end
    arrived = None if archive is None else archive.arrived_at(plan.last_segment)
    if archive is None or arrived is None:
        return None, None
    beat = None if end is None else last_beat(plan.state.history.timeline, end)
    certain = arrived if beat is None else max(arrived, beat)
    corrected = arrived + max(timeline_choice.certainly_behind(observation, archive), store_behind)
    return certain, max(certain, corrected)


def _timeline(plan: Plan, observation: Observation) -> str:
    """Name the timeline that recovery follows, and where it comes from or that it was left."""
    history = plan.state.history
    came = "".join(f", from {format_lsn(lsn)} of timeline {parent}" for parent, lsn in history.left[-1:])
    archive = observation.archive
    living = history.timeline if archive is None else archive.lineage.living
    left = "" if history.timeline == living else f", ABANDONED: timeline {living} lives"
    stored = archive is not None and archive.writes is None and len(archive.lineage.seen) > 1
    alone = " (by what is stored alone: neither server nor heartbeats were asked)" if stored else ""
    return f"{history.timeline}{came}{left}{alone}"


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


def _no_set_before(
    observation: Observation, on_way: Sequence[BackupSet], target: RecoveryTarget, history: History
) -> str:
    stanza = observation.repository.stanza
    if not on_way:
        timelines = sorted({backup_set.timeline for backup_set in observation.sound()})
        others = " or ".join(f"--timeline {number}" for number in timelines)
        return (
            f"no set of stanza {stanza} lies on the way of timeline {history.timeline}: take a full backup; "
            f"what was left behind can be had with {others}"
        )
    return (
        f"no set of stanza {stanza} was complete before {target}: the earliest {_earliest(on_way[0], target)}"
    )


def _set_too_young(backup_set: BackupSet, target: RecoveryTarget) -> str:
    return (
        f"set {backup_set.label} was not complete before {target}: its earliest "
        f"{_earliest(backup_set, target)}; leave --set out for the newest set that fits"
    )


def _earliest(backup_set: BackupSet, target: RecoveryTarget) -> str:
    """Name the earliest target of the same kind that the set reaches."""
    if target.lsn is not None:
        return f"LSN is {backup_set.lsn_stop}"
    return f"moment is {backup_set.completed_at + AFTER_SET:%Y-%m-%d %H:%M:%S}+00"


def _named(
    observation: Observation, on_way: Sequence[BackupSet], label: str | None, history: History
) -> BackupSet:
    for backup_set in on_way:
        if backup_set.label == label and observation.has_own_wal(backup_set):
            return backup_set
    on_way = [backup_set for backup_set in on_way if observation.has_own_wal(backup_set)]
    labels = ", ".join(backup_set.label for backup_set in on_way) or "none"
    known = observation.repository.set(label or "")
    if known is None:
        problem = "is not in the repository"
    elif known in observation.sound():
        problem = (
            f"lies on timeline {known.timeline}, not on the way of timeline {history.timeline}: "
            f"say --timeline {known.timeline} to restore it"
        )
    else:
        problem = "cannot be restored: its WAL, some of its files or a set it builds on is missing"
    raise CheckFailed(f"set {label} {problem}; restorable are {labels}")


def _starts_before(backup_set: BackupSet, target: RecoveryTarget) -> bool:
    if target.moment is not None:
        return backup_set.completed_at + AFTER_SET <= target.moment
    if target.lsn is not None:
        return backup_set.stop_position <= target.lsn
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
