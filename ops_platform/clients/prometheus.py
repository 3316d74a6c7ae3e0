"""Prometheus: instant queries, targets, rules, alerts, readiness. No arithmetic on its answers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ops_platform.clients import matrix_stream
from ops_platform.clients.json_http import TIMEOUT_SECONDS, Access, JsonService
from ops_platform.clients.safe_errors import address, service
from ops_platform.errors import ConfigurationError, Unavailable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Series:
    """One series of an answer: its labels and its samples as (Unix seconds, value).

    Those of a range are an array of such rows.
    """

    labels: Mapping[str, str]
    samples: tuple[tuple[float, float], ...] | NDArray[np.float64]

    @property
    def value(self) -> float:
        """The newest value."""
        return float(self.samples[-1][1])


@dataclass(frozen=True)
class Answer:
    """The answer to a query; when there are ``warnings`` it may be partial."""

    series: tuple[Series, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Target:
    """An active scrape target; ``health`` is up, down or unknown."""

    job: str
    instance: str
    health: str
    last_error: str
    path: str = ""
    """The path of its URL: ``/metrics``, ``/federate``."""


@dataclass(frozen=True)
class Rule:
    """An alerting or recording rule as Prometheus has loaded it; ``health`` is ok, err or unknown."""

    group: str
    name: str
    kind: str
    query: str
    health: str
    last_error: str
    labels: Mapping[str, str] = field(default_factory=dict)
    """The labels that the rule adds."""


@dataclass(frozen=True)
class FiringAlert:
    """A pending or firing alert, before Alertmanager."""

    labels: Mapping[str, str]
    state: str


class Prometheus:
    """The HTTP API of one Prometheus. Every method but ``ready`` raises Unavailable.

    ``replica_labels`` tell apart the copies of a series that several replicas wrote into it; ``named`` are
    others, by the name that documents give them; None: this one stands for all.
    """

    def __init__(
        self,
        url: str,
        *,
        ca_file: Path | None = None,
        access: Access | None = None,
        timeout_seconds: float = TIMEOUT_SECONDS,
        replica_labels: Sequence[str] = (),
        named: Mapping[str, Prometheus] | None = None,
    ) -> None:
        self.replica_labels = tuple(replica_labels)
        self._named = None if named is None else dict(named)
        self._service = JsonService(
            "Prometheus", url, ca_file=ca_file, access=access, timeout_seconds=timeout_seconds
        )

    def source(self, name: str | None) -> Prometheus:
        """Find the Prometheus of this name; itself without a name, and where it stands for all.

        Raises ConfigurationError for a name that OPS_PROMETHEUS_URLS does not have: another server may have
        series of the same names.
        """
        if name is None or self._named is None:
            return self
        if name not in self._named:
            raise ConfigurationError(
                f"an objective's metricSourceRef is {name}, and OPS_PROMETHEUS_URLS names "
                f"{', '.join(sorted(self._named)) or 'none'}: add {name}=URL"
            )
        return self._named[name]

    @property
    def url(self) -> str:
        """The base URL, without a slash at its end."""
        return self._service.url

    def close(self) -> None:
        """Close the HTTP connections."""
        self._service.close()
        for other in (self._named or {}).values():
            other.close()

    def ready(self) -> bool:
        """Ask whether Prometheus serves queries; False when it cannot be reached."""
        return self._service.answers("/-/ready")

    def query(self, expression: str, *, at: datetime | None = None) -> Answer:
        """Run an instant query, evaluated at ``at`` (None: now).

        A range selector gives its raw samples, a scalar one series without labels.
        """
        form = {"query": expression}
        if at is not None:
            form["time"] = f"{at.timestamp():.3f}"
        try:
            answered, matrix = matrix_stream.parse(self._service.post_in_pieces("/api/v1/query", form))
        except ValueError:
            raise self._service.not_json() from None
        body = self._checked(answered)
        data = body["data"]
        if data["resultType"] == "matrix":
            series = tuple(Series(labels, samples) for labels, samples in matrix)
        elif data["resultType"] == "vector":
            series = tuple(Series(item["metric"], (_newest(item),)) for item in data["result"])
        else:
            series = (Series({}, (_sample(data["result"]),)),)
        return Answer(series, tuple(map(service, body.get("warnings", ()))))

    def series(
        self, selectors: Sequence[str], *, until: datetime
    ) -> tuple[list[Mapping[str, str]], tuple[str, ...]]:
        """List the labels of all series with a sample up to ``until``.

        Returns them with Prometheus' warnings: when there are any, the list may be partial.
        """
        params: dict[str, str | list[str]] = {
            "match[]": list(selectors),
            "start": "0",
            "end": f"{until.timestamp():.3f}",
        }
        body = self._checked(self._service.get("/api/v1/series", params))
        return list(body["data"]), tuple(map(service, body.get("warnings", ())))

    def label_values(
        self, label: str, selector: str, *, until: datetime
    ) -> tuple[list[str], tuple[str, ...]]:
        """List the values of ``label`` among the series of ``selector`` with samples up to ``until``.

        Prometheus looks at whole blocks, so values of later series may be among them. Returns them with
        its warnings, as ``series`` does.
        """
        params: dict[str, str | list[str]] = {
            "match[]": selector,
            "start": "0",
            "end": f"{until.timestamp():.3f}",
        }
        body = self._checked(self._service.get(f"/api/v1/label/{label}/values", params))
        return [str(value) for value in body["data"]], tuple(map(service, body.get("warnings", ())))

    def targets(self) -> list[Target]:
        """List the active scrape targets."""
        active = self._data("/api/v1/targets", {"state": "active"})["activeTargets"]
        return [
            Target(
                target["labels"]["job"],
                target["labels"]["instance"],
                target["health"],
                target["lastError"],
                urlsplit(target.get("scrapeUrl", "")).path,
            )
            for target in active
        ]

    def rules(self) -> list[Rule]:
        """List the rules of all groups."""
        return [
            Rule(
                group["name"],
                rule["name"],
                rule["type"],
                rule["query"],
                rule.get("health", "unknown"),
                rule.get("lastError", ""),
                rule.get("labels", {}),
            )
            for group in self._data("/api/v1/rules")["groups"]
            for rule in group["rules"]
        ]

    def alerts(self) -> list[FiringAlert]:
        """List the alerts that are pending or firing now."""
        alerts = self._data("/api/v1/alerts")["alerts"]
        return [FiringAlert(alert["labels"], alert["state"]) for alert in alerts]

    def metric_types(self, name: str) -> list[str]:
        """List the types that targets declare for a metric; empty for one that no target exposes any more."""
        declarations = self._data("/api/v1/metadata", {"metric": name}).get(name, [])
        return [str(declaration["type"]) for declaration in declarations]

    def reload(self) -> None:
        """Make Prometheus read its configuration again; it must run with ``--web.enable-lifecycle``."""
        self._service.post("/-/reload")

    def _data(self, path: str, params: Mapping[str, str | list[str]] | None = None) -> Any:
        return self._checked(self._service.get(path, params))["data"]

    def _checked(self, body: Any) -> dict[str, Any]:
        if not isinstance(body, dict) or body.get("status") != "success":
            raise Unavailable(
                f"Prometheus at {address(self._service.url)} gave an unexpected answer: is the URL right?"
            )
        return body


def _newest(item: Any) -> tuple[float, float]:
    """Read the value of a series; a native histogram is no number."""
    return _sample(item["value"]) if "value" in item else (float(item["histogram"][0]), math.nan)


def _sample(pair: Any) -> tuple[float, float]:
    return float(pair[0]), float(pair[1])
