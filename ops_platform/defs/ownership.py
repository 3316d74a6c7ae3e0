"""Ownership of each duty's definitions: the team that Dagster shows, and the tag that its lists filter by."""

from __future__ import annotations

from typing import Final

DUTY_TAG: Final = "duty"
_TEAMS: Final = {
    "backup": "team:database",
    "dr": "team:database",
    "slo": "team:reliability",
    "gdpr": "team:data-protection",
    "housekeeping": "team:platform",
}


def owners(duty: str) -> list[str]:
    """Name the team that looks after a duty. Raises KeyError for a duty that there is not."""
    return [_TEAMS[duty]]


def duty_tag(duty: str) -> dict[str, str]:
    """Make the tag of a duty's assets, jobs and runs."""
    return {DUTY_TAG: duty}
