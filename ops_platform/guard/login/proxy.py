"""A proxy in front that has asked who is there, such as oauth2-proxy: its headers, from its address alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from starlette.datastructures import Headers

from ops_platform.api import addresses


@dataclass(frozen=True)
class TrustedProxy:
    """The networks that proxies are in, and the headers in which they name somebody."""

    networks: Sequence[addresses.Network]
    name_header: str
    groups_header: str

    def named(self, peer: str | None, headers: Headers) -> tuple[str, tuple[str, ...]] | None:
        """Return name and groups that a proxy says; None when no proxy says any, or says two names."""
        address = addresses.parse(peer or "")
        if address is None or not addresses.is_trusted(address, self.networks):
            return None
        names = headers.getlist(self.name_header)
        if len(names) != 1 or not names[0].strip():
            return None
        groups = [one.strip() for text in headers.getlist(self.groups_header) for one in text.split(",")]
        return names[0].strip(), tuple(one for one in groups if one)

    def client(self, peer: str | None, headers: Headers) -> str:
        """Name the client whose wrong passwords are counted together: behind a proxy, who it says."""
        found = addresses.client(peer, headers.getlist("x-forwarded-for"), self.networks)
        return addresses.bucket(found)
