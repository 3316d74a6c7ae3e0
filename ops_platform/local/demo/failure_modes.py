"""Failure modes of the demo product: ratios that can be changed while it runs.

The default is healthy: a few errors, well within the objectives (publishing within 10 s 95 %,
published 99 %, transcoded within 5 min 90 %, API 99.9 %, webhook signatures 100 %).
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from ops_platform.errors import ConfigurationError

LARGEST_FACTOR = 10_000.0
"""More than any machine bears: the load test asks for as much."""


@dataclass(frozen=True)
class FailureModes:
    """Ratios from 0 to 1 of what goes wrong; ``traffic_factor`` multiplies the rate of requests."""

    publishing_error_ratio: float = 0.003
    publishing_slow_ratio: float = 0.01
    """Published, but later than 10 s."""
    transcoding_slow_ratio: float = 0.03
    """Transcoded, but later than 5 minutes."""
    api_error_ratio: float = 0.0002
    """Answered with 500, in addition to the effects of a database outage."""
    webhook_invalid_ratio: float = 0.0
    traffic_factor: float = 1.0

    def changed(self, given: Mapping[str, Any]) -> FailureModes:
        """Copy with some modes replaced. Raises ConfigurationError for an unknown name or a wrong value."""
        names = [field.name for field in fields(self)]
        for name, value in given.items():
            if name not in names:
                raise ConfigurationError(f"there is no failure mode {name!r}: use one of {', '.join(names)}")
            highest = LARGEST_FACTOR if name == "traffic_factor" else 1.0
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= highest:
                raise ConfigurationError(f"{name} must be a number from 0 to {highest:g}: correct it")
        return replace(self, **{name: float(value) for name, value in given.items()})

    def as_dict(self) -> dict[str, float]:
        """Make a dictionary: name of the mode -> value."""
        return asdict(self)


HEALTHY = FailureModes()


class Control:
    """The current failure modes, shared by the HTTP server and the loop."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._modes = HEALTHY

    @property
    def modes(self) -> FailureModes:
        """Modes at this moment."""
        with self._lock:
            return self._modes

    def change(self, given: Mapping[str, Any]) -> FailureModes:
        """Replace some modes, keep the others. Raises ConfigurationError; then nothing is changed."""
        with self._lock:
            self._modes = self._modes.changed(given)
            return self._modes

    def reset(self) -> FailureModes:
        """Make the product healthy again."""
        with self._lock:
            self._modes = HEALTHY
            return self._modes
