"""Watch on the object lock of one stanza's repository; it looks rarely, since a lock does not go away."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

from ops_platform.agent.metrics import StanzaState
from ops_platform.agent.state import LOCK_SECONDS
from ops_platform.backup.monitoring import Observation, repository_lock
from ops_platform.backup.retention import set_lifetime
from ops_platform.backup.stanza import BackupContext


class LockWatch:
    """Looks at bucket and objects every LOCK_SECONDS, once the archive has been observed."""

    def __init__(
        self,
        context: Callable[[], BackupContext],
        state: StanzaState,
        latest: Callable[[], Observation | None],
    ) -> None:
        self._context, self._state, self._latest = context, state, latest
        self._looked_at: float | None = None
        self._earlier = repository_lock.EarlierLooks()

    def step(self) -> None:
        """Look at the lock, if it is time. Raises an OpsError when the store cannot tell."""
        observation = self._latest()
        if observation is None or observation.best is None:
            return  # without a set there is nothing to lose, and nothing whose lock could be seen
        now = time.monotonic()
        if self._looked_at is not None and now - self._looked_at < LOCK_SECONDS:
            return
        ctx = self._context()
        needed = set_lifetime.lock_days(ctx.config.stanzas.values(), ctx.config.repository)
        faults = repository_lock.faults(ctx, observation, needed, datetime.now(UTC), self._earlier)
        self._state.locked.put(not faults)
        self._looked_at = now
