"""A real Prometheus that has recorded what a test wrote: series of (Unix seconds, value)."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from ops_platform.clients.prometheus import Prometheus
from ops_platform_tests.prometheus import running_prometheus

Recorded = Mapping[str, Sequence[tuple[float, float]]]
"""``metric{label="..."}`` -> samples."""


def publishing(start: datetime, end: datetime) -> Recorded:
    """Attempts to publish and webhook deliveries of one instance, about 2 % bad, from before to after."""
    target = 'instance="a:1",job="product"'
    times = np.arange(start.timestamp() - 900, end.timestamp() + 900, 30.0) + 3
    random = np.random.default_rng(5)
    good, bad = random.integers(0, 9, times.size), (random.random(times.size) < 0.02).astype(np.int64)

    def counter(values: Any) -> list[tuple[float, float]]:
        return list(zip(times.tolist(), np.cumsum(values).tolist(), strict=True))

    return {
        f'product_publishing_attempts_total{{result="success",{target}}}': counter(good),
        f'product_publishing_attempts_total{{result="failure",{target}}}': counter(bad),
        f'product_webhook_deliveries_total{{signature="valid",{target}}}': counter(good),
        f'product_webhook_deliveries_total{{signature="invalid",{target}}}': counter(bad),
        f"up{{{target}}}": [(time, 1) for time in times.tolist()],
    }


@contextmanager
def prometheus_with(
    recorded: Recorded, directory: Path, rules: str = "", flags: Sequence[str] = ()
) -> Iterator[Prometheus]:
    """Scrapes nothing itself; needs samples of the last 90 days. ``rules``: text of a rule file."""
    lines = [
        f"{series} {value:.17g} {time:.3f}" for series, samples in recorded.items() for time, value in samples
    ]
    text = directory / "history.txt"
    text.write_text("\n".join([*lines, "# EOF", ""]), encoding="utf-8")
    load = ["promtool", "tsdb", "create-blocks-from", "openmetrics", "--quiet", str(text)]
    done = subprocess.run([*load, str(directory / "data")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (directory / "rules.yml").write_text(rules, encoding="utf-8")
    with running_prometheus(
        directory, "scrape_configs: []\nrule_files: [rules.yml]\n", flags=flags
    ) as client:
        yield client
