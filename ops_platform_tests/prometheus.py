"""A real Prometheus of a test's own."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ops_platform.clients.prometheus import Prometheus
from ops_platform.clients.waiting import wait_until
from ops_platform_tests.ports import free_ports


@contextmanager
def running_prometheus(
    directory: Path,
    config: str = "scrape_configs: []\n",
    port: int | None = None,
    flags: Sequence[str] = (),
) -> Iterator[Prometheus]:
    """With this configuration; its data is in ``data``. It scrapes nothing unless it is told to."""
    port = port or free_ports(1)[0]
    file = directory / "prometheus.yml"
    file.write_text(config, encoding="utf-8")
    command = [
        "prometheus",
        f"--config.file={file}",
        f"--storage.tsdb.path={directory / 'data'}",
        "--storage.tsdb.retention.time=95d",
        f"--web.listen-address=127.0.0.1:{port}",
        *flags,
    ]
    client = Prometheus(f"http://127.0.0.1:{port}")
    with (directory / "log").open("ab") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            wait_until(client.ready, 20, "Prometheus is ready")
            yield client
        finally:
            client.close()
            process.kill()


def metric_names(prometheus: Prometheus) -> set[str]:
    """Read the names of the series that had a sample within the last day."""
    answer = prometheus.query('count by (__name__) (last_over_time({__name__!=""}[1d]))')
    return {series.labels["__name__"] for series in answer.series}


def load_history(directory: Path, lines: Iterable[str]) -> None:
    """Make blocks of these lines of OpenMetrics, where ``running_prometheus(directory)`` finds them."""
    text = directory / "history.txt"
    with text.open("w", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in lines)
        file.write("# EOF\n")
    # Else every two hours are a block, and for each the whole text is read.
    load = ["promtool", "tsdb", "create-blocks-from", "--max-block-duration=486h", "openmetrics", "--quiet"]
    subprocess.run([*load, str(text), str(directory / "data")], check=True, capture_output=True)
    text.unlink()
