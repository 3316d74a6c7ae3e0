"""What releases of pgBackRest can do, from its release notes, its source and its issues."""

from __future__ import annotations

from datetime import UTC, datetime

VERIFY_ONE_SET = (2, 55)
"""From this version on ``verify`` can be asked for one set."""
READ_PAST = (2, 54)
"""From this version on it reads a versioned bucket as it was (``--repo-target-time``)."""
LIST_PAST_IN_PAGES = (2, 60)
"""From this version on it does so, too, in folders of more than PAGE entries (upstream issue 2854)."""
PAGE = 1000
"""The most versions, delete markers and folders that S3 lists in one answer."""


def obstacle_to_reading_past(version: tuple[int, int], longest_folder: int) -> str | None:
    """Say why this version cannot read a bucket as it was; None when it can.

    ``longest_folder``: the most versions, delete markers and folders in one folder of the repository.
    """
    name = f"pgBackRest {version[0]}.{version[1]}"
    if version < READ_PAST:
        return f"{name} cannot read versions"
    if version < LIST_PAST_IN_PAGES and longest_folder > PAGE:
        return f"{name} cannot list more than {PAGE} versions of one folder"
    return None


def past_options(moment: datetime) -> list[str]:
    """Return the options of a command that reads the first repository as it was at ``moment``."""
    then = moment.astimezone(UTC)
    # It wants the repository named, and knows whole seconds, as S3 does.
    return ["--repo=1", f"--repo-target-time={then:%Y-%m-%d %H:%M:%S}+00"]
