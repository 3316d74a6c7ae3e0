"""Restores in place, once and twice: which rows each target gives, in an emergency and in an exercise.

The choice alone, for every kind of target, is in ``plan/test_timeline_choice.py``.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest

from ops_platform.backup.monitoring.observation import observe
from ops_platform.backup.monitoring.status import stanza_status
from ops_platform.backup.wal import format_lsn
from ops_platform.clients.postgres import connection as postgres
from ops_platform.dr.emergency import judgement, restore_command
from ops_platform.dr.exercise import ExerciseRequest, runner
from ops_platform.dr.inspection.check_result import Check
from ops_platform.dr.plan.recovery_target import RecoveryTarget
from ops_platform.dr.plan.scenario import Plan
from ops_platform.dr.restore.restored_server import RestoredServer
from ops_platform.dr.verification import suite
from ops_platform.errors import CheckFailed
from ops_platform_tests.backup.site import Site, silent, take
from ops_platform_tests.dr.practice import NoQuestions, archive_now, make_demo_site, strike

pytestmark = [pytest.mark.services, pytest.mark.full, pytest.mark.timeout(900)]

LATEST = RecoveryTarget.latest()


@dataclass(frozen=True)
class Reading(NoQuestions):
    """Asks nothing, and reads the notes of the restored cluster."""

    notes: list[str] = field(default_factory=list)

    def critical(self, server: RestoredServer, plan: Plan, moment: datetime) -> list[Check]:
        with server.connect("product") as connection:
            self.notes.extend(row["note"] for row in connection.execute("SELECT note FROM notes ORDER BY 1"))
        return []


@dataclass
class Product:
    """A cluster whose table ``notes`` says what happened to it; ``at``: a moment behind each note."""

    site: Site
    place: Path
    at: dict[str, datetime] = field(default_factory=dict)
    lsn: dict[str, str] = field(default_factory=dict)

    def write(self, note: str) -> None:
        """Commit a note between heartbeats, and wait until it is archived."""
        strike(self.site, 1)
        with postgres.connect(self.site.cluster.url("product_owner")) as connection:
            connection.execute("INSERT INTO notes VALUES (%s)", (note,))
            connection.commit()
            row = connection.execute("SELECT pg_current_wal_insert_lsn()::text AS lsn").fetchone()
            assert row is not None
            self.lsn[note] = row["lsn"]
        [_, self.at[note], _] = strike(self.site, 3)
        archive_now(self.site)

    def restored(self, target: RecoveryTarget, timeline: str | None = None) -> str:
        """The notes that a restore beside the cluster gives."""
        directory = self.place / uuid4().hex
        notes = self._restore(directory, target, timeline)
        shutil.rmtree(directory)
        return notes

    def restore_in_place(self, target: RecoveryTarget, timeline: str | None = None) -> str:
        data = self.site.cluster.data_dir
        self.site.cluster.stop()
        data.rename(self.place / f"before-{uuid4().hex}")
        notes = self._restore(data, target, timeline)
        self.site.cluster.start()
        return notes

    def _restore(self, directory: Path, target: RecoveryTarget, timeline: str | None) -> str:
        t0, reading = datetime.now(UTC), Reading()
        with restore_command.open_workspace(self.site.context, directory) as here:
            told = restore_command.explain(self.site.context, here, target, None, t0, timeline)
            known = replace(judgement.knowledge(self.site.context, told, silent), checks=reading)
            done = restore_command.carry_out(self.site.context, here, known, t0, print, silent)
        bad = {one.name: one.summary for one in done.results if one.result == "fail"}
        assert bad == {}
        assert done.rto_seconds is not None
        return "".join(reading.notes)

    def refusal(self, target: RecoveryTarget) -> str:
        with pytest.raises(CheckFailed) as error:
            self.restored(target)
        return str(error.value)

    def exercise(self, scenario: str) -> None:
        strike(self.site, 2)
        archive_now(self.site)
        run = str(uuid4())
        request = ExerciseRequest("manual", self.site.name, scenario, run, run, 1_800_000, 900_000)
        outcome = runner.run(self.site.context, request, print, silent)
        failed = {one.name: one.summary for one in outcome.verifications if one.result == "fail"}
        assert failed == {}
        assert outcome.rto_ms is not None


@pytest.fixture(scope="module")
def product(make_site: Callable[..., Site]) -> Iterator[Product]:
    site = make_demo_site(make_site)
    # On the cluster's file system: its directory is moved there, and another temporary one may be elsewhere.
    place = site.settings.state_dir / "restored"
    site.cluster.account.directory(place)
    with postgres.connect(site.cluster.url("product_owner")) as connection:
        connection.execute("CREATE TABLE notes (note text)")
        connection.commit()
    suite.refresh(site.context)
    take(site, "full")
    strike(site, 4)  # a set serves targets from two seconds behind its end on
    yield Product(site, place)
    site.cluster.stop()
    shutil.rmtree(place)


def lsn_of(product: Product, note: str) -> RecoveryTarget:
    return RecoveryTarget.parse("lsn", product.lsn[note])


def test_what_a_restore_left_behind_is_never_chosen_silently(product: Product) -> None:
    product.write("A")
    product.write("B")
    take(product.site, "incremental")
    product.write("C")
    assert product.restored(LATEST) == "ABC"
    assert product.restored(lsn_of(product, "B")) == "AB"

    assert product.restore_in_place(RecoveryTarget.at(product.at["A"])) == "A"
    product.write("D")
    product.write("E")

    # Before the first new set.
    assert product.restored(LATEST) == "ADE"
    assert product.restored(LATEST, "1") == "ABC"
    assert product.restored(RecoveryTarget.at(product.at["D"])) == "AD"
    assert "--timeline 1 for what was written at that time" in product.refusal(
        RecoveryTarget.at(product.at["B"])
    )
    assert product.restored(RecoveryTarget.at(product.at["B"]), "1") == "AB"
    assert product.restored(lsn_of(product, "D"), "latest") == "AD"
    assert "is also one of timeline 1" in product.refusal(lsn_of(product, "B"))
    assert product.restored(lsn_of(product, "B"), "1") == "AB"
    told = stanza_status(product.site.context)
    assert [(one["kind"], one["timeline"], one["abandoned"]) for one in told["sets"]] == [
        ("full", 1, False),
        ("incremental", 1, True),
    ]
    assert told["archive"]["timeline"] == 2
    assert told["wal_gap_segments"] == 0
    for scenario in ("latest", "pitr", "integrity"):
        product.exercise(scenario)

    # After it; it builds on the abandoned one.
    take(product.site, "incremental")
    product.write("F")
    assert product.restored(LATEST) == "ADEF"
    assert product.restored(RecoveryTarget.at(product.at["E"])) == "ADE"
    product.exercise("latest")


def test_of_three_timelines_the_newest_lives(product: Product) -> None:
    assert product.restore_in_place(RecoveryTarget.at(product.at["D"]), "latest") == "AD"
    product.write("G")
    seen = observe(product.site.context)
    assert seen.archive is not None
    assert seen.archive.lineage.living == 3
    assert seen.best is not None
    assert seen.best[0].kind == "full"
    assert product.restored(LATEST) == "ADG"
    assert product.restored(LATEST, "2") == "ADEF"
    assert product.restored(LATEST, "1") == "ABC"
    assert "--timeline 2 for what was written at that time" in product.refusal(
        RecoveryTarget.at(product.at["E"])
    )
    product.exercise("latest")
    take(product.site, "full")
    product.write("H")
    assert product.restored(LATEST) == "ADGH"
    branch = seen.archive.lineage.history().left[-1][1]
    target = RecoveryTarget.parse("lsn", format_lsn(branch))
    assert "is also one of timeline 1" in product.refusal(target)
    assert product.restored(target, "latest") == "AD"
