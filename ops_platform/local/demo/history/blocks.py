"""The demo product's past as finished blocks of a Prometheus, by way of promtool.

``python -m ops_platform.local.demo.history.blocks RECORD PROMETHEUS`` makes what the record plans and
moves it in. Prometheus may run meanwhile: it looks for new blocks once a minute.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from ops_platform.clients.child_process import Launcher
from ops_platform.clients.safe_errors import describe
from ops_platform.errors import OpsError, Unavailable
from ops_platform.local.demo.history.record import HistoryStore
from ops_platform.local.demo.history.samples import History, history
from ops_platform.local.demo.history.timetable import HOUR
from ops_platform.local.host import programs

BLOCK_SECONDS = 162 * HOUR
"""The longest that Prometheus itself makes when it keeps 95 days (2 h tripled, at most a tenth of that)."""
PROMTOOL_SECONDS = 120.0


def load(store: HistoryStore) -> None:
    """Bring Prometheus' directory to hold all of the planned history. Raises OpsError, OSError."""
    record = store.record()
    if record is None or record.loaded:
        return
    blocks = record.blocks
    if blocks is None:
        # Half made by a load that was killed.
        shutil.rmtree(store.staging, ignore_errors=True)
        blocks = make(history(record.plan), store.staging)
    store.adopt(blocks)


def make(past: History, directory: Path) -> tuple[str, ...]:
    """Write all of it into the new ``directory``; the names of its blocks. Raises OpsError."""
    directory.mkdir(parents=True)
    text = directory / "samples.txt"
    plan = past.plan
    # promtool reads the whole text once for each block: each gets a text of its own.
    for start in range(plan.begins // BLOCK_SECONDS * BLOCK_SECONDS, plan.end + 1, BLOCK_SECONDS):
        with text.open("w", encoding="utf-8") as file:
            file.writelines(past.lines(start, start + BLOCK_SECONDS))
            file.write("# EOF\n")
        _write_block(text, directory)
    text.unlink()
    return tuple(sorted(path.parent.name for path in directory.glob("*/meta.json")))


def _write_block(text: Path, directory: Path) -> None:
    command = [programs.find("promtool"), "tsdb", "create-blocks-from"]
    command += [f"--max-block-duration={BLOCK_SECONDS // HOUR}h"]
    command += ["openmetrics", "--quiet", str(text), str(directory)]
    # Its temporary files too are where a killed load's are looked for.
    done = Launcher(environment={"TMPDIR": str(directory)}).run(command, timeout=PROMTOOL_SECONDS)
    if done.code:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise Unavailable(f"promtool made no block: {said[-1] if said else f'exit code {done.code}'}")


def main() -> int:
    record_file, prometheus = sys.argv[1:]
    try:
        load(HistoryStore(Path(record_file), Path(prometheus)))
    except (OpsError, OSError) as error:
        print(describe(error), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
