"""One export, of the request that is its argument: seconds and peak of memory, as JSON."""

from __future__ import annotations

import json
import resource
import sys
import time

from ops_platform.gdpr import export
from ops_platform.settings import load_settings


def main() -> None:
    context = export.open_context(load_settings())
    began = time.monotonic()
    export.run(context, sys.argv[1])
    seconds = time.monotonic() - began
    # Kilobytes on Linux.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"seconds": seconds, "peak": peak}))


if __name__ == "__main__":
    main()
