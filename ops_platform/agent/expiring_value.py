"""What the process knows for a while: a value, when it was seen, and until when it may be told."""

from __future__ import annotations

import threading
import time
from typing import Generic, TypeVar

T = TypeVar("T")


class Slot(Generic[T]):
    """One fact. After ``good_for`` seconds without a new sight of it, it is unknown again.

    ``good_for=None`` is for what stays true however long ago it was seen.
    """

    def __init__(self, good_for: float | None) -> None:
        self._good_for = good_for
        self._lock = threading.Lock()
        self._value: T | None = None
        self._seen: float | None = None
        """Monotonic; wall clocks jump."""

    def put(self, value: T) -> None:
        with self._lock:
            self._value, self._seen = value, time.monotonic()

    def forget(self) -> None:
        with self._lock:
            self._value, self._seen = None, None

    def get(self) -> T | None:
        """The value; None when it was never seen or not for too long."""
        with self._lock:
            if self._seen is None:
                return None
            if self._good_for is not None and time.monotonic() - self._seen > self._good_for:
                return None
            return self._value

    def age(self) -> float | None:
        """Seconds since the fact was last seen; None when it never was."""
        with self._lock:
            return None if self._seen is None else time.monotonic() - self._seen
