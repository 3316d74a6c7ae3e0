"""TCP ports of the services: chosen once, kept in ``ports.json``, checked before a start."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterable, Mapping
from pathlib import Path

import psutil

from ops_platform import files
from ops_platform.errors import ConfigurationError

DEFAULT_BASE = 17000
HOST = "127.0.0.1"


def assign(services: Iterable[str], base: int) -> dict[str, int]:
    """Assign consecutive ports from ``base`` on, in the order given. Raises ConfigurationError."""
    ports = {service: base + offset for offset, service in enumerate(services)}
    if ports and not (base >= 1024 and max(ports.values()) <= 65535):
        raise ConfigurationError(
            f"OPS_PORT_BASE={base} leaves no room for {len(ports)} ports: use 1024 to 65000"
        )
    return ports


def load(file: Path, services: Iterable[str], base: int | None) -> dict[str, int]:
    """Read the ports kept in ``file``; assign all anew for another ``base`` than the kept lowest port.

    A service that is not in the file gets the next number, so that the others keep theirs.
    Writes nothing. ``base`` None means: as before, or the default. Raises ConfigurationError.
    """
    names = list(services)
    kept = _kept(file)
    if not kept or (base is not None and min(kept.values()) != base):
        return assign(names, base or DEFAULT_BASE)
    new = [name for name in names if name not in kept]
    added = assign(new, max(kept.values()) + 1) if new else {}
    return {name: kept.get(name) or added[name] for name in names}


def _kept(file: Path) -> dict[str, int]:
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
        return {str(name): int(port) for name, port in values.items()}
    except FileNotFoundError:
        return {}
    except (ValueError, AttributeError, TypeError):
        raise ConfigurationError(f"{file} is damaged: delete it, the ports are then chosen anew") from None


def save(file: Path, ports: Mapping[str, int]) -> None:
    """Keep the ports in ``file``, written atomically."""
    files.write_atomically(file, json.dumps(ports, indent=2) + "\n", mode=0o644)


def is_free(port: int, host: str = HOST) -> bool:
    """Tell whether a server could listen on the port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def require_free(ports: Mapping[str, int]) -> None:
    """Check that all ports are free.

    Raises ConfigurationError that names the first taken port, its service and the process that holds it.
    """
    for service, port in ports.items():
        if not is_free(port):
            raise ConfigurationError(
                f"port {port} for {service} is taken by {_holder(port)}: stop it, "
                "or choose other ports with OPS_PORT_BASE=<number>"
            )


def _holder(port: int) -> str:
    """Name the process that listens on ``port``, as far as this user may know."""
    with contextlib.suppress(psutil.AccessDenied):
        for connection in psutil.net_connections("tcp"):
            if connection.laddr and connection.laddr.port == port and connection.status == psutil.CONN_LISTEN:
                with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                    if connection.pid:
                        return f"{psutil.Process(connection.pid).name()} (pid {connection.pid})"
                return "a process of another user"
    return "another process"
