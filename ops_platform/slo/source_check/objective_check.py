"""The check of objectives against a Prometheus: its newest hour is counted, and doubts are looked into."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from ops_platform.clients.prometheus import Prometheus
from ops_platform.errors import ConfigurationError, Unavailable
from ops_platform.slo import counting
from ops_platform.slo.counting import HOUR
from ops_platform.slo.objectives import Objective
from ops_platform.slo.source_check import recent_series, selector_causes
from ops_platform.slo.source_check.finding import Finding, Status
from ops_platform.slo.source_check.job_causes import JobLook

if TYPE_CHECKING:
    from ops_platform.slo.counting.window import WindowCount


@dataclass(frozen=True)
class ObjectiveCheck:
    """What would be known of an objective: the count of the newest hour, and why it is not exact."""

    objective: Objective
    count: WindowCount | None
    """None: Prometheus refused to answer; the findings say why."""
    findings: tuple[Finding, ...]

    @property
    def status(self) -> Status:
        """One of STATUSES."""
        if self.count is None or self.count.state == "source_missing":
            return "unknown"
        if self.count.state == "bounded":
            return "bounded"
        return "doubtful" if any(finding.blocking for finding in self.findings) else "known"

    @property
    def reason(self) -> str | None:
        """What the count itself says; None when it is known."""
        return None if self.count is None else self.count.reason


def check(
    source: Prometheus,
    objectives: Sequence[Objective],
    now: datetime,
    progress: Callable[[float], None] = lambda fraction: None,
) -> list[ObjectiveCheck]:
    """Check each objective on the newest 60 minutes that can be counted.

    ``progress`` is told the share that is done, 0 to 1. Raises Unavailable when the first Prometheus cannot
    be asked anything.
    """
    from ops_platform.slo.counting.window import SURROUNDINGS

    end = (now - SURROUNDINGS - timedelta(seconds=1)).replace(second=0, microsecond=0)
    source.query("vector(1)", at=end)
    looks: dict[str, JobLook] = {}
    checks = []
    for number, objective in enumerate(objectives, start=1):
        name = objective.indicator.source
        try:
            own = source if name is None else source.source(name)
        except ConfigurationError as error:
            finding = Finding(str(error), "until then it is not counted")
            checks.append(ObjectiveCheck(objective, None, (finding,)))
        else:
            look = looks.setdefault(name or "", JobLook(own, end))
            checks.append(_check(own, objective, end, now, look))
        progress(number / len(objectives))
    return checks


def _check(
    source: Prometheus, objective: Objective, end: datetime, now: datetime, look: JobLook
) -> ObjectiveCheck:
    try:
        [count] = counting.count(source, [objective], [end - HOUR, end], now)[objective]
        return ObjectiveCheck(objective, count, tuple(_findings(source, objective, end, look)))
    except Unavailable as error:
        return ObjectiveCheck(objective, None, (Finding(str(error), "until then nothing is counted"),))


def _findings(source: Prometheus, objective: Objective, end: datetime, look: JobLook) -> list[Finding]:
    indicator = objective.indicator
    findings: list[Finding] = []
    for role, selector in (("good", indicator.good), ("bad", indicator.bad), ("total", indicator.total)):
        if selector is not None:
            findings += selector_causes.causes(source, role, selector, end)
    for job in recent_series.values(source, "job", indicator.total, end):
        findings += look.causes(job, indicator.total)
    then = objective.period.start(end)
    if not findings and not recent_series.values(source, "job", indicator.total, then):
        findings.append(
            Finding(
                f"there are no samples of {indicator.total} at the beginning of its period, {then:%Y-%m-%d}",
                "hours from before the first sample stay unknown until the period has moved past them",
                blocking=False,
            )
        )
    return list(dict.fromkeys(findings))
