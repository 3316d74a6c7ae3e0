"""A twin: the source's cluster as it once was, on a timeline of its own, with backups of its own.

How it becomes a backup is a ``Recipe``; whose repository that is, and what is asked of it, is in ``lab``.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ops_platform.backup.stanza.context import BackupContext
from ops_platform.clients.waiting import wait_until
from ops_platform.local.servers.postgres_cluster import PostgresCluster
from ops_platform_tests.backup.site import silent
from ops_platform_tests.ports import free_ports


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

    def archive_histories(self) -> None:
        """Let the archiver take them before the next segment, as it does where one archives all along.

        Without the history of its timeline nobody knows that the twin descends from the source.
        """
        for history in (self.cluster.data_dir / "pg_wal").glob("*.history"):
            ready = history.parent / "archive_status" / f"{history.name}.ready"
            ready.touch()
            self.cluster.account.own(ready)

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

    base: Path | None = None
    """A data directory of another cluster, in the place of the source's."""
    dead: Callable[[Twin], None] = nothing
    """Done to the data directory before the server starts."""
    alive: Callable[[Twin], None] = nothing
    """Done before the first set."""
    between: Callable[[Twin], None] = nothing
    after_set: Callable[[Twin], None] = nothing
    """Done behind the last set, before the heartbeats: only WAL brings it."""
    after: Callable[[Twin], None] = nothing
    """Done behind the last heartbeat."""
    stanza: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the stanza: compression, bundle, encryption, process_max."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """Of the server."""
    chain: Sequence[str] = ("full",)
    beats: int = 1
    """Heartbeats behind the last set."""
    late: bool = False
    """The first heartbeat comes so late that it can be a target in time."""


def together(recipes: Sequence[Recipe], chain: Sequence[str] | None = None) -> Recipe:
    """All that several recipes do, in their order, in one; they must have the same beats and base.

    Their chains must be the same, or each a part of ``chain`` without anything in between. One of them at
    most may change how a set is stored, or nobody would have stored what another one means.
    """
    first = recipes[0]
    chain = first.chain if chain is None else chain
    assert {(one.base, one.beats, one.late) for one in recipes} == {(first.base, first.beats, first.late)}
    for one in recipes:
        parts = (tuple(chain[at : at + len(one.chain)]) for at in range(len(chain)))
        assert tuple(one.chain) in parts, f"{one.chain} is no part of {chain}"
    stored = [one.stanza.keys() & {"compression", "bundle", "encryption"} for one in recipes]
    assert len([changed for changed in stored if changed]) <= 1, f"together nobody stores each of {stored}"

    def steps(name: str) -> Callable[[Twin], None]:
        every = list(dict.fromkeys(getattr(one, name) for one in recipes))

        def take(twin: Twin) -> None:
            for step in every:
                step(twin)

        return take

    def united(name: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in ((key, value) for one in recipes for key, value in getattr(one, name).items()):
            assert found.setdefault(key, value) == value, f"two want another {key}"
        return found

    return replace(
        first,
        chain=chain,
        stanza=united("stanza"),
        settings=united("settings"),
        dead=steps("dead"),
        alive=steps("alive"),
        between=steps("between"),
        after_set=steps("after_set"),
        after=steps("after"),
    )


def wait(seconds: float) -> None:
    """Heartbeats and the ends of sets are told apart by the clock alone."""
    since = time.monotonic()
    wait_until(lambda: time.monotonic() - since > seconds, seconds + 5, f"{seconds} s pass")


def make_base(cluster: PostgresCluster, base: Path) -> None:
    """A cold copy of the source, recovered onto a timeline of its own, stopped."""
    cluster.stop()
    subprocess.run(["cp", "-a", "--", str(cluster.data_dir), str(base)], check=True)
    cluster.start()
    twin = replace(
        cluster,
        data_dir=base,
        socket_dir=base.parent,
        port=free_ports(1)[0],
        archive_config=None,
        log_file=base.parent / "base.log",
        settings={**cluster.settings, "restore_command": "/bin/false"},
    )
    twin.configure()
    recover_onto_next_timeline(twin)
    twin.stop()


def recover_onto_next_timeline(cluster: PostgresCluster) -> None:
    """Stop the cluster if it runs, and start it as one that was promoted."""
    cluster.stop()
    signal = cluster.data_dir / "recovery.signal"
    signal.touch()
    cluster.account.own(signal)
    cluster.start()

    def promoted() -> bool:
        with cluster.superuser() as superuser:
            row = superuser.execute("SELECT NOT pg_is_in_recovery()").fetchone()
        return bool(row and row[0])

    wait_until(promoted, 60, "the twin is promoted", interval=0.05)
