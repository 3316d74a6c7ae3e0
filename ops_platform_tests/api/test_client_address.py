"""The client's address, behind proxies too."""

from __future__ import annotations

import pytest

from ops_platform.api import addresses
from ops_platform.errors import ConfigurationError


@pytest.mark.parametrize(
    ("peer", "headers", "client"),
    [
        ("192.0.2.1", [], "192.0.2.1"),
        ("10.0.0.1", ["203.0.113.5"], "203.0.113.5"),
        ("10.0.0.1", ["1.1.1.1, 203.0.113.5, 10.0.0.2"], "203.0.113.5"),
        ("10.0.0.1", ["1.1.1.1", "203.0.113.5:4711", "10.0.0.2"], "203.0.113.5"),
        ("10.0.0.1", ["203.0.113.5, nonsense"], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.5, "], "10.0.0.1"),
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ("10.0.0.1", ["[2001:db8::1]:443"], "2001:db8::1"),
        ("::ffff:10.0.0.1", ["::ffff:203.0.113.5"], "203.0.113.5"),
        ("fd00::1", ["2001:db8::2"], "2001:db8::2"),
        ("192.0.2.1", ["203.0.113.5"], "192.0.2.1"),
        (None, ["203.0.113.5"], "None"),
        ("unix:", ["203.0.113.5"], "None"),
        ("10.0.0.1", [",".join(["10.0.0.2"] * 5000)], "10.0.0.2"),
    ],
)
def test_the_client_behind_proxies(peer: str | None, headers: list[str], client: str) -> None:
    trusted = addresses.networks(["10.0.0.0/8", "fd00::1"])
    assert str(addresses.client(peer, headers, trusted)) == client


def test_an_ipv6_household_is_one_client() -> None:
    one, two, other = (
        addresses.bucket(addresses.parse(text))
        for text in ("2001:db8:0:1::1", "2001:db8:0:1:ffff::9", "2001:db8:0:2::1")
    )
    assert one == two != other


def test_a_wrong_network_is_named() -> None:
    with pytest.raises(ConfigurationError, match="OPS_API_TRUSTED_PROXIES: 'nonsense'"):
        addresses.networks(["nonsense"])
