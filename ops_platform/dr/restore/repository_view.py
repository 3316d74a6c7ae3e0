"""The view of the repository that a restore reads: as it is now, or as it was (``past_repository``)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from ops_platform.backup.stanza import BackupContext
from ops_platform.dr.plan import Plan
from ops_platform.dr.restore import workspace
from ops_platform.dr.restore.workspace import Workspace


class RepositoryView(Protocol):
    """How a restore gets at the repository."""

    def open_reader(self, ctx: BackupContext, here: Workspace) -> BackupContext:
        """Open the stanza's repository to be read only; may be called again in the same workspace."""

    def fetch(self, reader: BackupContext, here: Workspace, plan: Plan) -> None:
        """Make all that the plan reads readable."""

    def describe(self, reader: BackupContext, plan: Plan) -> str | None:
        """Say for people what is read; None: the repository as it is."""


@dataclass(frozen=True)
class LiveRepository:
    """The repository as it is now."""

    def open_reader(self, ctx: BackupContext, here: Workspace) -> BackupContext:
        """Open it with the identity that can only read."""
        return workspace.open_reader(ctx, here)

    def fetch(self, reader: BackupContext, here: Workspace, plan: Plan) -> None:
        """Do nothing: pgBackRest reads the bucket itself."""

    def describe(self, reader: BackupContext, plan: Plan) -> str | None:
        """Say nothing: it is what everybody expects."""
        return None
