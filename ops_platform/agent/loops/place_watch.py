"""Watch on whether a stanza's repository is another place than the cluster's first one."""

from __future__ import annotations

import time
from collections.abc import Callable

from ops_platform.agent.metrics import StanzaState
from ops_platform.agent.state import LOCK_SECONDS
from ops_platform.backup.monitoring import Observation
from ops_platform.backup.repository import place_token
from ops_platform.backup.stanza import BackupContext


class PlaceWatch:
    """Compares the tokens of both places every LOCK_SECONDS, and at every step while it cannot."""

    def __init__(
        self,
        context: Callable[[], BackupContext],
        state: StanzaState,
        latest: Callable[[], Observation | None],
    ) -> None:
        self._context, self._state, self._latest = context, state, latest
        self._looked_at: float | None = None

    def step(self) -> None:
        """Compare, if it is time. Raises what ``place_token.require_own`` does of a repository not in use."""
        observation = self._latest()
        if observation is None or observation.best is None:
            return  # without a set there is nothing that one deletion could take twice
        now = time.monotonic()
        if self._looked_at is not None and now - self._looked_at < LOCK_SECONDS:
            return
        proved = False
        try:
            # A backup goes on where nobody can tell; here that is a failure, and known as one.
            proved = place_token.require_own(self._context(), is_in_use=False, log=_unheard)
        finally:
            self._state.own_place.put(proved)
        self._looked_at = now


def _unheard(_line: str) -> None:
    """Take no line: what is not known is raised."""
