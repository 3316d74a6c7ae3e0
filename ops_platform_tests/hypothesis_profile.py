"""How hypothesis runs the property tests here."""

from __future__ import annotations

import hypothesis
from hypothesis.internal.conjecture import providers
from hypothesis.internal.constants_ast import Constants

EXAMPLES = 100
"""Examples of a property that does not say how many it needs."""
FAST_SHARE = 20
"""`make test-fast` looks at one in so many; `make test` at all."""

# A busy machine is not a failure: no example of a property is timed.
_UNTIMED = hypothesis.settings(deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.register_profile("untimed", _UNTIMED, max_examples=EXAMPLES)
hypothesis.settings.register_profile("fast", _UNTIMED, max_examples=EXAMPLES // FAST_SHARE)


def load(*, fast: bool) -> None:
    """Make the profile the one that settings made from now on inherit; again is no harm."""
    hypothesis.settings.load_profile("fast" if fast else "untimed")
    if fast:
        _forget_constants()


def _forget_constants() -> None:
    """Draw no values from the constants of our own code: to find them, hypothesis parses all its modules.

    It takes seconds in each worker. `make test` draws them.
    """
    if hasattr(providers, "_get_local_constants"):
        providers._get_local_constants = Constants


def examples(count: int) -> int:
    """Give the number of examples in this run of a property that needs ``count`` in `make test`."""
    settings = hypothesis.settings.default
    assert settings is not None
    return max(1, count * settings.max_examples // EXAMPLES)
