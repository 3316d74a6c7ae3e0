"""A value that expires: it is known only for a while after it was last seen."""

from __future__ import annotations

import threading
import time
from typing import Generic, TypeVar

T = TypeVar("T")


class ExpiringValue(Generic[T]):
    """One fact, shared by threads; unknown again ``good_for`` seconds after the last ``put``.

    ``good_for=None`` is for what stays true however long ago it was seen.
    """

    def __init__(self, good_for: float | None) -> None:
        self._good_for = good_for
        self._lock = threading.Lock()
        self._value: T | None = None
        self._seen: float | None = None
        """Monotonic; wall clocks jump."""

    def put(self, value: T) -> None:
        """Store a value that was seen now."""
        with self._lock:
            self._value, self._seen = value, time.monotonic()

    def forget(self) -> None:
        """Make the value unknown."""
        with self._lock:
            self._value, self._seen = None, None

    def get(self) -> T | None:
        """Read the value; None when it was never seen, or too long ago."""
        with self._lock:
            if self._seen is None:
                return None
            if self._good_for is not None and time.monotonic() - self._seen > self._good_for:
                return None
            return self._value

    def age(self) -> float | None:
        """Count the seconds since the value was last seen; None when it never was."""
        with self._lock:
            return None if self._seen is None else time.monotonic() - self._seen
