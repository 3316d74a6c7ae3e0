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
from pathlib import Path
from typing import Any
from uuid import uuid4

from ops_platform.backup import heartbeat, pgbackrest_conf
from ops_platform.backup.context import BackupContext
from ops_platform.backup.pgbackrest_conf import PgBackRestPaths
from ops_platform.clients import object_store, postgres
from ops_platform.clients.waiting import wait_until
from ops_platform.dr import exercise, scratch
from ops_platform.dr.damage import RepositoryObjects
from ops_platform.dr.ladder import NOT_REACHED
from ops_platform.dr.report import ExerciseRequest, Outcome
from ops_platform.local import ports
from ops_platform.local.postgres_cluster import PostgresCluster
from ops_platform_tests.backup.conftest import Site, silent
from ops_platform_tests.dr.conftest import strike
from ops_platform_tests.services import state_dir

Log = Callable[[str], None]

# The corpus is about damage, not about promises: a twin's heartbeats are as old as the twin.
DAY_MS = 24 * 3600 * 1000


@dataclass(frozen=True)
class Twin:
    """``context`` makes its backups: pgBackRest's configuration, prefix and options are its own."""

    cluster: PostgresCluster
    context: BackupContext
    heap: Path
    """The file of one table of the product."""

    def sql(self, *statements: str, database: str = "product") -> None:
        with self.cluster.superuser(database) as superuser:
            for statement in statements:
                superuser.execute(statement)

    def program(self, name: str, *arguments: str) -> None:
        """One of PostgreSQL's own, on the data directory, while the server is stopped."""
        subprocess.run(
            [self.cluster.programs.path(name), *arguments, f"--pgdata={self.cluster.data_dir}"],
            check=True,
            capture_output=True,
            cwd="/",
            env=self.cluster.process_environment(),
            **self.cluster.account.subprocess_arguments(),
        )

    def backup(self, kind: str) -> str:
        return self.context.pgbackrest.backup(kind, {}, silent, silent)

    def archive_now(self) -> None:
        """Switch WAL and wait until all of it is in the repository."""
        with self.cluster.superuser() as superuser:
            row = superuser.execute("SELECT pg_walfile_name(pg_switch_wal())").fetchone()
            assert row is not None
            name = str(row[0])

            def archived() -> bool:
                last = superuser.execute("SELECT last_archived_wal FROM pg_stat_archiver").fetchone()
                return bool(last and last[0] and str(last[0])[:24] >= name)

            wait_until(archived, 60, f"{name} is archived", interval=0.05)


def nothing(twin: Twin) -> None:
    """No change."""


@dataclass(frozen=True)
class Recipe:
    """How a twin becomes a backup. ``chain``: sets in order; each but the first after ``between``."""

    dead: Callable[[Twin], None] = nothing
    """Done to the data directory before the server starts."""
    alive: Callable[[Twin], None] = nothing
    """Done before the first set."""
    between: Callable[[Twin], None] = nothing
    after: Callable[[Twin], None] = nothing
    """Done behind the last set: only WAL brings it."""
    stanza: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the stanza: compression, bundle, encryption, process_max."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """Of the server."""
    chain: Sequence[str] = ("full",)
    beats: int = 1
    """Heartbeats behind the last set."""


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

    @property
    def store(self) -> object_store.ObjectStore:
        return object_store.from_settings(self.site.settings, "backup")

    @property
    def original(self) -> RepositoryObjects:
        """The source's repository. Nobody damages it."""
        path = self.site.context.config.repository.path
        return RepositoryObjects(self.store, path.lstrip("/"), self.site.name)

    @contextmanager
    def copied(self) -> Iterator[tuple[RepositoryObjects, BackupContext]]:
        """A copy of the source's repository, and the stanza that has it for its repository."""
        copy = self.original.copy_to(self._prefix())
        try:
            yield copy, pointed(self.site.context, copy.prefix)
        finally:
            copy.remove()

    @contextmanager
    def backed_up(self, recipe: Recipe) -> Iterator[tuple[RepositoryObjects, BackupContext]]:
        """The repository of a twin made by ``recipe``; the twin itself is gone by then."""
        prefix = self._prefix()
        objects = RepositoryObjects(self.store, prefix, self.site.name)
        seen = pointed(replace_stanza(self.site.context, recipe.stanza), prefix)
        with postgres.session(self.site.context.ops_url) as ops:
            try:
                self._make(recipe, seen, prefix, ops)
                yield objects, seen
            finally:
                # Another twin would be asked for the heartbeats of this one.
                ops.execute("DELETE FROM heartbeat_positions WHERE timeline > 1")
                ops.commit()
                objects.remove()

    def _make(self, recipe: Recipe, seen: BackupContext, prefix: str, ops: postgres.Connection) -> None:
        twin = self._twin(recipe, seen, prefix)
        cluster = twin.cluster
        try:
            recipe.dead(twin)
            cluster.start()
            twin.context.pgbackrest.stanza_create()
            recipe.alive(twin)
            for number, kind in enumerate(recipe.chain):
                if number:
                    recipe.between(twin)
                twin.backup(kind)
            with as_agent(cluster) as product:
                for number in range(recipe.beats):
                    if number:
                        wait_a_second()
                    heartbeat.beat(product, ops, self.site.name)
            recipe.after(twin)
            twin.archive_now()
        finally:
            cluster.kill()
            subprocess.run(["rm", "-rf", "--", str(cluster.data_dir.parent)], check=True)

    def _twin(self, recipe: Recipe, seen: BackupContext, prefix: str) -> Twin:
        source = self.site.cluster
        home = self.root / prefix.rpartition("/")[2]
        home.mkdir(mode=0o755)
        source.account.own(home)
        subprocess.run(["cp", "-a", "--", str(self.base), str(home / "data")], check=True)
        paths = PgBackRestPaths.below(home / "pgbackrest")
        port = ports.free_ports(1)[0]
        cluster = replace(
            source,
            data_dir=home / "data",
            socket_dir=home,
            port=port,
            archive_config=paths.config_file,
            log_file=home / "postgres.log",
            settings={**source.settings, **recipe.settings},
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
        self,
        ctx: BackupContext,
        scenario: str = "latest",
        log: Log = silent,
        progress: Callable[[float], None] = silent,
    ) -> Outcome:
        """The whole pipeline, with its records; the source has a fresh heartbeat."""
        strike(self.site)
        return self.exercise_as_it_is(ctx, scenario, log, progress)

    def exercise_as_it_is(
        self, ctx: BackupContext, scenario: str, log: Log = silent, progress: Callable[[float], None] = silent
    ) -> Outcome:
        run = str(uuid4())
        request = ExerciseRequest("manual", self.site.name, scenario, run, run, 1_800_000, DAY_MS)
        outcome = exercise.run(ctx, request, log, progress)
        assert list(scratch.scratch_root(self.site.settings).iterdir()) == []
        return outcome

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


def wait_a_second() -> None:
    since = datetime.now(UTC)
    wait_until(lambda: (datetime.now(UTC) - since).total_seconds() > 1.1, 5, "a second passes")


def as_agent(cluster: PostgresCluster) -> postgres.Connection:
    return postgres.connect(cluster.url("ops_agent"), application="corpus")


def wrong(outcome: Outcome) -> dict[str, str]:
    """Every answer that is no pass, but those that were never reached, which follow from another."""
    return {
        one.name: f"{one.result}: {one.summary}"
        for one in outcome.verifications
        if not one.passed and one.summary != NOT_REACHED
    }


def make_base(cluster: PostgresCluster, base: Path) -> None:
    """A cold copy of the source, recovered onto a timeline of its own, stopped."""
    cluster.stop()
    subprocess.run(["cp", "-a", "--", str(cluster.data_dir), str(base)], check=True)
    cluster.start()
    twin = replace(
        cluster,
        data_dir=base,
        socket_dir=base.parent,
        port=ports.free_ports(1)[0],
        archive_config=None,
        log_file=base.parent / "base.log",
        settings={**cluster.settings, "restore_command": "/bin/false"},
    )
    twin.configure()
    signal = base / "recovery.signal"
    signal.touch()
    cluster.account.own(signal)
    twin.start()

    def promoted() -> bool:
        with twin.superuser() as superuser:
            row = superuser.execute("SELECT NOT pg_is_in_recovery()").fetchone()
        return bool(row and row[0])

    wait_until(promoted, 60, "the twin is promoted", interval=0.05)
    twin.stop()


def lab_root(site: Site) -> Path:
    root = state_dir(site.cluster) / "lab"
    root.mkdir(mode=0o755)
    site.cluster.account.own(root)
    return root
