"""Requests that wait for the product: who asked when, and who has given up.

A product that is slower than its users ask does not make them ask less: they wait, then they leave.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from ops_platform.local.demo.activity import Request

PATIENCE_SECONDS = 5.0
"""Who has waited this long for the first byte sees 503."""


@dataclass(frozen=True)
class Waiting:
    """A request, and when (monotonic seconds) it was made."""

    request: Request
    since: float


class Backlog:
    """A queue of requests in the order in which they were made."""

    def __init__(self, patience: float = PATIENCE_SECONDS) -> None:
        """``patience``: seconds after which a request that still waits is given up."""
        self._patience = patience
        self._waiting: deque[Waiting] = deque()

    def add(self, made: Iterable[Request], since: float) -> None:
        """Add requests that were made at ``since``, which is no earlier than those before."""
        self._waiting.extend(Waiting(request, since) for request in made)

    def given_up(self, now: float) -> list[Waiting]:
        """Take out those who have waited too long at ``now``."""
        gone = []
        while self._waiting and now - self._waiting[0].since > self._patience:
            gone.append(self._waiting.popleft())
        return gone

    def next(self, most: int) -> list[Waiting]:
        """Take out those who have waited longest, at most ``most`` of them."""
        return [self._waiting.popleft() for _ in range(min(most, len(self._waiting)))]
