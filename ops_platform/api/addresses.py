"""The address that a request came from: the peer's, or the one that trusted proxies report. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from ipaddress import IPv4Network as V4

from ops_platform.errors import ConfigurationError

Address = IPv4Address | IPv6Address
Network = V4 | IPv6Network
HOUSEHOLD_PREFIX = 64
"""An IPv6 subscriber has at least a /64, and could use another address of it for each request."""
MAX_HOPS = 32


def networks(names: Iterable[str], setting: str = "OPS_API_TRUSTED_PROXIES") -> tuple[Network, ...]:
    """Read the entries of a setting that lists proxies.

    Raises ConfigurationError, which names ``setting``, for an entry that is neither an address nor a network.
    """
    proxies = []
    for name in names:
        try:
            proxies.append(ip_network(name))
        except ValueError:
            raise ConfigurationError(
                f"{setting}: {name!r} is neither an address nor a network: correct it"
            ) from None
    return tuple(proxies)


def client(peer: str | None, forwarded_for: Sequence[str], trusted: Sequence[Network]) -> Address | None:
    """Find the nearest address that is not a trusted proxy's; None when the peer has none.

    ``forwarded_for`` are the X-Forwarded-For headers in order. Each trusted proxy appended the
    address it saw, so they are read from the right; entries left of the first untrusted
    address, or of an entry that is not an address, can be the client's own invention.
    """
    address = parse(peer or "")
    entries = [entry for header in forwarded_for for entry in header.split(",")]
    for entry in reversed(entries[-MAX_HOPS:]):
        if address is None or not is_trusted(address, trusted):
            break
        nearer = parse(entry)
        if nearer is None:
            break
        address = nearer
    return address


def is_trusted(address: Address, trusted: Sequence[Network]) -> bool:
    """Return whether the address is in one of the networks."""
    return any(address.version == network.version and address in network for network in trusted)


def parse(text: str) -> Address | None:
    """Read an address with or without port and brackets; IPv4 in IPv6 as IPv4; None for anything else."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def bucket(address: Address | None) -> str:
    """Name the client that an address counts as: itself, for IPv6 its /64."""
    if isinstance(address, IPv6Address):
        return str(ip_network((int(address), HOUSEHOLD_PREFIX), strict=False))
    return str(address)
