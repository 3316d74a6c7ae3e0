"""The connections that are open, and which of them yields when there are too many. Knows no HTTP.

The listening socket admits or refuses a connection before TLS begins, so that half a handshake counts too.
"""

from __future__ import annotations

import asyncio
import resource
import socket
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal

from ops_platform.api import addresses
from ops_platform.api.addresses import Network
from ops_platform.errors import ConfigurationError

DESCRIPTORS_BESIDE = 128
"""File descriptors that the process needs besides its clients' connections: databases, Redis, S3, files."""
Reason = Literal["connections", "connections-of-address", "slow-handshake"]
Refused = Callable[[str], None]
"""Called with the reason for each connection that is refused or cut."""


@dataclass(frozen=True)
class ConnectionLimits:
    """How many connections there may be at once, in all and from one address (IPv6: its /64)."""

    in_all: int = 512
    of_address: int = 64
    handshake_seconds: float = 10.0

    @classmethod
    def within_descriptors(cls, in_all: int, of_address: int, handshake_seconds: float) -> ConnectionLimits:
        """Build the limits, and raise the process's limit of file descriptors to what they need.

        Raises ConfigurationError when the system does not allow so many, or a limit is below 1.
        """
        if in_all < 1 or of_address < 1:
            raise ConfigurationError(
                "OPS_API_CONNECTIONS and OPS_API_CONNECTIONS_PER_ADDRESS must be at least 1: correct them"
            )
        needed = in_all + DESCRIPTORS_BESIDE
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if hard not in (resource.RLIM_INFINITY,) and hard < needed:
            raise ConfigurationError(
                f"OPS_API_CONNECTIONS is {in_all}, for which {needed} file descriptors are needed and {hard} "
                f"allowed: set it to at most {max(1, hard - DESCRIPTORS_BESIDE)}, or raise LimitNOFILE"
            )
        if soft != resource.RLIM_INFINITY and soft < needed:
            resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
        return cls(in_all, of_address, handshake_seconds)


@dataclass(eq=False)
class Connection:
    """One connection; while it is not ``busy`` with a request it may be closed for another's sake."""

    socket: socket.socket
    client: str | None
    """Whose it counts as; None: a trusted proxy's, which speaks for many."""
    greeted: bool = False
    """TLS, if any, stands."""
    busy: bool = False

    @property
    def is_open(self) -> bool:
        """Whether the descriptor is still there: whoever closed it need not have said so."""
        return self.socket.fileno() >= 0

    def cut(self) -> None:
        """End it; whoever reads from it sees its end."""
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)


@dataclass
class Connections:
    """Those of one process, the oldest first."""

    limits: ConnectionLimits
    trusted_proxies: Sequence[Network] = ()
    refused: Refused = lambda reason: None
    _open: dict[int, Connection] = field(default_factory=dict)
    _of: Counter[str] = field(default_factory=Counter)

    def admit(self, accepted: socket.socket, peer: str) -> Connection | None:
        """Take in a connection, for which the longest waiting one may have to go; None: there is no room.

        A connection whose request is being answered never has to go.
        """
        address = addresses.parse(peer)
        is_proxy = address is not None and addresses.is_trusted(address, self.trusted_proxies)
        client = None if is_proxy else addresses.bucket(address)
        self._forget(accepted.fileno())
        if client is not None and self._of[client] >= self.limits.of_address:
            self._forget_closed()
            if self._of[client] >= self.limits.of_address and not self._make_room(client):
                self.refused("connections-of-address")
                return None
        if len(self._open) >= self.limits.in_all:
            self._forget_closed()
            if len(self._open) >= self.limits.in_all and not self._make_room(None):
                self.refused("connections")
                return None
        connection = self._open[accepted.fileno()] = Connection(accepted, client)
        if client is not None:
            self._of[client] += 1
        return connection

    def find(self, descriptor: int) -> Connection | None:
        """Find the open connection with this file descriptor."""
        return self._open.get(descriptor)

    def __len__(self) -> int:
        return len(self._open)

    def _make_room(self, client: str | None) -> bool:
        """Cut the oldest connection, of ``client`` if given, that waits for a request or its rest."""
        for descriptor, connection in self._open.items():
            if not connection.busy and client in (None, connection.client):
                connection.cut()
                self._forget(descriptor)
                self.refused("connections" if client is None else "connections-of-address")
                return True
        return False

    def _forget_closed(self) -> None:
        for descriptor in [number for number, one in self._open.items() if not one.is_open]:
            self._forget(descriptor)

    def _forget(self, descriptor: int) -> None:
        connection = self._open.pop(descriptor, None)
        if connection is not None and connection.client is not None:
            self._of[connection.client] -= 1
            if not self._of[connection.client]:
                del self._of[connection.client]


class Doorway(socket.socket):
    """A listening socket whose ``accept`` admits by a table of connections; to be served by asyncio."""

    connections: Connections

    @classmethod
    def listen_on(cls, host: str, port: int, connections: Connections) -> Sequence[Doorway]:
        """Bind to each address of the host. Raises OSError, gaierror among them, when one cannot be had."""
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        doorways: list[Doorway] = []
        try:
            for family, kind, number, _, address in dict.fromkeys(found):
                doorway = cls(family, kind, number)
                doorways.append(doorway)
                doorway.connections = connections
                doorway.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    doorway.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                doorway.bind(address)
                doorway.setblocking(False)
        except OSError:
            for doorway in doorways:
                doorway.close()
            raise
        return doorways

    def accept(self) -> tuple[socket.socket, Any]:
        """Accept a connection. Raises ConnectionAbortedError for a refused one, which asyncio passes over."""
        accepted, address = super().accept()
        connection = self.connections.admit(accepted, str(address[0]))
        if connection is None:
            accepted.close()
            raise ConnectionAbortedError
        limits = self.connections.limits
        asyncio.get_running_loop().call_later(limits.handshake_seconds, self._cut_silent, connection)
        return accepted, address

    def _cut_silent(self, connection: Connection) -> None:
        """Cut a client that has not ended its TLS handshake in time; asyncio would wait a minute."""
        if connection.is_open and not connection.greeted:
            self.connections.refused("slow-handshake")
            connection.cut()
