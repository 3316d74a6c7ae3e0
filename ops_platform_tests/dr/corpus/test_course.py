"""What goes wrong around a restore: sets of others, targets out of reach, things that vanish or die."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import unquote

import psutil
import pytest

from ops_platform.backup.wal import format_lsn, parse_lsn
from ops_platform.clients.waiting import wait_until
from ops_platform.dr.plan.recovery_target import RecoveryTarget
from ops_platform.dr.plan.scenario import Plan
from ops_platform.dr.restore import scratch_cluster as scratch
from ops_platform_tests.dr.corpus.lab import Lab, at_restore, failing, wrong
from ops_platform_tests.dr.corpus.restored_copy import Copy, RestoredOnce
from ops_platform_tests.dr.corpus.twin import Recipe, Twin, recover_onto_next_timeline
from ops_platform_tests.services import Services

pytestmark = pytest.mark.full

NEVER_UP = {"rto_within_target", "rpo_within_target"}
"""Cannot be measured when it never took traffic."""


def next_timeline(twin: Twin) -> None:
    recover_onto_next_timeline(twin.cluster)


# --- the repository is not this source's ----------------------------------------------------------------


def test_a_set_of_another_cluster_with_the_same_content(lab: Lab, services: Services) -> None:
    """A dump and reload of the source: every row and object is right, and still it is not the source."""
    other = services.cluster(lab.site.name, archive=False, databases=False)
    dump = [other.programs.path("pg_dumpall"), f"--dbname={lab.site.cluster.superuser_dsn()}"]
    load = [other.programs.path("psql"), "--quiet", f"--dbname={other.superuser_dsn()}"]
    text = subprocess.run(dump, check=True, capture_output=True).stdout
    subprocess.run(load, check=True, input=text, capture_output=True)
    other.stop()
    with lab.backed_up(Recipe(base=other.data_dir, alive=next_timeline)) as (_, ctx), lab.source_untouched():
        outcome = lab.exercise(ctx)
        assert outcome.result == "failed"
        found = wrong(outcome)
        assert [name for name, said in found.items() if said.startswith("fail")] == ["system_identifier"], (
            found
        )
        # Its tables are others of the same name: how many rows they can have, nobody knows. The references
        # are of the source's own history: of this one, which branched off before them, there is none.
        assert set(found) == {"system_identifier", "closed_rows", "live_tables"}, found


# --- targets out of reach -------------------------------------------------------------------------------


def to(target: RecoveryTarget) -> Callable[[Plan], Plan]:
    return lambda plan: replace(plan, target=target)


OUT_OF_REACH = {
    "time": RecoveryTarget.at(datetime.now(UTC) + timedelta(days=1)),
    "lsn": RecoveryTarget("lsn", "FF/FF000000"),
    "name": RecoveryTarget("name", "nobody made it"),
    "xid": RecoveryTarget("xid", "2000000000"),
}


@pytest.mark.parametrize("kind", OUT_OF_REACH)
def test_a_target_after_the_end(lab: Lab, kind: str) -> None:
    with lab.copied() as (_, ctx), lab.source_untouched():
        found = failing(lab.rehearse(ctx, to(OUT_OF_REACH[kind])))
        assert set(found) == {"recovered_and_promoted"}, found


def test_a_target_before_the_first_set(lab: Lab) -> None:
    early = RecoveryTarget.at(datetime.now(UTC) - timedelta(days=400))
    with lab.copied() as (_, ctx), lab.source_untouched():
        found = failing(lab.rehearse(ctx, to(early)))
        assert found["recovery_target"] == "fail", found
        # Of that time there is no reference either.
        assert set(found) <= {"recovery_target", "closed_rows", "live_tables"}, found


def test_a_target_within_reach(lab: Lab) -> None:
    """The same pipeline passes where there is something to stop at."""
    reached = {"immediate": RecoveryTarget("immediate"), "name": RecoveryTarget("name", "corpus")}

    def after(twin: Twin) -> None:
        with twin.cluster.superuser("product") as superuser:
            row = superuser.execute(
                "SELECT pg_create_restore_point('corpus')::text, pg_current_xact_id()::text, "
                "clock_timestamp()"
            ).fetchone()
        assert row is not None
        assert isinstance(row[2], datetime)
        reached["lsn"] = RecoveryTarget("lsn", format_lsn(parse_lsn(str(row[0]))))
        reached["xid"] = RecoveryTarget("xid", str(row[1]))
        reached["time"] = RecoveryTarget.at(row[2])
        twin.sql("UPDATE posts SET body = body")

    with lab.backed_up(Recipe(late=True, after=after)) as (_, ctx), lab.source_untouched():
        for kind, target in reached.items():
            assert failing(lab.rehearse(ctx, to(target))) == {}, kind


# --- things that vanish or die --------------------------------------------------------------------------


def test_expired_during_the_restore(lab: Lab) -> None:
    with lab.copied() as (copy, ctx), lab.source_untouched():

        def expire() -> None:
            copy.delete(*copy.matching(r"/backup/[^/]+/\d{8}-\d{6}"))

        outcome = lab.exercise(ctx, log=at_restore(expire))
        assert outcome.result == "failed"
        assert set(wrong(outcome)) - NEVER_UP == {"restored"}, wrong(outcome)


@contextmanager
def killer(lab: Lab, program: str, *words: str) -> Iterator[list[int]]:
    """Kill -9 for the first process of a scratch cluster that is ``program`` with ``words``."""
    root, over, killed = str(scratch.scratch_root(lab.site.settings)), threading.Event(), list[int]()

    def named() -> Iterator[psutil.Process]:
        # A program may live for no more than some 50 ms: of each process only the name is read.
        for directory in Path("/proc").iterdir():
            with suppress(OSError, psutil.NoSuchProcess):
                if directory.name.isdigit() and (directory / "comm").read_text() == f"{program}\n":
                    yield psutil.Process(int(directory.name))

    def watch() -> None:
        while not over.wait(0.001) and not killed:
            for process in named():
                with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                    # A connection string quotes the directory of the socket.
                    line = unquote(" ".join(process.cmdline()))
                    ours = root in line or process.cwd().startswith(root)
                    if ours and all(word in line for word in words):
                        process.kill()
                        killed.append(process.pid)
                        break

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield killed
    finally:
        over.set()
        thread.join()


@pytest.mark.parametrize(
    ("program", "words", "named"),
    [
        ("pgbackrest", ("restore",), {"restored"}),
        ("postgres", ("config_file",), {"recovered_and_promoted"}),
        ("postgres", ("startup",), {"recovered_and_promoted"}),
    ],
)
def test_a_killed_process(lab: Lab, program: str, words: tuple[str, ...], named: set[str]) -> None:
    with lab.copied() as (_, ctx), lab.source_untouched():
        with killer(lab, program, *words) as killed:
            outcome = lab.exercise(ctx, "integrity")
        assert killed
        assert outcome.result != "success"
        assert set(wrong(outcome)) - NEVER_UP == named, wrong(outcome)


@pytest.mark.parametrize(
    ("program", "named"),
    [("pg_dump", "pg_dump"), ("pg_amcheck", "amcheck"), ("pg_checksums", "page_checksums")],
)
def test_a_killed_check(lab: Lab, once: RestoredOnce, program: str, named: str) -> None:
    def large(copy: Copy) -> None:
        # Pages that nobody wrote; without them pg_checksums is over before it is seen.
        file = copy.server.data_dir / "base" / "1" / "999999"
        file.touch()
        os.truncate(file, 1 << 30)
        lab.site.cluster.account.own(file)

    with killer(lab, program) as killed:
        found = once.judge(dead=large)
    assert killed
    assert set(found) == {named}, found


@pytest.fixture
def small_disk(lab: Lab) -> Iterator[Path]:
    """The scratch directory on a file system that the restored cluster just does not fill."""
    root = scratch.scratch_root(lab.site.settings)
    root.mkdir(exist_ok=True)
    size = f"size={SMALL_DISK_MB}m"
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(root)], capture_output=True)
    if mounted.returncode:
        pytest.skip("this user cannot mount a file system")
    lab.site.cluster.account.own(root)
    yield root
    subprocess.run(["umount", str(root)], check=True)


SMALL_DISK_MB = 400


def test_a_disk_that_is_too_small(lab: Lab, small_disk: Path) -> None:
    (small_disk / "filler").write_bytes(bytes((SMALL_DISK_MB - 20) << 20))
    with lab.copied() as (_, ctx), lab.source_untouched():
        try:
            outcome = lab.exercise(ctx, left=("filler",))
        finally:
            (small_disk / "filler").unlink()
        assert outcome.result == "failed"
        assert set(wrong(outcome)) - NEVER_UP == {"backup_selected"}, wrong(outcome)


def test_a_disk_that_fills_up(lab: Lab, small_disk: Path) -> None:
    filler = small_disk / "filler"

    def fill() -> None:
        free = os.statvfs(small_disk)
        filler.write_bytes(bytes(free.f_bavail * free.f_frsize - (8 << 20)))

    with lab.copied() as (_, ctx), lab.source_untouched():
        try:
            outcome = lab.exercise(ctx, log=at_restore(fill), left=("filler",))
        finally:
            filler.unlink(missing_ok=True)
        assert outcome.result == "failed"
        assert set(wrong(outcome)) - NEVER_UP == {"restored"}, wrong(outcome)


def test_a_heartbeat_that_stopped(lab: Lab) -> None:
    """What the ops database has of the last minutes is kept aside: the agent was not running then."""
    with lab.copied() as (_, ctx), lab.source_untouched():
        with lab.site.database.superuser() as ops:
            ops.execute(
                "CREATE TABLE aside AS SELECT * FROM heartbeat_positions "
                "WHERE beat_at > (SELECT min(beat_at) FROM heartbeat_positions) + interval '1 second'"
            )
            ops.execute(
                "DELETE FROM heartbeat_positions WHERE (stanza, beat_at) IN "
                "(SELECT stanza, beat_at FROM aside)"
            )
        try:
            wait_until(lambda: lab.age_of_newest_beat() > 61, 90, "the heartbeat is stale", interval=1.0)
            outcome = lab.exercise_as_it_is(ctx, "latest")
        finally:
            with lab.site.database.superuser() as ops:
                ops.execute("INSERT INTO heartbeat_positions SELECT * FROM aside")
                ops.execute("DROP TABLE aside")
        assert outcome.result == "partial"
        assert set(wrong(outcome)) == {"rpo_within_target"}, wrong(outcome)
