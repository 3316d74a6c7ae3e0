"""A real Prometheus that has recorded what a test wrote: series of (Unix seconds, value)."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from ops_platform.clients.prometheus import Prometheus
from ops_platform_tests.prometheus import running_prometheus

Recorded = Mapping[str, Sequence[tuple[float, float]]]
"""``metric{label="..."}`` -> samples."""


@contextmanager
def prometheus_with(recorded: Recorded, directory: Path) -> Iterator[Prometheus]:
    """Scrapes nothing itself; needs samples of the last 90 days."""
    lines = [
        f"{series} {value:.17g} {time:.3f}" for series, samples in recorded.items() for time, value in samples
    ]
    text = directory / "history.txt"
    text.write_text("\n".join([*lines, "# EOF", ""]), encoding="utf-8")
    load = ["promtool", "tsdb", "create-blocks-from", "openmetrics", "--quiet", str(text)]
    done = subprocess.run([*load, str(directory / "data")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with running_prometheus(directory) as client:
        yield client
