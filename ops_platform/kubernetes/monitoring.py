"""Rules, scrape targets and dashboards as resources of the Prometheus operator and Grafana's sidecar."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

Resource = dict[str, Any]

APPLICATION = "ops-platform"
COMPONENT = "app.kubernetes.io/component"
SCRAPED = {"agent": "metrics", "api": "metrics"}
"""Component -> the port's name in its Service. The rules know the jobs by the components' names."""


def rules(files: Iterable[Path], namespace: str, runbooks: str = "") -> list[Resource]:
    """Make a PrometheusRule of each rule file. ``runbooks``: put before the rules' own runbook links."""
    return [
        {
            "apiVersion": "monitoring.coreos.com/v1",
            "kind": "PrometheusRule",
            "metadata": _metadata(f"{APPLICATION}-{file.stem.replace('_', '-')}", namespace),
            "spec": {
                "groups": [
                    {**group, "rules": [_linked(rule, runbooks) for rule in group["rules"]]}
                    for group in yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]
                ]
            },
        }
        for file in files
    ]


def monitors(namespace: str) -> list[Resource]:
    """Make a ServiceMonitor of each component that has metrics; its job has the component's name."""
    return [
        {
            "apiVersion": "monitoring.coreos.com/v1",
            "kind": "ServiceMonitor",
            "metadata": _metadata(f"{APPLICATION}-{component}", namespace),
            "spec": {
                "jobLabel": COMPONENT,
                "selector": {"matchLabels": {"app.kubernetes.io/name": APPLICATION, COMPONENT: component}},
                "endpoints": [{"port": port, "interval": "15s", "scrapeTimeout": "10s"}],
            },
        }
        for component, port in SCRAPED.items()
    ]


def dashboards(files: Iterable[Path], namespace: str) -> list[Resource]:
    """Make a ConfigMap of each dashboard, with the label by which Grafana's sidecar finds it."""
    return [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": _metadata(f"{APPLICATION}-{file.stem}", namespace, grafana_dashboard="1"),
            "data": {file.name: file.read_text(encoding="utf-8")},
        }
        for file in files
    ]


def _metadata(name: str, namespace: str, **labels: str) -> dict[str, Any]:
    return {
        "name": name,
        "namespace": namespace,
        "labels": {"app.kubernetes.io/name": APPLICATION, **labels},
    }


def _linked(rule: dict[str, Any], runbooks: str) -> dict[str, Any]:
    annotations = rule.get("annotations", {})
    if not runbooks or "runbook_url" not in annotations:
        return rule
    link = f"{runbooks.rstrip('/')}/{annotations['runbook_url']}"
    return {**rule, "annotations": {**annotations, "runbook_url": link}}
