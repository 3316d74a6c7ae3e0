"""Activity of the product's users: a deterministic stream of requests with outcomes drawn in advance.

No database and no clock here: the same seed gives the same requests, whatever goes wrong meanwhile.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass

from ops_platform.local.demo.failure_modes import FailureModes
from ops_platform.local.demo.product_metrics import ROUTES

WEIGHTS = (40, 30, 6, 14, 4, 5, 1)
"""Relative frequency of each of ROUTES."""
MISSING_RATIO = 0.004
"""Readers' own mistakes (404): no fault of the product."""


@dataclass(frozen=True)
class Duration:
    """Distribution of a duration in seconds: lognormal when all is well, uniform when it is late."""

    median: float
    sigma: float
    longest: float
    """Upper limit when all is well."""
    late: tuple[float, float]

    def usual(self, normal: float) -> float:
        """Compute the duration for a standard normal draw when all is well."""
        return min(self.median * math.exp(self.sigma * normal), self.longest)

    def slow(self, share: float) -> float:
        """Compute the late duration for a draw in 0 .. 1."""
        return self.late[0] + (self.late[1] - self.late[0]) * share


PUBLISHING = Duration(1.5, 0.45, 9.5, (10.5, 60.5))
"""The objective's limit is 10 s."""
TRANSCODING = Duration(60.0, 0.55, 295.0, (305.0, 905.0))
"""The objective's limit is 5 minutes."""


@dataclass(frozen=True)
class Request:
    """One request. The ``..._draw`` fields are uniform in 0 .. 1 and compared with the failure modes."""

    method: str
    route: str
    pick: int
    """Non-negative number of the creator, post or webhook that it is about, modulo how many there are."""
    error_draw: float
    missing_draw: float
    publishing_draw: float
    slow_draw: float
    signature_draw: float
    usual: float
    """Standard normal: gives the duration when nothing is wrong."""
    late: float
    """Uniform in 0 .. 1: gives the duration when it is slow."""

    def fails(self, modes: FailureModes) -> bool:
        """Tell whether the API answers with 500."""
        return self.error_draw < modes.api_error_ratio

    def missing(self) -> bool:
        """Tell whether the API answers with 404: a mistake of the reader."""
        return self.route == "/posts/{id}" and self.missing_draw < MISSING_RATIO

    def published(self, modes: FailureModes) -> bool:
        """Tell whether a post is published, if the request succeeds."""
        return self.publishing_draw >= modes.publishing_error_ratio

    def signature_valid(self, modes: FailureModes) -> bool:
        """Tell whether the webhook's receiver finds the signature valid."""
        return self.signature_draw >= modes.webhook_invalid_ratio

    def publishing_seconds(self, modes: FailureModes) -> float:
        """Compute the time until the post is published, without that of writing its rows."""
        slow = self.slow_draw < modes.publishing_slow_ratio
        return PUBLISHING.slow(self.late) if slow else PUBLISHING.usual(self.usual)

    def transcoding_seconds(self, modes: FailureModes) -> float:
        """Compute the time until the uploaded file is transcoded."""
        slow = self.slow_draw < modes.transcoding_slow_ratio
        return TRANSCODING.slow(self.late) if slow else TRANSCODING.usual(self.usual)


def requests(seed: int) -> Iterator[Request]:
    """Yield the endless stream of one seed."""
    chance = random.Random(seed)  # noqa: S311  made-up traffic, no secret
    while True:
        method, route = chance.choices(ROUTES, WEIGHTS)[0]
        yield Request(
            method,
            route,
            pick=chance.getrandbits(31),
            error_draw=chance.random(),
            missing_draw=chance.random(),
            publishing_draw=chance.random(),
            slow_draw=chance.random(),
            signature_draw=chance.random(),
            usual=chance.gauss(0.0, 1.0),
            late=chance.random(),
        )
