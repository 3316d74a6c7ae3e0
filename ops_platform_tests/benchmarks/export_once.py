"""One export: of the request that is its argument, or of the benchmark's subject to the file that is.

Prints seconds and peak of memory, as JSON.
"""

from __future__ import annotations

import json
import re
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from ops_platform.gdpr.export import runner as export
from ops_platform.gdpr.export import to_file as export_file
from ops_platform.gdpr.export.content import ExportRequest
from ops_platform.settings import load_settings
from ops_platform_tests.benchmarks.export import SUBJECT


def main(argument: str) -> None:
    context = export.open_context(load_settings())
    began = time.monotonic()
    if argument.endswith(".zip"):
        wanted = ExportRequest(str(SUBJECT), "en", datetime.now(UTC))
        with context.product() as product:
            export_file.write(product, context.data_map, wanted, Path(argument), context.media)
    else:
        export.run(context, argument)
    seconds = time.monotonic() - began
    # Kilobytes of Linux. ru_maxrss would be that of the process that starts this one where it is larger.
    peak = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    assert peak is not None
    print(json.dumps({"seconds": seconds, "peak": int(peak[1]) * 1024}))


if __name__ == "__main__":
    main(sys.argv[1])
