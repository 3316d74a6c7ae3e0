"""The load test: the demo product's users become more, step by step, until it cannot answer them any more.

It turns the product's own traffic up and reads its counters: ``load_step`` says what they show. What is
written and counted meanwhile is as real as at any other time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ops_platform.clients.safe_errors import why
from ops_platform.errors import ConfigurationError, Unavailable
from ops_platform.local.demo.failure_modes import LARGEST_FACTOR
from ops_platform.local.demo.load.load_step import Reading, Step, measured, reading
from ops_platform.slo.objectives import Objective

if TYPE_CHECKING:
    import httpx

FACTOR = "traffic_factor"
SETTLE_SECONDS = 2.0
"""Until every request that is measured was made at the new rate."""
SATURATED = 0.5
"""Share of what is asked: when less is answered well, more users would show nothing new."""


@dataclass(frozen=True)
class Plan:
    """The steps: requests a second of the first, how many times more the next has, how many at most.

    ``seconds`` is how long each is measured.
    """

    first: float
    times: float
    most: int
    seconds: float

    def rates(self) -> list[float]:
        """List the requests a second of the steps."""
        return [self.first * self.times**number for number in range(self.most)]


def run(
    url: str,
    usual_rate: float,
    plan: Plan,
    objectives: Sequence[Objective],
    told: Callable[[Step], None],
) -> list[Step]:
    """Run the steps, and set the traffic back as it was; ``told`` gets each step when it is over.

    ``url`` is the traffic service's, ``usual_rate`` its own requests a second. It ends before ``plan`` does
    when the product answers less than SATURATED of what is asked. Raises Unavailable, ConfigurationError.
    """
    highest = LARGEST_FACTOR * usual_rate
    if plan.rates()[-1] > highest:
        raise ConfigurationError(
            f"the last step asks for {plan.rates()[-1]:.0f} requests a second, and the product's traffic "
            f"makes up {highest:.0f} at most: choose fewer steps, or a smaller beginning"
        )
    steps: list[Step] = []
    with _product(url) as product, product.turned_back():
        for rate in plan.rates():
            product.turn(rate / usual_rate)
            time.sleep(SETTLE_SECONDS)
            before, began = product.read(), time.monotonic()
            time.sleep(plan.seconds)
            after, seconds = product.read(), time.monotonic() - began
            step = measured(rate, seconds, before, after, objectives)
            steps.append(step)
            told(step)
            if step.served < SATURATED * rate:
                break
    return steps


class _Product:
    """The traffic service's HTTP face."""

    def __init__(self, client: httpx.Client, url: str) -> None:
        self._client = client
        self._url = url

    def read(self) -> Reading:
        return reading(self._asked("GET", "/metrics").text)

    def turn(self, factor: float) -> None:
        self._asked("POST", "/control", {FACTOR: factor})

    @contextmanager
    def turned_back(self) -> Iterator[None]:
        """Set the traffic back when the block ends, however it does."""
        usual: float = self._asked("GET", "/control").json()[FACTOR]
        try:
            yield
        finally:
            self.turn(usual)

    def _asked(self, method: str, path: str, body: dict[str, Any] | None = None) -> httpx.Response:
        import httpx

        try:
            answer = self._client.request(method, self._url + path, json=body)
            answer.raise_for_status()
        except httpx.HTTPError as error:
            raise Unavailable(
                f"the demo product's traffic at {self._url} does not answer ({why(error)}): "
                "'ops-platform status', then 'ops-platform up traffic'"
            ) from None
        return answer


@contextmanager
def _product(url: str) -> Iterator[_Product]:
    import httpx

    # It is busy: a reading may take long when every core is.
    with httpx.Client(timeout=30, trust_env=False) as client:
        yield _Product(client, url)
