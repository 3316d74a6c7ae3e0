"""Run `make test-fast`: two processes at once, each with its half of the modules.

Each worker of pytest-xdist would read all modules, a third of the time, and hand on every result. The halves
are those of ``turns.half``; arguments go to both.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

HALF = "OPS_TESTS_HALF"
"""The variable that says which half a process of pytest reads; without it, all modules."""
# Capturing the file descriptors takes a tenth of the CPU, and nothing here is said by another process.
PYTEST = (
    *(sys.executable, "-m", "pytest", "-q", "--capture=sys"),
    *("-m", "not services and not processes"),
)


def is_others(path: Path) -> bool:
    """Tell whether a test module belongs to the other process."""
    from ops_platform_tests import turns

    half = os.environ.get(HALF)
    name = path.relative_to(Path(__file__).parent).as_posix()
    return half is not None and path.suffix == ".py" and turns.half(name) != int(half)


def main() -> int:
    """Run both, show one after the other, and give the higher exit code."""
    with tempfile.TemporaryFile() as kept:
        processes = [
            subprocess.Popen(
                [*PYTEST, *sys.argv[1:]],
                env={**os.environ, HALF: str(half)},
                stdout=kept if half else None,
                stderr=subprocess.STDOUT if half else None,
            )
            for half in (0, 1)
        ]
        codes = [process.wait() for process in processes]
        kept.seek(0)
        sys.stdout.flush()
        sys.stdout.buffer.write(kept.read())
    return max(map(abs, codes))


if __name__ == "__main__":
    sys.exit(main())
