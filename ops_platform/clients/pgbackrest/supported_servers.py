"""Which pgBackRest knows which PostgreSQL, from its release notes; it does not tell by itself.

The list ends open: a newer server is pgBackRest's own to refuse, which it does at once by the control file.
"""

from __future__ import annotations

_OLDER = 14
_FIRST_VERSION = {15: (2, 41), 16: (2, 46), 17: (2, 53), 18: (2, 55), 19: (2, 59)}
NEWEST_LISTED = max(_FIRST_VERSION)
"""The newest major version of PostgreSQL that the list has."""


def first_version(server: int) -> tuple[int, int] | None:
    """Tell the first pgBackRest that knows a major version of PostgreSQL; None beyond the list."""
    return _FIRST_VERSION.get(server)


def newest_known(version: tuple[int, ...]) -> int:
    """Tell the newest major version of PostgreSQL of the list that a pgBackRest knows."""
    return max((server for server, since in _FIRST_VERSION.items() if version >= since), default=_OLDER)
