"""How long each part of a request may take, in one place. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta

VERIFY_WITHIN = timedelta(hours=24)
"""From the verification mail; then its token is worthless and the request expires."""
FINISH_WITHIN = timedelta(hours=72)
"""From the verification; of an erasure and of an export."""
DOWNLOAD_WITHIN = timedelta(hours=72)
"""From the completion of an export; then every version of it is deleted."""
MAIL_AGAIN_AFTER = timedelta(minutes=5)
"""A repeated request has the verification mail sent again when the newest one is older."""


def due_at(verified_at: datetime | None) -> datetime | None:
    """When a request must be finished; None while it is not verified and the clock does not run."""
    return None if verified_at is None else verified_at + FINISH_WITHIN
