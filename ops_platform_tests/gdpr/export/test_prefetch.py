from __future__ import annotations

import itertools
import threading
from collections.abc import Generator

import pytest

from ops_platform.gdpr.export.prefetch import AHEAD, prefetched


def threads() -> int:
    return sum(one.name == "reading ahead" for one in threading.enumerate())


def test_all_of_it_in_order() -> None:
    for count in (0, 1, 8, 1000):
        with prefetched((n for n in range(count)), lambda n: AHEAD // 8) as items:
            assert list(items) == list(range(count))
    assert threads() == 0


def test_what_it_raises_is_raised_where_it_is_used() -> None:
    def failing() -> Generator[int, None, None]:
        yield 1
        raise KeyError("x")

    with prefetched(failing(), lambda n: 1) as items:
        assert next(items) == 1
        with pytest.raises(KeyError, match="x"):
            next(items)
    assert threads() == 0


def test_it_ends_though_nobody_reads_to_the_end() -> None:
    read: list[int] = []
    closed: list[bool] = []

    def endless() -> Generator[int, None, None]:
        try:
            for number in itertools.count():
                read.append(number)
                yield number
        finally:
            closed.append(True)

    def give_up() -> None:
        with prefetched(endless(), lambda n: AHEAD // 8) as items:
            next(items)
            raise KeyError

    with pytest.raises(KeyError):
        give_up()
    assert threads() == 0
    assert closed == [True]
    # Not read beyond what can wait, what was used, and what was being put.
    assert len(read) <= 8 + 1 + 1


def test_what_fails_unread_is_no_error() -> None:
    def failing() -> Generator[int, None, None]:
        yield 1
        raise KeyError

    with prefetched(failing(), lambda n: 1):
        pass
    assert threads() == 0


def test_what_is_too_heavy_waits_alone() -> None:
    read: list[int] = []

    def heavy() -> Generator[int, None, None]:
        for number in range(100):
            read.append(number)
            yield number

    with prefetched(heavy(), lambda n: 10 * AHEAD) as items:
        for used, item in enumerate(items):
            assert item == used
            # This one, the one that waits, and the one for which there is no room.
            assert len(read) <= used + 3
    assert len(read) == 100
