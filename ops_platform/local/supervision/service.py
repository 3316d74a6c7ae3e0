"""Values of a service: one program of the stack, and its status."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Service:
    """A program: how to start and stop it, and how to check that it works.

    ``ready`` asks the service itself and never raises for a service that is away. Times in
    seconds. ``ports`` maps the names of its ports to their numbers, the one to show first.
    ``stage`` orders starts: services of one stage start together.
    """

    name: str
    stage: int
    command: Sequence[str]
    ready: Callable[[], bool]
    ports: Mapping[str, int] = field(default_factory=dict)
    address: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    directory: Path = Path("/")
    user: str | None = None
    stop_signal: str = "TERM"
    stop_seconds: int = 15
    start_seconds: float = 60.0
    config_files: Sequence[Path] = ()
    """A change of one of them restarts the service on the next ``up``."""
    note: str = ""

    def digest(self) -> str:
        """Compute a digest that changes with the configuration files."""
        content = hashlib.sha256()
        for path in self.config_files:
            content.update(str(path).encode() + b"\0" + path.read_bytes() + b"\0")
        return content.hexdigest()[:16]


@dataclass(frozen=True)
class ServiceStatus:
    """Status of a service. ``state`` is running, starting, failing, stopped or failed."""

    name: str
    state: str
    pid: int | None
    address: str
    ready: bool
    note: str = ""

    def as_json(self) -> dict[str, Any]:
        """Make plain values."""
        return {
            "service": self.name,
            "state": self.state,
            "pid": self.pid,
            "address": self.address,
            "ready": self.ready,
            "note": self.note,
        }
