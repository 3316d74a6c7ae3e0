"""An iterator that is read by a thread of its own, a little ahead of who uses it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from queue import Queue
from typing import TypeVar

T = TypeVar("T")
AHEAD = 8


@contextmanager
def ahead(source: Iterator[T]) -> Iterator[Iterator[T]]:
    """``source``, of which up to AHEAD items wait; what it raises is raised where it is used.

    When the block ends, the thread has ended too: ``source`` is then read no more, though perhaps not to
    its end.
    """
    items: Queue[tuple[T] | BaseException | None] = Queue(AHEAD)
    stop, ended = threading.Event(), threading.Event()

    def read() -> None:
        try:
            for item in source:
                items.put((item,))
                if stop.is_set():
                    break
        except BaseException as error:
            items.put(error)
        else:
            items.put(None)

    def use() -> Iterator[T]:
        while True:
            item = items.get()
            if not isinstance(item, tuple):
                ended.set()
                if item is not None:
                    raise item
                return
            yield item[0]

    thread = threading.Thread(target=read, name="reading ahead", daemon=True)
    thread.start()
    try:
        yield use()
    finally:
        stop.set()
        while not ended.is_set():
            # Whoever puts must find room, or never sees that it is to stop.
            if not isinstance(items.get(), tuple):
                ended.set()
        thread.join()
