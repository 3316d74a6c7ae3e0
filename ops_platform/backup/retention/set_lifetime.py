"""Lifetime of a set in the repository, computed from schedules and retention. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from ops_platform.backup.stanza import Repository, Stanza, longest_pause

CLEANUP_PAUSE = timedelta(days=32)
"""Pause between two runs of ``backup_cleanup``, which removes old sets; a day more for its run."""
LONGEST_COMPANION_LIFETIME = timedelta(days=3660)
"""Limit for what is kept beside the sets, where those are kept for ever."""
PRUNE_PAUSE = timedelta(days=2)
"""Versions whose time is over are removed daily; a day more for the run, or for S3's own lifecycle."""
LONGEST_LOCK_DAYS = 36_500
"""Limit of S3 for a bucket's default retention: a hundred years."""


def longest_lifetime(stanza: Stanza) -> timedelta:
    """Compute the longest time from taking a set to its removal, if backups and cleanups run as they should.

    The newest full that is older than the retention stays; what is older than that one goes with the
    next cleanup.
    """
    return timedelta(days=stanza.retention_days) + longest_pause(stanza.crons("full")) + CLEANUP_PAUSE


def lock_days(stanzas: Iterable[Stanza], repository: Repository) -> int:
    """Compute the days for which object lock keeps each object of the repository, from its writing on.

    The oldest set that the promised window needs is as old as the retention and the pause between two
    fulls; when it is deleted, it must be there for the margin still.
    """
    needed = max(
        timedelta(days=stanza.retention_days) + longest_pause(stanza.crons("full")) for stanza in stanzas
    )
    return min(-(-(needed + repository.lock_margin) // timedelta(days=1)), LONGEST_LOCK_DAYS)


def longest_trace(stanza: Stanza, days_locked: int, repository: Repository) -> timedelta:
    """Compute the longest time from taking a set until the last version of its objects is gone.

    A deleted set stays readable in the bucket's versions for the margin, and for as long as its lock lasts.
    """
    deleted = longest_lifetime(stanza) + repository.lock_margin
    return max(deleted, timedelta(days=days_locked)) + PRUNE_PAUSE


def companion_lifetime(stanza: Stanza, repository: Repository) -> timedelta:
    """Compute how long to keep what a restore of a set compares with: heartbeat positions, references.

    A deleted set can be restored from the bucket's versions for the margin.
    """
    return min(longest_lifetime(stanza) + repository.lock_margin, LONGEST_COMPANION_LIFETIME)
