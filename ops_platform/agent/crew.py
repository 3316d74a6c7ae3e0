"""A crew: some threads that take turns at more loops than they are, the one that is due longest first.

What a turn is, whoever makes the crew says. A loop is in one thread's hands at a time.
"""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

Item = TypeVar("Item")
_LONGEST_WAIT_SECONDS = 1.0


class Crew(Generic[Item]):
    """At most ``size`` threads, and one more for each stuck loop, up to twice as many.

    ``turn`` does an item's step and returns the seconds until its next; it does not raise.
    """

    def __init__(self, name: str, size: int, items: Iterable[Item], turn: Callable[[Item], float]) -> None:
        self._name = name
        self._turn = turn
        self._numbers = itertools.count()
        self._due = [(0.0, next(self._numbers), item) for item in items]
        self._size = min(size, len(self._due))
        self._wanted = self._size
        self._threads: list[threading.Thread] = []
        self._in_hand: dict[threading.Thread, Item] = {}
        self._change = threading.Condition()
        self._stopping = False

    def start(self) -> None:
        """Start the threads."""
        with self._change:
            self._fill()

    def stop(self) -> None:
        """Ask all threads to end after the step in their hands."""
        with self._change:
            self._stopping = True
            self._change.notify_all()

    def join(self, deadline: float) -> list[Item]:
        """Wait for the threads until ``deadline``, monotonic; return the items still in their hands."""
        for thread in list(self._threads):
            thread.join(max(0.0, deadline - time.monotonic()))
        with self._change:
            return [item for thread, item in self._in_hand.items() if thread.is_alive()]

    def tend(self, stuck: int) -> list[Item]:
        """Replace threads that ended unasked, and add one for each of ``stuck`` items.

        Return what ended threads had in their hands: the caller gives each back with ``put``.
        """
        with self._change:
            if self._stopping:
                return []
            ended = [thread for thread in self._threads if not thread.is_alive()]
            lost = [self._in_hand.pop(thread) for thread in ended if thread in self._in_hand]
            self._threads = [thread for thread in self._threads if thread not in ended]
            self._wanted = self._size + min(stuck, self._size)
            self._fill()
            self._change.notify_all()
            return lost

    def put(self, item: Item, pause: float) -> None:
        """Let the item's next turn come in ``pause`` seconds."""
        with self._change:
            heapq.heappush(self._due, (time.monotonic() + pause, next(self._numbers), item))
            self._change.notify()

    def _fill(self) -> None:
        while len(self._threads) < self._wanted:
            thread = threading.Thread(target=self._work, name=self._name, daemon=True)
            self._threads.append(thread)
            thread.start()

    def _work(self) -> None:
        me = threading.current_thread()
        while (taken := self._take(me)) is not None:
            (item,) = taken
            pause = self._turn(item)
            with self._change:
                del self._in_hand[me]
            self.put(item, pause)

    def _take(self, me: threading.Thread) -> tuple[Item] | None:
        """Wait for an item that is due; None: the thread is no longer wanted."""
        with self._change:
            while not self._stopping:
                if len(self._threads) > self._wanted:
                    self._threads.remove(me)
                    return None
                wait = self._due[0][0] - time.monotonic() if self._due else _LONGEST_WAIT_SECONDS
                if wait <= 0:
                    _, _, item = heapq.heappop(self._due)
                    self._in_hand[me] = item
                    return (item,)
                self._change.wait(min(wait, _LONGEST_WAIT_SECONDS))
            return None
