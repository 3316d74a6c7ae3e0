"""TCP ports that are free now, for the servers of tests."""

from __future__ import annotations

import contextlib
import random
import socket

from ops_platform.local.host.ports import HOST, is_free


def free_block(count: int) -> int:
    """Find the first of ``count`` consecutive ports that are free now."""
    while True:
        base = random.randint(12000, 32000 - count)
        if all(is_free(port) for port in range(base, base + count)):
            return base


def free_ports(count: int) -> list[int]:
    """Find ``count`` ports that are free now, below those that the kernel gives to outgoing connections."""
    chosen: list[int] = []
    with contextlib.ExitStack() as held:
        while len(chosen) < count:
            port = random.randint(12000, 32000)
            probe = held.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            if port not in chosen:
                chosen.append(port)
    return chosen
