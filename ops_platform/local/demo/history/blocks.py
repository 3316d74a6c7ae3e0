"""History of the demo product as finished blocks of a Prometheus, made by promtool.

``python -m ops_platform.local.demo.history.blocks RECORD PROMETHEUS`` makes the history that the record
plans and moves it in. Prometheus may run meanwhile: it looks for new blocks once a minute.
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
"""Longest block that Prometheus itself makes when it keeps 95 days (2 h tripled, at most a tenth of that)."""
PROMTOOL_SECONDS = 120.0


def load(store: HistoryStore) -> None:
    """Complete the planned history in Prometheus' directory. Raises OpsError, OSError."""
    record = store.record()
    if record is None or record.loaded:
        return
    blocks = record.blocks
    if blocks is None:
        # A load that was killed may have left half of it.
        shutil.rmtree(store.staging, ignore_errors=True)
        blocks = make(history(record.plan), store.staging)
    store.adopt(blocks)


def make(past: History, directory: Path) -> tuple[str, ...]:
    """Write the history as blocks into the new ``directory``; return their names. Raises OpsError."""
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
    # Its temporary files too lie where the leftovers of a killed load are removed.
    done = Launcher(environment={"TMPDIR": str(directory)}).run(command, timeout=PROMTOOL_SECONDS)
    if done.code:
        output = (done.stderr or done.stdout).strip().splitlines()
        raise Unavailable(f"promtool made no block: {output[-1] if output else f'exit code {done.code}'}")


def main() -> int:
    """Load the history that the arguments name; return the exit code."""
    record_file, prometheus = sys.argv[1:]
    try:
        load(HistoryStore(Path(record_file), Path(prometheus)))
    except (OpsError, OSError) as error:
        print(describe(error), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
