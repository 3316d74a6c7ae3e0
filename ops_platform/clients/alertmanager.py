"""Alertmanager's API v2: post alerts, list them, readiness. Knows no alert in particular."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from ops_platform.clients.json_http import TIMEOUT_SECONDS, JsonService

_SENT, _FAILED = "alertmanager_notifications_total", "alertmanager_notifications_failed_total"


@dataclass(frozen=True)
class Alert:
    """An alert to post; resolved when ``ends_at`` is in the past. ``generator_url`` leads to the cause."""

    labels: Mapping[str, str]
    annotations: Mapping[str, str] = field(default_factory=dict)
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    generator_url: str | None = None


@dataclass(frozen=True)
class HeldAlert:
    """An alert that Alertmanager holds; ``state`` is active, suppressed or unprocessed."""

    fingerprint: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    state: str
    inhibited_by: tuple[str, ...]
    receivers: tuple[str, ...]
    starts_at: datetime
    ends_at: datetime


@dataclass(frozen=True)
class Receiver:
    """A receiver of the configuration; ``integrations`` are its channels: webhook, email, ..."""

    name: str
    integrations: tuple[str, ...]


class Alertmanager:
    """The HTTP API of one Alertmanager. ``post`` and ``alerts`` raise Unavailable."""

    def __init__(
        self, url: str, *, ca_file: Path | None = None, timeout_seconds: float = TIMEOUT_SECONDS
    ) -> None:
        self._service = JsonService("Alertmanager", url, ca_file=ca_file, timeout_seconds=timeout_seconds)

    def close(self) -> None:
        """Close the HTTP connections."""
        self._service.close()

    def ready(self) -> bool:
        """Ask whether Alertmanager serves requests; False when it cannot be reached."""
        return self._service.answers("/-/ready")

    def post(self, alerts: Iterable[Alert]) -> None:
        """Post alerts; Alertmanager merges an alert with the one that it holds under the same labels."""
        self._service.post("/api/v2/alerts", json=[_posted(alert) for alert in alerts])

    def receivers(self) -> list[Receiver]:
        """List the receivers of the running configuration."""
        text = self._service.get("/api/v2/status")["config"]["original"]
        return [_receiver(entry) for entry in yaml.safe_load(text)["receivers"]]

    def notification_counts(self) -> dict[str, tuple[int, int]]:
        """Count the notifications of each integration since Alertmanager's start: (attempted, failed)."""
        from prometheus_client.parser import text_string_to_metric_families  # needed only here

        counts = {_SENT: dict[str, int](), _FAILED: dict[str, int]()}
        for family in text_string_to_metric_families(self._service.text("/metrics")):
            for sample in family.samples:
                if sample.name in counts:
                    by_integration = counts[sample.name]
                    name = sample.labels["integration"]
                    by_integration[name] = by_integration.get(name, 0) + int(sample.value)
        return {name: (sent, counts[_FAILED].get(name, 0)) for name, sent in counts[_SENT].items()}

    def alerts(self, matchers: Sequence[str] = ()) -> list[HeldAlert]:
        """List the alerts that are held, narrowed by matchers such as ``alertname="Watchdog"``."""
        return [_held(item) for item in self._service.get("/api/v2/alerts", {"filter": list(matchers)})]


def _receiver(entry: Mapping[str, Any]) -> Receiver:
    keys = sorted(key for key, configs in entry.items() if key.endswith("_configs") and configs)
    return Receiver(entry["name"], tuple(key.removesuffix("_configs") for key in keys))


def _posted(alert: Alert) -> dict[str, Any]:
    body: dict[str, Any] = {"labels": dict(alert.labels), "annotations": dict(alert.annotations)}
    if alert.starts_at is not None:
        body["startsAt"] = alert.starts_at.isoformat()
    if alert.ends_at is not None:
        body["endsAt"] = alert.ends_at.isoformat()
    if alert.generator_url is not None:
        body["generatorURL"] = alert.generator_url
    return body


def _held(item: Mapping[str, Any]) -> HeldAlert:
    return HeldAlert(
        fingerprint=item["fingerprint"],
        labels=item["labels"],
        annotations=item["annotations"],
        state=item["status"]["state"],
        inhibited_by=tuple(item["status"]["inhibitedBy"]),
        receivers=tuple(receiver["name"] for receiver in item["receivers"]),
        starts_at=datetime.fromisoformat(item["startsAt"]),
        ends_at=datetime.fromisoformat(item["endsAt"]),
    )
