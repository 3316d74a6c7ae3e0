"""The other repository of a stanza, asked when a restore from the chosen one cannot begin or came to nothing.

What is advised was tried: the same restore was explained from there, down to the files of its set.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from ops_platform.backup.stanza import BackupContext
from ops_platform.backup.taking import preflight
from ops_platform.clients.safe_errors import describe
from ops_platform.dr.emergency import restore_command
from ops_platform.dr.plan import RecoveryTarget
from ops_platform.errors import OpsError


class CannotBegin(OpsError):
    """A restore that cannot begin from the chosen repository, and what can be done from the other one."""

    def __init__(self, reason: OpsError, advice: str) -> None:
        super().__init__(f"{reason}; {advice}")
        self.exit_code = reason.exit_code


@dataclass(frozen=True)
class Wanted:
    """A restore as it was asked for: its target, and ``words``, the options that say it on a command line."""

    directory: Path
    target: RecoveryTarget
    words: str
    timeline: str | None = None
    tablespaces: Mapping[str, Path] | None = None

    def command(self, ctx: BackupContext, directory: Path) -> str:
        """Write the command that restores it from the repository of ``ctx``."""
        name = ctx.config.repository.name
        return (
            f"ops-platform restore --stanza {ctx.stanza.cluster} --repository {name} --to {directory} "
            f"{self.words}"
        )


def advice(ctx: BackupContext, wanted: Wanted, now: datetime) -> str | None:
    """Say what the other repository can do for this restore, in one line; None when there is none.

    Looks only. The directory must be new or empty.
    """
    try:
        others = ctx.in_other_repositories()
    except OpsError as error:
        return f"nor can it be restored from the other repository: {describe(error)}"
    for other in others:
        name = other.config.repository.name
        try:
            preflight.reach_endpoint(other, preflight.PATIENT_TRIES)
            with restore_command.open_workspace(other, wanted.directory) as place:
                explained = restore_command.explain(
                    other, place, wanted.target, None, now, wanted.timeline, wanted.tablespaces
                )
        except OpsError as error:
            return f"nor can it be restored from the repository {name}: {describe(error)}"
        label = explained.plan.backup_set.label
        # Without quotation marks around it: the command may hold some.
        command = wanted.command(other, wanted.directory)
        return f"the repository {name} can do it, from set {label}: run {command}"
    return None
