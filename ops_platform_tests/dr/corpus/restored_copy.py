"""One restore of the source, kept stopped, and copies of it: what is done to a copy is found by its checks.

The rows and objects of a damaged source reach its restored copy byte for byte, so damage to them needs
neither a backup nor a restore of its own. The phases behind the restore are the exercise's.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar
from uuid import uuid4

import pytest

from ops_platform.dr.exercise import drill as drills
from ops_platform.dr.exercise import drill_phases, knowledge
from ops_platform.dr.exercise.rehearsal import Drill, Knowledge, Rehearsal, server_of
from ops_platform.dr.inspection.check_result import NOT_REACHED
from ops_platform.dr.plan.scenario import Plan
from ops_platform.dr.restore import scratch_cluster as scratch
from ops_platform.dr.restore.restored_server import RestoredServer
from ops_platform.dr.verification import recovery_checks
from ops_platform.dr.verification import suite as questions
from ops_platform_tests.backup.site import silent
from ops_platform_tests.dr.corpus.lab import DAY_MS, Lab
from ops_platform_tests.dr.practice import strike

SCENARIO = "integrity"


@dataclass(frozen=True)
class Copy:
    """A copy of the restored cluster. ``heap``: the file of one table of the product."""

    server: RestoredServer
    heap: Path

    def sql(self, *statements: str, database: str = "product") -> None:
        with self.server.connect(database) as superuser:
            for statement in statements:
                superuser.execute(statement.encode())

    def program(self, name: str, *arguments: str) -> None:
        """One of PostgreSQL's own, on the data directory, while the server is stopped."""
        argv = [self.server.program(name), *arguments, f"--pgdata={self.server.data_dir}"]
        assert self.server.launcher.run(argv).code == 0


def untouched(copy: Copy) -> None:
    """No damage."""


@dataclass(frozen=True)
class RestoredOnce:
    """The kept data directory with the log of its recovery, and what the exercise knew."""

    lab: Lab
    data_dir: Path
    log_file: Path
    plan: Plan
    known: Knowledge
    t0: datetime

    def judge(
        self, alive: Callable[[Copy], None] = untouched, dead: Callable[[Copy], None] = untouched
    ) -> dict[str, str]:
        """Every answer about a copy that is no pass. ``dead``: done before its server starts."""
        lab, kept = self.lab, self

        class TakeCopy(drill_phases.DrillPhase):
            check_name: ClassVar[str | None] = "recovered_and_promoted"

            def perform(self, drill: Drill) -> None:
                drill.rehearsal.plan = drill.plan = kept.plan
                _copy(kept.data_dir, drill.here.data_dir)
                _copy(kept.log_file, drill.here.log_file)
                drill.server = server = server_of(drill.ctx, drill.here)
                copy = Copy(server, server.data_dir / lab.heap)
                dead(copy)
                drill.until_end.enter_context(server.running())
                server.wait_promoted(60)
                alive(copy)

        name = f"k{uuid4().hex[:6]}"
        with (
            scratch.scratch(lab.site.settings, "test:corpus", name) as here,
            pytest.MonkeyPatch.context() as patch,
        ):
            behind = drills.PHASES[drills.PHASES.index(_phase(drill_phases.EraseAgain)) :]
            patch.setattr(drills, "PHASES", (TakeCopy(), *behind))
            done = drills.rehearse(lab.site.context, here, SCENARIO, self.known, self.t0, silent, silent)
        return wrong(self, done)


def restore_once(lab: Lab) -> RestoredOnce:
    """Restore the source as an exercise does, and keep what came of it."""
    ctx, root = lab.site.context, lab.root / "restored"
    strike(lab.site)
    asked = questions.prepare(ctx, SCENARIO, silent)
    t0 = datetime.now(UTC)
    known = knowledge.gather(ctx, "latest", t0, asked)
    root.mkdir(mode=0o755)
    kept: list[Plan] = []

    class Keep(drill_phases.DrillPhase):
        check_name: ClassVar[str | None] = None

        def perform(self, drill: Drill) -> None:
            kept.append(drill.plan)
            _copy(drill.here.data_dir, root / "data")
            _copy(drill.here.log_file, root / "postgres.log")

    with (
        scratch.scratch(ctx.settings, "test:corpus", f"o{uuid4().hex[:6]}") as here,
        pytest.MonkeyPatch.context() as patch,
    ):
        up_to = drills.PHASES.index(_phase(drill_phases.EraseAgain))
        patch.setattr(drills, "PHASES", (*drills.PHASES[:up_to], drill_phases.StopServer(), Keep()))
        done = drills.rehearse(ctx, here, SCENARIO, known, t0, silent, silent)
    assert kept, done.results
    return RestoredOnce(lab, root / "data", root / "postgres.log", kept[0], known, t0)


def wrong(once: RestoredOnce, done: Rehearsal) -> dict[str, str]:
    """Every answer that is no pass, that about the loss included, but those that were never reached."""
    results = [*done.results, recovery_checks.rpo(done.loss, DAY_MS, once.known.source, immediate=False)]
    given = {"backup_selected", "restored"}
    return {
        result.name: f"{result.result}: {result.summary}"
        for result in results
        if not result.passed and result.summary != NOT_REACHED and result.name not in given
    }


def _phase(kind: type[drill_phases.DrillPhase]) -> drill_phases.DrillPhase:
    return next(phase for phase in drills.PHASES if isinstance(phase, kind))


def _copy(source: Path, target: Path) -> None:
    subprocess.run(["cp", "-aT", "--", str(source), str(target)], check=True)
