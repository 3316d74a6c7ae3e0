"""Which connection yields when there are too many: never one whose request is being answered."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from ops_platform.api import addresses
from ops_platform.api.edge import ConnectionLimits, Connections
from ops_platform.errors import ConfigurationError


class Pairs:
    """Connected sockets, all of which are closed in the end."""

    def __init__(self) -> None:
        self.ours: list[socket.socket] = []
        self.theirs: list[socket.socket] = []

    def one(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        self.ours.append(ours)
        self.theirs.append(theirs)
        return ours

    def is_cut(self, number: int) -> bool:
        try:
            return self.theirs[number].recv(1) == b""
        except BlockingIOError:
            return False


@pytest.fixture
def pairs() -> Iterator[Pairs]:
    made = Pairs()
    yield made
    for one in (*made.ours, *made.theirs):
        one.close()


def test_the_longest_waiting_of_an_address_goes_first(pairs: Pairs) -> None:
    reasons: list[str] = []
    table = Connections(ConnectionLimits(10, 2), refused=reasons.append)
    for _ in range(3):
        assert table.admit(pairs.one(), "192.0.2.1") is not None
    assert [pairs.is_cut(number) for number in range(3)] == [True, False, False]
    assert table.admit(pairs.one(), "192.0.2.2") is not None
    assert (len(table), reasons) == (3, ["connections-of-address"])


def test_whoever_is_answered_stays(pairs: Pairs) -> None:
    reasons: list[str] = []
    table = Connections(ConnectionLimits(3, 2), refused=reasons.append)
    for _ in range(2):
        connection = table.admit(pairs.one(), "192.0.2.1")
        assert connection is not None
        connection.busy = True
    assert table.admit(pairs.one(), "192.0.2.1") is None
    other = table.admit(pairs.one(), "192.0.2.2")
    assert other is not None
    other.busy = True
    assert table.admit(pairs.one(), "192.0.2.3") is None
    assert reasons == ["connections-of-address", "connections"]
    assert not any(pairs.is_cut(number) for number in (0, 1, 3))


def test_closed_ones_make_room_by_themselves(pairs: Pairs) -> None:
    reasons: list[str] = []
    table = Connections(ConnectionLimits(3, 2), refused=reasons.append)
    for _ in range(20):
        one = pairs.one()
        assert table.admit(one, "2001:db8::1") is not None
        one.close()
    assert (reasons, len(table) <= 2) == ([], True)


def test_a_subscriber_of_ipv6_is_one_client_and_a_proxy_none(pairs: Pairs) -> None:
    proxies = addresses.networks(["198.51.100.0/24"])
    table = Connections(ConnectionLimits(100, 2), proxies)
    for number in range(5):
        assert table.admit(pairs.one(), f"2001:db8::{number}") is not None
        assert table.admit(pairs.one(), "198.51.100.7") is not None
    assert len(table) == 2 + 5


def test_limits_that_cannot_be_kept_are_refused() -> None:
    assert ConnectionLimits.within_descriptors(8, 4, 1.0) == ConnectionLimits(8, 4, 1.0)
    for in_all, of_address, said in ((0, 1, "at least 1"), (1, 0, "at least 1"), (2**40, 1, "descriptors")):
        with pytest.raises(ConfigurationError, match=said):
            ConnectionLimits.within_descriptors(in_all, of_address, 1.0)
