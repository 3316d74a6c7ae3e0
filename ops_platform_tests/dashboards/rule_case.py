"""One case of an alert for ``promtool test rules``: series, and what fires at a minute.

Times are minutes from the start; promtool's clock starts at the Unix epoch, so ``time()`` is
simply seconds since then.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

HOUR = 60
DAY = 24 * HOUR
WEEK = 7 * DAY
PRODUCT = {"stanza": "product"}


@dataclass(frozen=True)
class Case:
    """``series``: promtool's notation; ``fires``: the label sets expected, none = silent.

    ``value`` is how the annotations are to show the value; ``says``: words of the summary, where one
    alert has several.
    """

    alert: str
    why: str
    minute: int
    series: Mapping[str, str]
    fires: tuple[Mapping[str, str], ...] = ()
    value: str = ""
    says: str = ""
    step: int = 1
    groups: str = ""
    """How the names of the groups end that are evaluated: all others would cost time for nothing."""

    annotations: Mapping[str, str] = field(default_factory=dict)
    """Annotations that are more than labels and the value, as they are to be."""

    @property
    def tick(self) -> int:
        """Minutes between two samples and two evaluations: ``step``, coarse where days go by."""
        return 30 if self.minute > 2 * HOUR else self.step


def gauge(name: str, value: float, minutes: int = 60, /, **labels: str) -> dict[str, str]:
    inner = ",".join(f'{key}="{text}"' for key, text in labels.items())
    return {f"{name}{{{inner}}}": f"{value:.10g}x{minutes}"}
