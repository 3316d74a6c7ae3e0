"""What a run of slo_windows does, in a process of its own that says where it is: for a test that kills it.

``python -m ops_platform_tests.slo.worker START END PROMETHEUS``: a backfill. With ``next`` behind it: what
the hourly run of the hour after END does before it counts that one.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime

from ops_platform import files
from ops_platform.clients.prometheus import Prometheus
from ops_platform.settings import load_settings
from ops_platform.slo.objectives import openslo
from ops_platform.slo.reporting import refresh as keeping

DONE = "all is done"


def say(what: str) -> None:
    print(what, flush=True)


def main() -> None:
    start, end = (datetime.fromisoformat(text) for text in sys.argv[1:3])
    url, source = load_settings().require("database_url"), Prometheus(sys.argv[3])
    known = openslo.load_directory(files.default_config_dir() / "objectives")
    ours = [one for one in known if one.name in ("success", "signatures")]
    if sys.argv[4:] == ["next"]:
        keeping.recount_late(url, source, ours, end, "next", datetime.now(UTC))
        say(DONE)
        return
    keeping.count_hours(
        url, source, ours, start, end, "run", datetime.now(UTC), lambda share: say(f"counted {share:.1f}")
    )
    say("what follows")
    keeping.enter_ledger(url, ours[:1], start, end, "run")
    say("half the ledger")
    keeping.enter_ledger(url, ours, start, end, "run")
    say("the ledger")
    keeping.store_figures(url, ours[:1], start, end, "run")
    say("half the figures")
    keeping.store_figures(url, ours, start, end, "run")
    say(DONE)


if __name__ == "__main__":
    main()
