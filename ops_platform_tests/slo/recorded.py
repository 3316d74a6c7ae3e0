"""A real Prometheus that has recorded what a test wrote: series of (Unix seconds, value)."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from ops_platform.clients.prometheus import Prometheus
from ops_platform.clients.waiting import wait_until
from ops_platform.local.ports import free_ports

Recorded = Mapping[str, Sequence[tuple[float, float]]]
"""``metric{label="..."}`` -> samples."""


@contextmanager
def prometheus_with(recorded: Recorded, directory: Path) -> Iterator[Prometheus]:
    """Scrapes nothing itself; needs samples of the last 90 days."""
    lines = [
        f"{series} {value:.17g} {time:.3f}" for series, samples in recorded.items() for time, value in samples
    ]
    text, data, port = directory / "history.txt", directory / "data", free_ports(1)[0]
    text.write_text("\n".join([*lines, "# EOF", ""]), encoding="utf-8")
    load = ["promtool", "tsdb", "create-blocks-from", "openmetrics", "--quiet", str(text), str(data)]
    done = subprocess.run(load, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with prometheus_on(directory, port) as client:
        yield client


@contextmanager
def prometheus_on(directory: Path, port: int, config: str = "scrape_configs: []\n") -> Iterator[Prometheus]:
    """A Prometheus on what is in ``directory``/data."""
    file = directory / "prometheus.yml"
    file.write_text(config, encoding="utf-8")
    command = [
        "prometheus",
        f"--config.file={file}",
        f"--storage.tsdb.path={directory / 'data'}",
        "--storage.tsdb.retention.time=95d",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    client = Prometheus(f"http://127.0.0.1:{port}")
    with (directory / "log").open("ab") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            wait_until(client.ready, 20, "Prometheus is ready")
            yield client
        finally:
            client.close()
            process.kill()
