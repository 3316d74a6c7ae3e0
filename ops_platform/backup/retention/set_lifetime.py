"""How long a set can lie in the repository, as schedules and retention have it. Pure."""

from __future__ import annotations

from datetime import timedelta

from ops_platform.backup.stanza import Stanza, longest_pause

CLEANUP_PAUSE = timedelta(days=32)
"""Sets whose time is over go once a month, by ``backup_cleanup_monthly``; a day more for its run."""
LONGEST = timedelta(days=3660)
"""Of what is kept beside sets, where those are kept for ever."""


def of(stanza: Stanza) -> timedelta:
    """From when a set is taken until it is gone, if backups and cleanups run as they should.

    The newest full that is older than the retention stays, and what is older than that one goes with the
    next cleanup.
    """
    return timedelta(days=stanza.retention_days) + longest_pause(stanza.crons("full")) + CLEANUP_PAUSE


def kept_beside(stanza: Stanza) -> timedelta:
    """How long to keep what a restore of a set asks for: heartbeats' positions, references."""
    return min(of(stanza), LONGEST)
