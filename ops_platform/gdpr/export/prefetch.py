"""An iterator that a thread of its own reads a little ahead of its consumer."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from typing import Generic, TypeVar

T = TypeVar("T")
AHEAD = 2 * 1024 * 1024
"""Weight up to which items wait together; a heavier item waits alone."""


@contextmanager
def prefetched(source: Generator[T, None, None], weight: Callable[[T], int]) -> Iterator[Iterator[T]]:
    """Read ``source`` in a thread, up to AHEAD of ``weight`` in advance; its errors reach the consumer.

    When the block ends, the thread has ended too, and ``source`` is closed, though perhaps not at its end.
    """
    queue = _Queue[T]()

    def read() -> None:
        try:
            with closing(source):
                for item in source:
                    if not queue.put(item, weight(item)):
                        break
        except BaseException as error:
            queue.end(error)
        else:
            queue.end(None)

    thread = threading.Thread(target=read, name="reading ahead", daemon=True)
    thread.start()
    try:
        yield queue.items()
    finally:
        queue.stop()
        thread.join()


class _Queue(Generic[T]):
    """A queue between one thread that puts and one that takes."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._items: deque[tuple[T, int]] = deque()
        self._weight = 0
        self._ended = self._stopped = False
        self._error: BaseException | None = None

    def put(self, item: T, weight: int) -> bool:
        """Put an item, after waiting for room; tell whether the consumer wants more."""
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
