"""Evidence that may be looked at after every interval, as long as one likes, without losing its error rate.

Each test is a product, over the intervals, of likelihood ratios that are 1 or less on average where its null
hypothesis holds: a test martingale. By Ville's inequality such a product ever reaches 1/a with probability a
at most, whenever one looks and whenever one stops (J. Ville, Etude critique de la notion de collectif, 1939;
G. Shafer et al., Test martingales, Bayes factors and p-values, Statistical Science 26, 2011).

Two releases are compared given the bad events of both together in an interval, so that nothing need be known
of how many there usually are, and a bad hour of all is nobody's fault. Of so many bad ones among the events
of both, the canary's share then follows Fisher's noncentral hypergeometric distribution of the odds ratio
(P. McCullagh, J. Nelder, Generalized Linear Models, 1989, section 7.3). The assumption: events of an interval
fail independently of each other.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

MOST_TERMS = 20_000
"""The number of bad events of an interval up to which the distribution is summed up exactly."""


@dataclass(frozen=True)
class OddsTest:
    """Evidence that the odds ratio of canary to stable is not on the side of ``null``.

    The null hypothesis is a ratio of ``null`` or beyond, seen from the ``alternatives``, which all lie on its
    other side. Beyond ``null`` the ratios of likelihoods are smaller still, since they rise or fall with the
    canary's bad events.
    """

    null: float
    alternatives: tuple[float, ...]

    def logs(self, canary_bad: int, canary: int, stable_bad: int, stable: int) -> tuple[float, ...]:
        """Compute the logarithm of an interval's likelihood ratio for each alternative."""
        sums = _log_sums(canary_bad + stable_bad, canary, stable, (self.null, *self.alternatives))
        if sums is None:
            return (0.0,) * len(self.alternatives)
        return tuple(
            canary_bad * math.log(alternative / self.null) - (its - sums[0])
            for alternative, its in zip(self.alternatives, sums[1:], strict=True)
        )


@dataclass(frozen=True)
class ShareTest:
    """Evidence that less than the share ``null`` of the events is bad, by ``alternatives`` below it."""

    null: float
    alternatives: tuple[float, ...]

    def logs(self, bad: int, total: int) -> tuple[float, ...]:
        """Compute the logarithm of an interval's likelihood ratio for each alternative."""
        return tuple(
            bad * math.log(share / self.null) + (total - bad) * (math.log1p(-share) - math.log1p(-self.null))
            for share in self.alternatives
        )


class Accumulated:
    """The product over intervals, one for each alternative, and their mean: evidence as well."""

    def __init__(self, alternatives: int) -> None:
        self._logs = [0.0] * alternatives

    def add(self, logs: Sequence[float]) -> None:
        """Multiply by an interval's likelihood ratios."""
        self._logs = [sum(pair) for pair in zip(self._logs, logs, strict=True)]

    @property
    def log(self) -> float:
        """The logarithm of the evidence."""
        return log_mean(self._logs)


def log_mean(logs: Sequence[float]) -> float:
    """Average evidence given as logarithms: the mean of several is evidence, too."""
    top = max(logs)
    return top + math.log(math.fsum(math.exp(each - top) for each in logs) / len(logs))


@lru_cache(maxsize=10_000)
def _log_sums(bad: int, canary: int, stable: int, ratios: tuple[float, ...]) -> tuple[float, ...] | None:
    """Compute the logarithm of the sum of C(canary, k) C(stable, bad - k) ratio^k over all possible k.

    None where the sum has one term only, or more than MOST_TERMS: such an interval is no evidence.
    """
    least, most = max(0, bad - stable), min(canary, bad)
    if not least < most or most - least >= MOST_TERMS:
        return None
    possible = np.arange(least, most + 1, dtype=np.float64)
    # Weights from one term to the next, which keeps the digits that factorials of large numbers lose.
    before = possible[:-1]
    steps = np.log((canary - before) * (bad - before)) - np.log((before + 1) * (stable - bad + before + 1))
    weights = np.concatenate(([0.0], np.cumsum(steps)))
    terms = weights + np.log(np.array(ratios))[:, None] * possible
    top = terms.max(axis=1)
    sums = top + np.log(np.exp(terms - top[:, None]).sum(axis=1))
    return tuple(sums.tolist())
