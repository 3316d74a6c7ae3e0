"""Waiting for something outside to become true. Knows nothing of what is waited for."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from ops_platform.errors import Unavailable

T = TypeVar("T")


def wait_until(
    condition: Callable[[], T | None], timeout: float, what: str, *, interval: float = 0.1, hint: str = ""
) -> T:
    """Call ``condition`` until it answers something true, and return that.

    ``timeout`` and ``interval`` are in seconds. Raises Unavailable ("<what> within 30 s ...")
    when the time is over; an exception of ``condition`` itself goes through.
    """
    deadline = time.monotonic() + timeout
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() >= deadline:
            raise Unavailable(f"{what}: not within {timeout:g} s{f'; {hint}' if hint else ''}")
        time.sleep(interval)
