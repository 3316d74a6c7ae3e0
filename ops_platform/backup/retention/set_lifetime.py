"""Lifetime of a set in the repository, computed from schedules and retention. Pure."""

from __future__ import annotations

from datetime import timedelta

from ops_platform.backup.stanza import Stanza, longest_pause

CLEANUP_PAUSE = timedelta(days=32)
"""Pause between two runs of ``backup_cleanup``, which removes old sets; a day more for its run."""
LONGEST_COMPANION_LIFETIME = timedelta(days=3660)
"""Limit for what is kept beside the sets, where those are kept for ever."""


def longest_lifetime(stanza: Stanza) -> timedelta:
    """Compute the longest time from taking a set to its removal, if backups and cleanups run as they should.

    The newest full that is older than the retention stays; what is older than that one goes with the
    next cleanup.
    """
    return timedelta(days=stanza.retention_days) + longest_pause(stanza.crons("full")) + CLEANUP_PAUSE


def companion_lifetime(stanza: Stanza) -> timedelta:
    """Compute how long to keep what a restore of a set compares with: heartbeat positions, references."""
    return min(longest_lifetime(stanza), LONGEST_COMPANION_LIFETIME)
