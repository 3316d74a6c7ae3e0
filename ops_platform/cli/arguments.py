"""How arguments are read that click has no type for."""

from __future__ import annotations

from datetime import UTC, datetime

from ops_platform.errors import ConfigurationError


def moment(text: str) -> datetime:
    """UTC unless it says otherwise. Raises ConfigurationError."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigurationError(f"{text} is no time: write 2026-01-31T14:00") from None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
