"""Watch on the index of one stanza's repository: whether it is whole, and kept elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from ops_platform.agent.metrics import IndexState
from ops_platform.backup.repository import KeptIndex, StoredFiles, index_files
from ops_platform.backup.repository.index_files import IndexPair
from ops_platform.backup.stanza import BackupContext
from ops_platform.backup.taking import preflight
from ops_platform.clients.pgbackrest import layout
from ops_platform.errors import OpsError

OTHERS_SECONDS = 300.0
"""Pause between looks at archive.info, without which the server itself cannot archive, and at the copies."""


class IndexWatch:
    """Watch that reads the four files only when one of them is another than before, and once a month."""

    def __init__(
        self,
        context: Callable[[], BackupContext],
        state: IndexState,
        looked_at: Callable[[], str | None] = lambda: None,
    ) -> None:
        """Take the ETag of backup.info that another loop has ``looked_at``, if it has."""
        self._context, self._state, self._looked_at = context, state, looked_at
        self._known: tuple[str | None, ...] = ()
        """ETags of the files when all were good and kept, and the month."""
        self._others: tuple[float, tuple[str | None, ...]] | None = None
        """When the other three were looked at (monotonic seconds), and their ETags."""

    def step(self) -> None:
        """Look, and keep what is not kept yet. Raises the store's errors and PgBackRestError."""
        context = self._context()
        preflight.reach_endpoint(context)
        seen = self._etags(context)
        if seen == self._known:
            self._tell(lost=False, damaged_files=0, kept=True)
            return
        self._known, self._others = (), None
        pairs = index_files.look(context)
        damaged = sum(len(pair.bad) for pair in pairs)
        if damaged == 2 * len(pairs) and not self._was_ever_made(context, pairs):
            self._tell(lost=False, damaged_files=0)
            self._state.kept.forget()
            return
        lost = any(pair.good is None for pair in pairs)
        # What is wrong is told before the ledger's bucket is asked: it may be away, too.
        self._tell(lost=lost, damaged_files=damaged)
        kept = KeptIndex.is_configured(context.settings)
        if kept:
            try:
                KeptIndex.open(context.settings, context.stanza.name).keep(pairs, datetime.now(UTC))
            except OpsError:
                # Not unknown: what nobody could write is not kept.
                self._tell(lost=lost, damaged_files=damaged, kept=False)
                raise
        self._tell(lost=lost, damaged_files=damaged, kept=kept and not lost)
        if kept and not damaged:
            self._known = seen

    def _was_ever_made(self, context: BackupContext, pairs: Sequence[IndexPair]) -> bool:
        """Tell whether there was an index: also when all of the stanza is gone, but a version is kept."""
        if index_files.was_ever_made(context, pairs):
            return True
        if not KeptIndex.is_configured(context.settings):
            return False
        kept = KeptIndex.open(context.settings, context.stanza.name)
        return any(kept.versions(pair.name) for pair in pairs)

    def _etags(self, context: BackupContext) -> tuple[str | None, ...]:
        stored, paths = StoredFiles.open(context), context.pgbackrest.layout
        own = self._looked_at() or stored.etags([paths.backup_info])[0]
        now, others = time.monotonic(), self._others
        if others is None or now - others[0] >= OTHERS_SECONDS or (own,) != self._known[:1]:
            files = (paths.archive_info, paths.backup_info + layout.COPY, paths.archive_info + layout.COPY)
            others = self._others = now, stored.etags(files)
        return (own, *others[1], f"{datetime.now(UTC):%Y-%m}")

    def _tell(self, *, lost: bool, damaged_files: int, kept: bool | None = None) -> None:
        self._state.lost.put(lost)
        self._state.damaged_files.put(damaged_files)
        if kept is not None:
            self._state.kept.put(kept)
