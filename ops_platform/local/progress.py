"""Progress output of ``up`` and ``down``: a moving line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as Bar

    from ops_platform.local.bootstrap_runs import BootstrapRun


class Progress:
    """Printer of progress. Without a terminal each step is printed once, without fractions."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._started = time.monotonic()
        self._last_step = ""
        self._runs: dict[str, str] = {}
        self._bar: Bar | None = None
        if console.is_terminal:
            from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
            from rich.progress import Progress as Bar

            self._bar = Bar(
                SpinnerColumn(),
                TextColumn("{task.description}"),
                BarColumn(bar_width=24),
                TimeElapsedColumn(),
                console=console,
                transient=True,
            )
            self._task = self._bar.add_task("", total=None)
            self._bar.start()

    def say(self, line: str) -> None:
        """Print a line that stays, with the seconds since the start."""
        self.console.print(f"[{time.monotonic() - self._started:5.1f} s] {line}", markup=False)

    def step(self, name: str, fraction: float | None) -> None:
        """Show the current step; ``fraction`` (0 to 1) of it is done, None is unknown."""
        if self._bar is not None:
            total = None if fraction is None else 1.0
            self._bar.update(self._task, description=name, total=total, completed=fraction or 0.0)
        elif name.partition(":")[0] != self._last_step:
            self._last_step = name.partition(":")[0]
            self.say(self._last_step)

    def started(self, name: str, address: str, already: bool) -> None:
        """Print that a service is ready, or ran ``already``."""
        self._last_step = ""
        self.say(f"{name:<20}{'runs already' if already else 'ready'}  {address}")

    def runs(self, runs: Sequence[BootstrapRun]) -> None:
        """Show the state of the bootstrap runs and the mean fraction that they have copied."""
        if self._bar is not None:
            states = ", ".join(f"{run.stanza} {run.status.lower()}" for run in runs)
            self.step(f"first full backup: {states}", sum(run.fraction for run in runs) / len(runs))
        for run in runs:
            if run.status == "SUCCESS" and self._runs.get(run.stanza) != run.status:
                self.say(f"full backup of {run.stanza} verified and recorded")
            self._runs[run.stanza] = run.status

    def done(self) -> None:
        """Remove the moving line."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
