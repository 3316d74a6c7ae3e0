"""Prometheus: configuration rendered from ``dashboards/prometheus``, command line, readiness."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ops_platform import files, runbooks
from ops_platform.clients.json_http import JsonService
from ops_platform.local.host import programs, render, write_private

RETENTION = "95d"
"""Longest objective window (90 days) plus a margin; Prometheus keeps 15 days by default."""


@dataclass(frozen=True)
class PrometheusServer:
    """One Prometheus. ``targets`` holds the values of the template's references, except for its own two."""

    data_dir: Path
    port: int
    targets: Mapping[str, str]
    objectives: Path | None = None
    """Directory of the documents that slo.yml is generated from; None: that of ``dashboards`` is used."""
    runbook_url: str | None = None
    """Base URL of the alerts' links to runbooks; None: they stay relative."""

    @property
    def url(self) -> str:
        """Base URL on loopback."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def config_file(self) -> Path:
        """Rendered configuration."""
        return self.data_dir / "prometheus.yml"

    def prepare(self) -> None:
        """Write configuration and rules. Raises ConfigurationError for a wrong template or objective."""
        self.data_dir.mkdir(parents=True, exist_ok=True)
        source = files.carried("dashboards") / "prometheus"
        rules = self.data_dir / "rules"
        # Copies: an upgrade of the package must not change the rules of a running server.
        fresh = {path.name: path.read_text(encoding="utf-8") for path in (source / "rules").glob("*.yml")}
        if self.objectives is not None:
            from ops_platform.slo.objectives import openslo, prometheus_rules

            fresh["slo.yml"] = prometheus_rules.text(openslo.load_files(self.objectives))
        if rules.exists() and {path.name for path in rules.iterdir()} - set(fresh):
            shutil.rmtree(rules)
        rules.mkdir(exist_ok=True)
        for name, text in fresh.items():
            write_private(rules / name, runbooks.linked(text, self.runbook_url), 0o644)
        values = {
            **self.targets,
            "RULES_DIR": str(rules),
            "PROMETHEUS_TARGET": f"127.0.0.1:{self.port}",
        }
        text = (source / "prometheus.yml").read_text(encoding="utf-8")
        write_private(self.config_file, render(text, values, "dashboards/prometheus/prometheus.yml"))

    def config_files(self) -> list[Path]:
        """List the configuration and the rule files."""
        return [self.config_file, *sorted((self.data_dir / "rules").glob("*.yml"))]

    def command(self) -> list[str]:
        """Make the command line. Raises ConfigurationError when the program is missing."""
        return [
            programs.find("prometheus"),
            f"--config.file={self.config_file}",
            f"--storage.tsdb.path={self.data_dir / 'data'}",
            f"--storage.tsdb.retention.time={RETENTION}",
            f"--web.listen-address=127.0.0.1:{self.port}",
        ]

    def is_ready(self) -> bool:
        """Tell whether it answers its readiness check."""
        with JsonService("Prometheus", self.url, timeout_seconds=3) as service:
            return service.answers("/-/ready")
