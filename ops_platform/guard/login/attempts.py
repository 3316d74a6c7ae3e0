"""Wrong passwords, counted for each address and for each name: who has too many of them waits."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict, deque
from collections.abc import Callable

from ops_platform.guard.refusal import Refusal

SECONDS = 900.0
OF_ADDRESS, OF_NAME = 10, 30
"""Wrong passwords in any SECONDS. Those of a name are more: else anybody could lock somebody out."""
MOST_KEPT = 10_000


class Attempts:
    """Times of wrong passwords; the oldest keys are forgotten first."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._failed: OrderedDict[tuple[str, str], deque[float]] = OrderedDict()
        self._lock = threading.Lock()

    def begin(self, address: str, name: str) -> None:
        """Count an attempt as wrong until it is told otherwise. Raises Refusal when there were too many.

        Counted first, so that many at once are not all let through.
        """
        now = self._clock()
        with self._lock:
            for key, most in ((("address", address), OF_ADDRESS), (("name", name), OF_NAME)):
                times = self._failed.get(key, deque())
                while times and now - times[0] >= SECONDS:
                    times.popleft()
                if len(times) >= most:
                    wait = math.ceil((SECONDS - (now - times[0])) / 60)
                    raise Refusal(
                        429, "too-many-attempts", f"Too many wrong passwords: try again in {wait} minutes."
                    )
            for key in (("address", address), ("name", name)):
                self._failed.setdefault(key, deque()).append(now)
                self._failed.move_to_end(key)
            while len(self._failed) > MOST_KEPT:
                self._failed.popitem(last=False)

    def succeeded(self, address: str, name: str) -> None:
        """Take the attempt back that ``begin`` counted: the password was right."""
        with self._lock:
            for key in (("address", address), ("name", name)):
                times = self._failed.get(key)
                if times:
                    times.pop()
