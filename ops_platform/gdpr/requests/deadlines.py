"""The time limits of a request, in one place. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta

VERIFY_WITHIN = timedelta(hours=24)
"""Counted from the verification mail; afterwards its token is worthless and the request expires."""
FINISH_WITHIN = timedelta(hours=72)
"""Counted from the verification; for erasures and exports alike."""
DOWNLOAD_WITHIN = timedelta(hours=72)
"""Counted from the completion of an export; afterwards every version of the archive is deleted."""
MAIL_AGAIN_AFTER = timedelta(minutes=5)
"""A repeated request sends the verification mail again when the newest one is older than this."""


def due_at(verified_at: datetime | None) -> datetime | None:
    """Compute when a request must be finished; None while it is not verified: the clock does not run yet."""
    return None if verified_at is None else verified_at + FINISH_WITHIN
