"""A real server whose archiving is set up wrongly in several ways: red each time, green again after."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest

from ops_platform.agent.metrics import ArchivingState
from ops_platform.backup.monitoring import ArchiveEnd, Observer, archiver, health, observe
from ops_platform.backup.monitoring.verdict import Verdict
from ops_platform.backup.wal import format_lsn
from ops_platform.clients.child_process import Launcher
from ops_platform.clients.postgres import connection as postgres
from ops_platform.clients.waiting import wait_until
from ops_platform.dr.plan import RecoveryTarget, restore_plan
from ops_platform.errors import CheckFailed
from ops_platform.local.servers.object_store_server import ObjectStoreServer
from ops_platform_tests.backup.shapes import GEOMETRY
from ops_platform_tests.backup.site import Site, take

pytestmark = [pytest.mark.services, pytest.mark.full]


@pytest.fixture(scope="module")
def archiving(make_site: Callable[..., Site]) -> Site:
    """A site of its own: what its server reports as archived is partly lost."""
    site = make_site()
    take(site, "full")
    return site


@pytest.fixture
def command(archiving: Site) -> Iterator[Callable[[str | None], None]]:
    """Give the server another archive_command; its own comes back afterwards."""

    def change(text: str | None) -> None:
        with archiving.cluster.superuser() as superuser:
            if text is None:
                superuser.execute("ALTER SYSTEM RESET archive_command")
            else:
                superuser.execute(f"ALTER SYSTEM SET archive_command = '{text}'")
            superuser.execute("SELECT pg_reload_conf()")

    yield change
    change(None)


def archive_one(site: Site) -> str:
    """Fill a segment with something and wait until the server calls it archived."""
    with site.cluster.superuser() as superuser:
        superuser.execute("SELECT pg_create_restore_point('archived')")
        row = superuser.execute("SELECT pg_walfile_name(pg_switch_wal())").fetchone()
    assert row is not None
    name = str(row[0])
    wait_until(lambda: (asked(site).last_archived_wal or "")[:24] >= name, 30, "the segment is archived")
    return name


def asked(site: Site) -> archiver.Archiver:
    with postgres.session(site.cluster.url("ops_agent")) as connection:
        return archiver.read(connection)


def agent_sees(site: Site, kept: Observer | None = None) -> set[str]:
    """The faults that the agent's two loops find, one round of each after the other.

    ``kept``: the agent's observer, which has listed the archive before.
    """
    state = ArchivingState(60)
    state.server_seen(asked(site))
    said = archiver.written(state.archiver.get(), datetime.now(UTC))
    named = asked(site).last_archived_wal
    seen = (kept or Observer(site.context)).look(written=said, arrived=named).archive
    assert seen is not None
    state.archive_seen(ArchiveEnd.whole(seen), state.archiver.get())
    state.server_seen(asked(site))
    found = {fault: present.get() for fault, present in state.faults.items()}
    assert None not in found.values()
    return {fault for fault, present in found.items() if present}


def judged(site: Site) -> Verdict:
    (verdict,) = (
        verdict
        for verdict in health.examine(site.context, datetime.now(UTC))
        if verdict.name == "archiver_healthy"
    )
    return verdict


@pytest.fixture(scope="module")
def of_module(archiving: Site) -> Observer:
    return Observer(archiving.context)


@pytest.fixture
def kept(archiving: Site, of_module: Observer) -> Observer:
    """The agent's observer, which has listed the archive and since then found what arrived without that."""
    archive_one(archiving)
    of_module.look(arrived=None)
    assert of_module.has_listed
    archive_one(archiving)
    assert agent_sees(archiving, of_module) == set()
    assert not of_module.has_listed
    return of_module


def test_a_server_that_archives_here_is_healthy(archiving: Site, kept: Observer) -> None:
    for _ in range(2):
        # What the server has archived since is found by the name that its bytes give, and is part of it all.
        archive_one(archiving)
        assert agent_sees(archiving, kept) == set()
        assert not kept.has_listed
    known, listed = kept.look(arrived=None), observe(archiving.context)
    assert known.from_oldest == listed.from_oldest
    assert judged(archiving).passed, judged(archiving).summary


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        pytest.param("/bin/true", {"discards", "elsewhere"}, id="stores nothing"),
        pytest.param("cp %p {elsewhere}/%f", {"elsewhere"}, id="archives elsewhere"),
        pytest.param("{own} --archive-push-queue-max=1", {"drops", "elsewhere"}, id="drops its queue"),
    ],
)
def test_a_success_that_is_a_loss_is_red_and_green_when_mended(
    archiving: Site, kept: Observer, command: Callable[[str | None], None], text: str, faults: set[str]
) -> None:
    elsewhere = archiving.cluster.data_dir.with_name("elsewhere")
    elsewhere.mkdir(exist_ok=True)
    archiving.cluster.account.own(elsewhere)
    command(text.format(elsewhere=elsewhere, own=archiving.cluster.archive_command()))
    lost = archive_one(archiving)
    assert not asked(archiving).failing
    assert agent_sees(archiving, kept) == faults
    assert kept.has_listed, "nothing but a listing says that something is not there"
    verdict = judged(archiving)
    assert not verdict.passed
    assert lost in verdict.summary
    command(None)
    archive_one(archiving)
    assert agent_sees(archiving, kept) == set()
    assert judged(archiving).passed, judged(archiving).summary


def test_archiving_that_is_off_is_red(archiving: Site) -> None:
    def restart(change: str) -> None:
        with archiving.cluster.superuser() as superuser:
            superuser.execute(change)
        archiving.cluster.stop()
        archiving.cluster.start()

    restart("ALTER SYSTEM SET archive_mode = off")
    try:
        assert "off" in agent_sees(archiving)
        assert "archive_mode is off: set it to on" in judged(archiving).summary
    finally:
        restart("ALTER SYSTEM RESET archive_mode")
    archive_one(archiving)
    assert agent_sees(archiving) == set()


@pytest.mark.parametrize("damage", ["two objects", "truncated", "empty", "misnamed"])
def test_an_object_that_recovery_cannot_use_is_named_and_missing(
    archiving: Site, object_store: ObjectStoreServer, damage: str
) -> None:
    name = archive_one(archiving)
    archive_one(archiving)
    client, bucket = object_store.client("backup"), object_store.bucket("backup")
    current = archiving.repository().current
    assert current is not None
    prefix = f"pgbackrest/archive/{archiving.name}/{current.archive_id}/{name[:16]}/{name}-"
    (entry,) = client.list_objects_v2(Bucket=bucket, Prefix=prefix)["Contents"]
    body = client.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read()
    other = prefix + "0" * (40 if damage == "two objects" else 39) + ".lz4"
    if damage in ("two objects", "misnamed"):
        client.put_object(Bucket=bucket, Key=other, Body=body)
    if damage == "misnamed":
        client.delete_object(Bucket=bucket, Key=entry["Key"])
    if damage in ("truncated", "empty"):
        client.put_object(Bucket=bucket, Key=entry["Key"], Body=body[:600] if damage == "truncated" else b"")

    def contiguous() -> Verdict:
        verdicts = health.examine(archiving.context, datetime.now(UTC))
        return next(verdict for verdict in verdicts if verdict.name == "archive_contiguous")

    spoilt = contiguous()
    client.delete_object(Bucket=bucket, Key=other)
    client.put_object(Bucket=bucket, Key=entry["Key"], Body=body)
    assert not spoilt.passed
    assert f"of no use: {name} (" in spoilt.summary
    assert name not in contiguous().summary


def test_another_cluster_that_archives_into_the_stanza_is_red(
    archiving: Site, object_store: ObjectStoreServer
) -> None:
    name = archive_one(archiving)
    client, bucket = object_store.client("backup"), object_store.bucket("backup")
    current = archiving.repository().current
    assert current is not None
    prefix = f"pgbackrest/archive/{archiving.name}/{current.archive_id}/{name[:16]}/{name}-"
    (entry,) = client.list_objects_v2(Bucket=bucket, Prefix=prefix)["Contents"]
    ahead = f"{int(name, 16) + 9:024X}"
    key = entry["Key"].replace(f"/{name}-", f"/{ahead}-")
    client.copy_object(Bucket=bucket, Key=key, CopySource={"Bucket": bucket, "Key": entry["Key"]})
    try:
        assert agent_sees(archiving) == {"foreign"}
        assert ahead in judged(archiving).summary
    finally:
        client.delete_object(Bucket=bucket, Key=key)
    assert judged(archiving).passed, judged(archiving).summary


def test_a_promoted_copy_that_archives_here_is_not_taken_for_the_cluster(
    archiving: Site, object_store: ObjectStoreServer
) -> None:
    """Its timeline has the highest number; the server goes on writing timeline 1."""
    name = archive_one(archiving)
    client, bucket = object_store.client("backup"), object_store.bucket("backup")
    current, pgbackrest = archiving.repository().current, archiving.context.pgbackrest
    assert current is not None
    history = archiving.cluster.data_dir.with_name("00000002.history")
    number = GEOMETRY.parse(name).number
    history.write_text(f"1\t{format_lsn(GEOMETRY.start(number) + 100)}\tno recovery target specified\n")
    archiving.cluster.account.own(history)
    pushed = Launcher(pgbackrest.run_as, pgbackrest.environment).run(
        [
            pgbackrest.binary,
            f"--config={pgbackrest.config_file}",
            f"--stanza={pgbackrest.stanza}",
            f"--pg1-path={archiving.cluster.data_dir}",
            "--no-archive-async",
            "archive-push",
            str(history),
        ]
    )
    assert pushed.code == 0, pushed.stderr
    base = f"pgbackrest/{pgbackrest.layout.archive(current.archive_id)}"
    (entry,) = client.list_objects_v2(Bucket=bucket, Prefix=f"{base}/{name[:16]}/{name}-")["Contents"]
    key = entry["Key"].replace("/00000001", "/00000002")
    client.copy_object(Bucket=bucket, Key=key, CopySource={"Bucket": bucket, "Key": entry["Key"]})
    try:
        seen = observe(archiving.context, written=archiver.written(asked(archiving), datetime.now(UTC)))
        assert seen.archive is not None
        assert seen.best is not None
        assert seen.archive.lineage.highest == 2
        assert seen.best[1].history.timeline == seen.archive.lineage.living == 1
        assert agent_sees(archiving) == {"foreign", "contested"}
        assert "timeline 2 was archived beside timeline 1" in judged(archiving).summary
        with pytest.raises(CheckFailed, match="say --timeline 1 or --timeline 2"):
            restore_plan.choose(seen, RecoveryTarget.latest(), None)
        assert restore_plan.choose(seen, RecoveryTarget.latest(), None, "1").state.history.timeline == 1
    finally:
        client.delete_object(Bucket=bucket, Key=key)
        client.delete_object(Bucket=bucket, Key=f"{base}/00000002.history")
    assert judged(archiving).passed, judged(archiving).summary
