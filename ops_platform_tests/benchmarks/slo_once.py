"""Count the hours of objectives once, in a process of its own: CPU time and peak of memory, as JSON.

``python -m ops_platform_tests.benchmarks.slo_once OPS_URL PROMETHEUS_URL OBJECTIVES_DIR FROM TO``
"""

from __future__ import annotations

import json
import re
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from ops_platform.clients.prometheus import Prometheus
from ops_platform.slo.objectives import openslo
from ops_platform.slo.reporting import refresh


def main(ops_url: str, prometheus_url: str, directory: str, since: str, until: str) -> None:
    objectives = openslo.load_directory(Path(directory))
    source = Prometheus(prometheus_url, timeout_seconds=120)
    began, cpu = time.monotonic(), time.process_time()
    bounds = datetime.fromisoformat(since), datetime.fromisoformat(until)
    refresh.count_hours(ops_url, source, objectives, *bounds, "bench", datetime.now(UTC))
    found = {"seconds": time.monotonic() - began, "cpu": time.process_time() - cpu}
    # Kilobytes of Linux. ru_maxrss would be that of the process that starts this one where it is larger.
    peak = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    assert peak is not None
    print(json.dumps({**found, "peak": int(peak[1]) * 1024}))


if __name__ == "__main__":
    main(*sys.argv[1:])
