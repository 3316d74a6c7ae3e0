"""Waiting for a condition outside to become true. No condition in particular is known here."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from ops_platform.errors import Unavailable

T = TypeVar("T")


def wait_until(
    condition: Callable[[], T | None],
    timeout: float,
    description: str,
    *,
    interval: float = 0.1,
    hint: str = "",
) -> T:
    """Call ``condition`` until its result is true, and return that result.

    ``timeout`` and ``interval`` are in seconds. Raises Unavailable ("<description>: not within 30 s;
    <hint>") when the timeout has passed; an exception of ``condition`` itself goes through.
    """
    deadline = time.monotonic() + timeout
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() >= deadline:
            raise Unavailable(f"{description}: not within {timeout:g} s{f'; {hint}' if hint else ''}")
        time.sleep(interval)
