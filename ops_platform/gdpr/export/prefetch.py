"""An iterator that is read by a thread of its own, a little ahead of who uses it."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from typing import Generic, TypeVar

T = TypeVar("T")
AHEAD = 2 * 1024 * 1024
"""What may wait weighs so much together; a heavier item waits alone."""


@contextmanager
def ahead(source: Generator[T, None, None], weight: Callable[[T], int]) -> Iterator[Iterator[T]]:
    """``source``, of which items of up to AHEAD wait; what it raises is raised where it is used.

    When the block ends, the thread has ended too: ``source`` is then closed, though perhaps not at its end.
    """
    waiting = _Waiting[T]()

    def read() -> None:
        try:
            with closing(source):
                for item in source:
                    if not waiting.put(item, weight(item)):
                        break
        except BaseException as error:
            waiting.end(error)
        else:
            waiting.end(None)

    thread = threading.Thread(target=read, name="reading ahead", daemon=True)
    thread.start()
    try:
        yield waiting.items()
    finally:
        waiting.stop()
        thread.join()


class _Waiting(Generic[T]):
    """Between one thread that puts and one that takes."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._items: deque[tuple[T, int]] = deque()
        self._weight = 0
        self._ended = self._stopped = False
        self._error: BaseException | None = None

    def put(self, item: T, weight: int) -> bool:
        """Waits for room; whether anybody wants more."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or not self._items or self._weight + weight <= AHEAD)
            self._items.append((item, weight))
            self._weight += weight
            self._changed.notify_all()
            return not self._stopped

    def end(self, error: BaseException | None) -> None:
        with self._changed:
            self._ended, self._error = True, error
            self._changed.notify_all()

    def stop(self) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def items(self) -> Iterator[T]:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._items or self._ended)
                if not self._items:
                    if self._error is not None:
                        raise self._error
                    return
                item, weight = self._items.popleft()
                self._weight -= weight
                self._changed.notify_all()
            yield item
