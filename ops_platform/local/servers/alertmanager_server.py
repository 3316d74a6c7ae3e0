"""Alertmanager: configuration rendered from ``dashboards/alertmanager``, command line, readiness."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ops_platform import files
from ops_platform.clients.json_http import JsonService
from ops_platform.local.host import programs, render, write_private


@dataclass(frozen=True)
class AlertmanagerServer:
    """A single Alertmanager, without a cluster. ``targets`` holds the values of the template's references."""

    data_dir: Path
    port: int
    targets: Mapping[str, str]

    @property
    def url(self) -> str:
        """Base URL on loopback."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def config_file(self) -> Path:
        """Rendered configuration."""
        return self.data_dir / "alertmanager.yml"

    def prepare(self) -> None:
        """Render the configuration. Raises ConfigurationError for an unknown reference."""
        self.data_dir.mkdir(parents=True, exist_ok=True)
        text = (files.carried("dashboards") / "alertmanager" / "alertmanager.yml").read_text(encoding="utf-8")
        write_private(
            self.config_file, render(text, self.targets, "dashboards/alertmanager/alertmanager.yml")
        )

    def command(self) -> list[str]:
        """Make the command line. Raises ConfigurationError when the program is missing."""
        return [
            programs.find("prometheus-alertmanager"),
            f"--config.file={self.config_file}",
            f"--storage.path={self.data_dir / 'data'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
            "--cluster.listen-address=",
        ]

    def is_ready(self) -> bool:
        """Tell whether it answers its readiness check."""
        with JsonService("Alertmanager", self.url, timeout_seconds=3) as service:
            return service.answers("/-/ready")
