"""Why the series of a job cannot be counted: who scrapes them, and how often."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from ops_platform.clients.prometheus import Prometheus
from ops_platform.slo.objectives import Matcher, Selector
from ops_platform.slo.source_check import recent_series
from ops_platform.slo.source_check.finding import Finding
from ops_platform.slo.source_check.recent_series import of_job

LONGEST_INTERVAL = 300
"""Seconds between scrapes: a longer pause is taken for a failure."""
SAFE_INTERVAL = LONGEST_INTERVAL // 2
"""With it one scrape may fail."""
NO_UP = "whether a target was missing could not be told"


class JobLook:
    """A look at the jobs of a Prometheus at one moment. Methods raise Unavailable."""

    def __init__(self, source: Prometheus, at: datetime) -> None:
        self._source = source
        self._at = at
        self._causes: dict[str, list[Finding]] = {}
        self._paths: dict[str, str] | None = None
        self._recorded: frozenset[str] | None = None

    def causes(self, job: str, selector: Selector) -> list[Finding]:
        """Say what of a job, which has series of the selector, keeps them from being counted."""
        if not self._recent("instance", of_job("up", job)):
            return [self._no_up(job, selector)]
        if job not in self._causes:
            self._causes[job] = [*self._interval(job), *self._starts(job)]
        if self._is_pushed(job, selector):
            return [
                Finding(
                    f"the series of job {job} come through a Pushgateway",
                    "it shows for ever what was pushed last, and up is that of the gateway: a service that "
                    "is away is not missed",
                )
            ]
        return self._causes[job]

    def _recent(self, label: str, selector: Selector) -> list[str]:
        return recent_series.values(self._source, label, selector, self._at)

    def _no_up(self, job: str, selector: Selector) -> Finding:
        """Name who brings samples without ``up``."""
        if selector.metric in self._recordings():
            return Finding(
                f"{selector.metric} is made by a recording rule",
                "name the counters that the rule reads: what a rule missed cannot be seen",
            )
        if self._is_pushed(job, selector):
            return Finding(
                f"the series of job {job} come through a Pushgateway, and {NO_UP}",
                "scrape the service itself; a batch job's runs are counted by a service that goes on",
            )
        if self._recent("job", of_job("target_info", job)):
            return Finding(
                f"the series of job {job} are sent by OpenTelemetry, without up, and {NO_UP}",
                "let Prometheus scrape the collector or the service (exporter 'prometheus')",
            )
        federating = sorted(
            name for name, path in self._scraped_paths().items() if path.endswith("/federate")
        )
        if federating:
            return Finding(
                f'there is no up{{job="{job}"}}, as where series come by federation (job {federating[0]}), '
                f"and {NO_UP}",
                'ask the Prometheus that scrapes them, or add {__name__=~"up|process_start_time_seconds"} '
                "to match[]",
            )
        if not job:
            return Finding(
                f"series of {selector.metric} have no label job, and {NO_UP}",
                "have them scraped, or written with the job and instance of an up",
            )
        return Finding(
            f'there is no up{{job="{job}"}}, and {NO_UP}',
            "keep up in what is written here (remote write, relabelling), with the same job and instance",
        )

    def _is_pushed(self, job: str, selector: Selector) -> bool:
        """Tell whether a gateway shows when the job's series were pushed: a job may do both, by instance."""
        pushed = self._recent("instance", of_job("push_time_seconds", job))
        if not pushed:
            return False
        only = replace(selector, matchers=(*selector.matchers, Matcher("job", "=", job)))
        return not set(pushed).isdisjoint(self._recent("instance", only))

    def _interval(self, job: str) -> list[Finding]:
        for instance in self._recent("instance", of_job("up", job))[:1]:
            seconds = recent_series.interval(self._source, job, instance, self._at)
            if seconds is not None and seconds > SAFE_INTERVAL:
                long = seconds > LONGEST_INTERVAL
                because = (
                    "so long a pause cannot be told from a failure"
                    if long
                    else "else one failed scrape is a gap"
                )
                return [
                    Finding(
                        f"job {job} is scraped every {seconds:.0f} s",
                        f"set its scrape_interval to {SAFE_INTERVAL} s at most: {because}",
                        blocking=long,
                    )
                ]
        return []

    def _starts(self, job: str) -> list[Finding]:
        if self._recent("job", of_job("process_start_time_seconds", job)):
            return []
        return [
            Finding(
                f"job {job} does not report process_start_time_seconds",
                "hours with a restart may be bounded instead of exact; client libraries report it by default",
                blocking=False,
            )
        ]

    def _scraped_paths(self) -> dict[str, str]:
        if self._paths is None:
            self._paths = recent_series.scraped_paths(self._source)
        return self._paths

    def _recordings(self) -> frozenset[str]:
        if self._recorded is None:
            self._recorded = recent_series.recorded_names(self._source)
        return self._recorded
