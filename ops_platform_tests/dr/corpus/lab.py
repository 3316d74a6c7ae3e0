"""Where backups are broken: one healthy source, copies of its repository, and twins of its cluster.

A twin is the source's cluster as it once was, on a timeline of its own, and is backed up as the
source's stanza into a prefix of its own: what is done to a twin is in that backup alone, while the
source, and what is known of it, stay sound.
"""

from __future__ import annotations

import itertools
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from ops_platform.backup.monitoring import Observation, archiver, observe
from ops_platform.backup.recovery_point import heartbeat
from ops_platform.backup.stanza import pgbackrest_conf
from ops_platform.backup.stanza.context import BackupContext
from ops_platform.backup.stanza.pgbackrest_conf import PgBackRestPaths
from ops_platform.clients import object_store
from ops_platform.clients.postgres import connection as postgres
from ops_platform.dr.exercise import knowledge, runner
from ops_platform.dr.exercise.drill import rehearse
from ops_platform.dr.exercise.report import ExerciseRequest, Outcome
from ops_platform.dr.inspection.check_result import NOT_REACHED, Verification
from ops_platform.dr.plan.scenario import Plan
from ops_platform.dr.restore import scratch_cluster as scratch
from ops_platform.dr.restore import workspace
from ops_platform.dr.verification import suite as questions
from ops_platform_tests.backup.site import Site, silent
from ops_platform_tests.dr.corpus.damage import RepositoryObjects
from ops_platform_tests.dr.corpus.twin import Recipe, Twin, wait
from ops_platform_tests.dr.practice import strike
from ops_platform_tests.ports import free_ports
from ops_platform_tests.services import state_dir

Log = Callable[[str], None]

# The corpus is about damage, not about promises: a twin's heartbeats are as old as the twin.
DAY_MS = 24 * 3600 * 1000


@dataclass(frozen=True)
class State:
    """What an exercise must leave as it is."""

    failures: int
    beats: int
    postmaster: object
    control: Mapping[str, str]
    repository: Mapping[str, str]


@dataclass
class Lab:
    """``base``: the data directory that twins are copied from; nobody runs in it."""

    site: Site
    base: Path
    root: Path
    heap: str
    """A table's file, relative to the data directory."""
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _answers: dict[str, archiver.Archiver] = field(default_factory=dict)
    """Prefix of a twin's repository -> the twin's last word about its archiving."""

    @cached_property
    def store(self) -> object_store.ObjectStore:
        """One client for all: to make one takes as long as to copy half a repository."""
        return object_store.from_settings(self.site.settings, "backup")

    @property
    def original(self) -> RepositoryObjects:
        """The source's repository. Nobody damages it."""
        path = self.site.context.config.repository.path
        return RepositoryObjects(self.store, path.lstrip("/"), self.site.name)

    @contextmanager
    def copied(
        self, made: tuple[RepositoryObjects, BackupContext] | None = None
    ) -> Iterator[tuple[RepositoryObjects, BackupContext]]:
        """A copy of the source's repository, or of one ``made``, and the stanza that has it for its own."""
        original, seen = made or (self.original, self.site.context)
        copy = original.copy_to(self._prefix())
        if original.prefix in self._answers:
            self._answers[copy.prefix] = self._answers[original.prefix]
        try:
            with self._complete():
                yield copy, pointed(seen, copy.prefix)
        finally:
            copy.remove()

    @contextmanager
    def backed_up(self, recipe: Recipe) -> Iterator[tuple[RepositoryObjects, BackupContext]]:
        """The repository of a twin made by ``recipe``; the twin itself is gone by then."""
        prefix = self._prefix()
        objects = RepositoryObjects(self.store, prefix, self.site.name)
        seen = pointed(replace_stanza(self.site.context, recipe.stanza), prefix)
        try:
            self._answers[prefix] = self._make(recipe, seen, prefix)
            with self._complete():
                yield objects, seen
        finally:
            # Another twin would be asked for the heartbeats of this one.
            with self.site.database.superuser() as ops:
                ops.execute("DELETE FROM heartbeat_positions WHERE timeline > 1")
            objects.remove()

    @contextmanager
    def _complete(self) -> Iterator[None]:
        """Nobody archives to the repository any more, so that a gap in it is no segment in flight.

        Which timeline a twin's repository goes on with is the twin's to say: the source writes another.
        """
        ask = archiver.ask

        def ask_owner(ctx: BackupContext) -> archiver.Archiver | None:
            return self._answers.get(ctx.config.repository.path.lstrip("/")) or ask(ctx)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(knowledge, "IN_FLIGHT_SECONDS", 0.0)
            patch.setattr(archiver, "ask", ask_owner)
            yield

    def _make(self, recipe: Recipe, seen: BackupContext, prefix: str) -> archiver.Archiver:
        twin = self._twin(recipe, seen, prefix)
        cluster = twin.cluster
        try:
            recipe.dead(twin)
            cluster.start()
            twin.context.pgbackrest.stanza_create()
            twin.archive_histories()
            recipe.alive(twin)
            for number, kind in enumerate(recipe.chain):
                if number:
                    recipe.between(twin)
                twin.backup(kind)
            recipe.after_set(twin)
            if recipe.late:
                wait(3.1)
            with (
                postgres.session(cluster.superuser_dsn("product")) as product,
                postgres.session(self.site.database.url("ops_agent")) as ops,
            ):
                for number in range(recipe.beats):
                    if number:
                        wait(1.1)
                    heartbeat.record_heartbeat(product, ops, self.site.name)
            recipe.after(twin)
            twin.archive_now()
            with postgres.session(cluster.superuser_dsn("product")) as product:
                return archiver.read(product)
        finally:
            cluster.kill()
            # Its archiver works on by itself.
            scratch.end_processes(cluster.data_dir.parent)
            subprocess.run(["rm", "-rf", "--", str(cluster.data_dir.parent)], check=True)

    def _twin(self, recipe: Recipe, seen: BackupContext, prefix: str) -> Twin:
        source = self.site.cluster
        home = self.root / prefix.rpartition("/")[2]
        home.mkdir(mode=0o755)
        source.account.own(home)
        subprocess.run(["cp", "-a", "--", str(recipe.base or self.base), str(home / "data")], check=True)
        paths = PgBackRestPaths.below(home / "pgbackrest")
        port = free_ports(1)[0]
        cluster = replace(
            source,
            data_dir=home / "data",
            socket_dir=home,
            port=port,
            archive_config=paths.config_file,
            log_file=home / "postgres.log",
            settings={**source.settings, "restore_command": "/bin/false", **recipe.settings},
        )
        stanza = replace(seen.stanza, data_path=str(cluster.data_dir), socket_path=str(home), port=str(port))
        pgbackrest_conf.prepare_directories(paths, seen.settings.run_as)
        text = pgbackrest_conf.render(seen.settings, seen.config, paths, stanzas=[stanza])
        pgbackrest_conf.write(paths.config_file, text, seen.settings.run_as)
        cluster.configure()
        pgbackrest = replace(seen.pgbackrest, config_file=paths.config_file)
        return Twin(
            cluster,
            replace(seen, stanza=stanza, pgbackrest=pgbackrest, paths=paths),
            cluster.data_dir / self.heap,
        )

    def _prefix(self) -> str:
        return f"corpus/{self.site.name}-{next(self._numbers)}"

    # --- judging --------------------------------------------------------------------------------------

    def exercise(
        self, ctx: BackupContext, scenario: str = "latest", log: Log = silent, left: Sequence[str] = ()
    ) -> Outcome:
        """The whole pipeline, with its records; the source has a fresh heartbeat.

        ``left``: what may be in the scratch directory afterwards.
        """
        strike(self.site)
        return self.exercise_as_it_is(ctx, scenario, log, left)

    def exercise_as_it_is(
        self, ctx: BackupContext, scenario: str, log: Log = silent, left: Sequence[str] = ()
    ) -> Outcome:
        """The same with the heartbeat as it is."""
        run = str(uuid4())
        request = ExerciseRequest("manual", self.site.name, scenario, run, run, 1_800_000, DAY_MS)
        outcome = runner.run(ctx, request, log, silent)
        root = scratch.scratch_root(self.site.settings)
        assert [entry.name for entry in root.iterdir() if entry.name not in left] == []
        return outcome

    def rehearse(self, ctx: BackupContext, change: Callable[[Plan], Plan]) -> list[Verification]:
        """The restore and all its questions, with another plan than an exercise would make."""
        strike(self.site)
        asked = questions.prepare(ctx, "integrity", silent)
        t0 = datetime.now(UTC)
        known = knowledge.gather(ctx, "latest", t0, asked)
        changed = replace(known, plan=lambda reader: change(known.plan(reader)))
        with scratch.scratch(ctx.settings, "test:corpus", f"c{uuid4().hex[:6]}") as here:
            return rehearse(ctx, here, "integrity", changed, t0, silent, silent).results

    def look(self, ctx: BackupContext) -> Observation:
        """What the repository of ``ctx`` holds, read as an exercise does."""
        with scratch.scratch(ctx.settings, "test:corpus", f"l{uuid4().hex[:6]}") as here:
            return observe(workspace.open_reader(ctx, here))

    def age_of_newest_beat(self) -> float:
        """Seconds, by the ops database."""
        with self.site.database.superuser() as ops:
            row = ops.execute(
                "SELECT extract(epoch FROM now() - max(beat_at)) FROM heartbeat_positions"
            ).fetchone()
        assert row is not None
        return float(str(row[0]))

    @contextmanager
    def source_untouched(self) -> Iterator[None]:
        """The block changes neither the source nor its repository; both go on growing."""
        before = self._state()
        yield
        after = self._state()
        assert after.failures == before.failures
        assert after.beats >= before.beats
        assert after.postmaster == before.postmaster
        assert after.control == before.control
        kept = {key: after.repository.get(key) for key in before.repository}
        assert kept == before.repository

    def _state(self) -> State:
        cluster = self.site.cluster
        with cluster.superuser("product") as superuser:
            row = superuser.execute(
                "SELECT failed_count, (SELECT count(*) FROM ops_platform.heartbeats) FROM pg_stat_archiver"
            ).fetchone()
        assert row is not None
        control = cluster.control_data()
        fixed = ("Database system identifier", "Data page checksum version", "Latest checkpoint's TimeLineID")
        return State(
            int(str(row[0])),
            int(str(row[1])),
            cluster.postmaster(),
            {name: control[name] for name in fixed},
            self.original.etags(),
        )


def pointed(ctx: BackupContext, prefix: str) -> BackupContext:
    """The same stanza with another repository. Its own pgBackRest file is not changed."""
    repository = replace(ctx.config.repository, path=f"/{prefix}")
    return replace(ctx, config=replace(ctx.config, repository=repository))


def replace_stanza(ctx: BackupContext, fields: Mapping[str, Any]) -> BackupContext:
    stanza = replace(ctx.stanza, **fields)
    stanzas = {**ctx.config.stanzas, stanza.name: stanza}
    return replace(ctx, stanza=stanza, config=replace(ctx.config, stanzas=stanzas))


def wrong(outcome: Outcome) -> dict[str, str]:
    """Every answer that is no pass, but those that were never reached, which follow from another."""
    return {
        one.name: f"{one.result}: {one.summary}"
        for one in outcome.verifications
        if not one.passed and one.summary != NOT_REACHED
    }


def failing(answers: list[Verification]) -> dict[str, str]:
    return {one.name: one.result for one in answers if not one.passed and one.summary != NOT_REACHED}


RESTORING = "restoring set"


def at_restore(act: Callable[[], None]) -> Callable[[str], None]:
    """A log that acts when the set has been chosen and its restore begins."""

    def log(line: str) -> None:
        if line.startswith(RESTORING):
            act()

    return log


def lab_root(site: Site) -> Path:
    root = state_dir(site.cluster) / "lab"
    root.mkdir(mode=0o755)
    site.cluster.account.own(root)
    return root
