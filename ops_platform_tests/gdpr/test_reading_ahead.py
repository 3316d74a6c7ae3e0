from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from ops_platform.gdpr.reading_ahead import AHEAD, ahead


def threads() -> int:
    return sum(one.name == "reading ahead" for one in threading.enumerate())


def test_all_of_it_in_order() -> None:
    for count in (0, 1, AHEAD, 1000):
        with ahead(iter(range(count))) as items:
            assert list(items) == list(range(count))
    assert threads() == 0


def test_what_it_raises_is_raised_where_it_is_used() -> None:
    def failing() -> Iterator[int]:
        yield 1
        raise KeyError("x")

    with ahead(failing()) as items:
        assert next(items) == 1
        with pytest.raises(KeyError, match="x"):
            next(items)
    assert threads() == 0


def test_it_ends_though_nobody_reads_to_the_end() -> None:
    read: list[int] = []

    def endless() -> Iterator[int]:
        number = 0
        while True:
            read.append(number)
            yield number
            number += 1

    def give_up() -> None:
        with ahead(endless()) as items:
            next(items)
            raise KeyError

    with pytest.raises(KeyError):
        give_up()
    assert threads() == 0
    # Not read beyond what can wait.
    assert len(read) <= 2 * AHEAD + 4


def test_what_fails_unread_is_no_error() -> None:
    def failing() -> Iterator[int]:
        yield 1
        raise KeyError

    with ahead(failing()):
        pass
    assert threads() == 0
