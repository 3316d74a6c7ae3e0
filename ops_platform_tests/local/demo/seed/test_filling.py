"""The seed on a real server: the same rows each time, whatever happened on the way."""

from __future__ import annotations

import lzma
import signal
import subprocess
import sys
import threading

import psycopg
import pytest
from psycopg import sql

from ops_platform.clients.object_store.bucket import ObjectStore
from ops_platform.clients.waiting import wait_until
from ops_platform.errors import ConfigurationError, Unavailable
from ops_platform.local.demo import people
from ops_platform.local.demo.seed.filling import seed
from ops_platform.local.demo.seed.media_objects import VERSIONED, VERSIONS, WITHDRAWN
from ops_platform.local.demo.seed.plan import BASE_TIME, CREATORS_WITH_OBJECTS, plan
from ops_platform.local.demo.seed.statements import steps
from ops_platform.local.servers.object_store_server import REGION, ObjectStoreServer
from ops_platform.settings import S3Identity
from ops_platform_tests.local.demo.databases import DemoDatabase, DemoDatabases

pytestmark = pytest.mark.services
SCALE = 0.02


@pytest.fixture(scope="session")
def seeded(demo_databases: DemoDatabases) -> DemoDatabase:
    """One undisturbed seed; tests only read it."""
    database = demo_databases.create()
    seed(database.owner_url, scale=SCALE)
    return database


def test_two_seeds_give_the_same_rows(seeded: DemoDatabase, demo_database: DemoDatabase) -> None:
    said: list[float] = []
    report = seed(demo_database.owner_url, scale=SCALE, progress=lambda name, done: said.append(done))
    assert demo_database.digests() == seeded.digests()
    assert said == sorted(said)
    assert said[-1] == 1
    assert set(report.rows) == {step.name for step in steps()}
    assert report.rows["usage_logs 01"] == plan(SCALE).rows("usage_logs") / 12


def test_a_second_seed_does_nothing(seeded: DemoDatabase) -> None:
    before = seeded.digests()
    for scale in (SCALE, None):
        report = seed(seeded.owner_url, scale=scale)
        assert report.steps_done == ()
        assert report.scale == SCALE
    assert seeded.digests() == before


def test_another_scale_is_refused(seeded: DemoDatabase) -> None:
    with pytest.raises(ConfigurationError, match=r"seeded at scale 0.02, not 0.03"):
        seed(seeded.owner_url, scale=0.03)


def test_databases_that_cannot_be_seeded_are_refused(
    seeded: DemoDatabase, demo_databases: DemoDatabases
) -> None:
    with pytest.raises(ConfigurationError, match="sql/demo"):
        seed(demo_databases.create(schema=False).owner_url, scale=SCALE)
    with pytest.raises(ConfigurationError, match="product_owner"):
        seed(seeded.app_url, scale=SCALE)
    used = demo_databases.create()
    with used.cluster.superuser(used.name) as connection:
        connection.execute(
            "INSERT INTO creators (handle, email, full_name, country) "
            "VALUES ('a', 'a@example.org', 'A', 'FR')"
        )
    with pytest.raises(ConfigurationError, match="no seed made"):
        seed(used.owner_url, scale=SCALE)


_CHILD = """
import sys
from ops_platform.local.demo.seed import seed
seed(sys.argv[1], scale=float(sys.argv[2]))
"""


@pytest.mark.full
def test_killed_in_the_middle_of_a_step_and_again(seeded: DemoDatabase, demo_database: DemoDatabase) -> None:
    with demo_database.cluster.superuser(demo_database.name) as blocker:
        for table in ("comments", "usage_logs_2025_07", "audit_logs"):
            with blocker.transaction():
                blocker.execute(
                    sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(sql.Identifier(table))
                )
                child = subprocess.Popen(
                    [sys.executable, "-c", _CHILD, demo_database.owner_url, str(SCALE)],
                    stderr=subprocess.PIPE,
                )
                wait_until(lambda: _waiting(demo_database), 20, "the seed waits for the lock")
                with pytest.raises(Unavailable, match="another seed"):
                    seed(demo_database.owner_url, scale=SCALE)
                child.send_signal(signal.SIGKILL)
                child.wait()
            wait_until(lambda: not _seeding(demo_database), 20, "the killed seed's session ends")
    report = seed(demo_database.owner_url, scale=SCALE)
    assert report.steps_done[0] == "audit_logs"
    assert demo_database.digests() == seeded.digests()


@pytest.mark.full
def test_a_crash_of_the_server_costs_no_row(seeded: DemoDatabase, demo_database: DemoDatabase) -> None:
    cluster = demo_database.cluster

    def crash(name: str, done: float) -> None:
        if name == "media":
            cluster.kill()

    try:
        with pytest.raises(Unavailable, match="goes on where it stopped"):
            seed(demo_database.owner_url, scale=SCALE, progress=crash)
    finally:
        cluster.start()
    seed(demo_database.owner_url, scale=SCALE)
    assert demo_database.digests() == seeded.digests()


@pytest.mark.full
def test_sizes_follow_the_scale(demo_database: DemoDatabase) -> None:
    seed(demo_database.owner_url, scale=0.2)
    the_plan = plan(0.2)
    heavy = people.creator_id(1)
    with psycopg.connect(demo_database.owner_url) as connection:
        # 112 MB at scale 1, of which about 9 MB are PostgreSQL's own catalogue.
        [[database_bytes]] = connection.execute("SELECT pg_database_size(current_database())").fetchall()
        assert 20_000_000 < database_bytes < 40_000_000
        for table, column in (
            ("posts", "creator_id"),
            ("comments", "author_id"),
            ("usage_logs", "creator_id"),
        ):
            query = sql.SQL("SELECT count(*), count(*) FILTER (WHERE {} = %s) FROM {}")
            row = connection.execute(
                query.format(sql.Identifier(column), sql.Identifier(table)), (heavy,)
            ).fetchone()
            assert row == (the_plan.rows(table), the_plan.heavy_rows(table))


def test_everything_seeded_is_older_than_the_base_time(seeded: DemoDatabase) -> None:
    with psycopg.connect(seeded.owner_url) as connection:
        columns = connection.execute(
            "SELECT table_name, column_name FROM information_schema.columns "
            "WHERE table_schema = 'public' AND data_type = 'timestamp with time zone' "
            "AND table_name !~ '^(_?yoyo|demo_seed)' AND column_name <> 'expires_at'"
        ).fetchall()
        assert len(columns) > 15
        for table, column in columns:
            query = sql.SQL("SELECT max({}) FROM {}").format(sql.Identifier(column), sql.Identifier(table))
            newest = connection.execute(query).fetchone()
            assert newest is not None
            assert newest[0] is None or newest[0] < BASE_TIME.replace(month=2), (table, column)


def test_thumbnails_do_not_compress(seeded: DemoDatabase) -> None:
    with psycopg.connect(seeded.owner_url) as connection:
        row = connection.execute("SELECT string_agg(thumbnail, '') FROM media").fetchone()
    assert row is not None
    assert len(lzma.compress(row[0])) > 0.98 * len(row[0])


def test_objects_versions_and_withdrawals(
    demo_database: DemoDatabase, object_store: ObjectStoreServer
) -> None:
    media = _media(object_store)
    report = seed(demo_database.owner_url, scale=SCALE, media=media)
    assert report.objects_put > CREATORS_WITH_OBJECTS
    current = {item.key for item in media.list("creators/")} | {item.key for item in media.list("avatars/")}
    with psycopg.connect(demo_database.owner_url) as connection:
        named = connection.execute(
            "SELECT object_key FROM media WHERE object_key IS NOT NULL UNION "
            "SELECT avatar_key FROM profiles WHERE avatar_key IS NOT NULL"
        ).fetchall()
    assert current == {key for (key,) in named}

    avatars = list(media.versions("avatars/1/"))
    assert len(avatars) == VERSIONS
    assert len(list(media.versions(f"avatars/{VERSIONED + 1}/"))) == 1
    withdrawn = list(media.versions(f"creators/{people.creator_id(WITHDRAWN)}/withdrawn.jpg"))
    assert [item.delete_marker for item in withdrawn].count(True) == 1
    assert len(withdrawn) == 2

    # What was deleted since stays deleted; what a killed seed did not reach is put by the next one.
    everything = list(media.versions("avatars/1/"))
    for item in everything:
        media.delete(item.key, item.version_id)
    assert seed(demo_database.owner_url, media=media).objects_put == 0
    assert not list(media.versions("avatars/1/"))
    with demo_database.cluster.superuser(demo_database.name) as connection:
        connection.execute("DELETE FROM demo_seed_progress WHERE step = 'objects'")
    assert seed(demo_database.owner_url, media=media).objects_put == VERSIONS


def test_rows_are_the_same_with_and_without_a_bucket(
    seeded: DemoDatabase, demo_databases: DemoDatabases, object_store: ObjectStoreServer
) -> None:
    database = demo_databases.create()
    seed(database.owner_url, scale=SCALE, media=_media(object_store))
    assert database.digests() == seeded.digests()


def test_seeding_beside_a_writing_application(seeded: DemoDatabase, demo_database: DemoDatabase) -> None:
    """Living rows take numbers that the seed does not use."""
    written = threading.Event()

    def write(name: str, done: float) -> None:
        if name == "comments" and not written.is_set():
            with psycopg.connect(demo_database.app_url) as connection:
                connection.execute(
                    "INSERT INTO audit_logs (action, message) VALUES ('login', 'x') RETURNING id"
                )
            written.set()

    seed(demo_database.owner_url, scale=SCALE, progress=write)
    with demo_database.cluster.superuser(demo_database.name) as connection:
        connection.execute("DELETE FROM audit_logs WHERE id >= 1000000000")
    assert demo_database.digests() == seeded.digests()


def _media(server: ObjectStoreServer) -> ObjectStore:
    identity = S3Identity(
        role="media",
        bucket=server.bucket("media"),
        # Of its own: other modules' demo has its objects in the same bucket.
        prefix="seed/",
        access_key_id=server.access_key_id("media"),
        secret_access_key=server.secret_access_key("media"),
    )
    return ObjectStore(server.endpoint_url, REGION, identity, server.ca_file)


def _waiting(database: DemoDatabase) -> bool:
    return "Lock" in _waits_of_seeds(database)


def _seeding(database: DemoDatabase) -> bool:
    return bool(_waits_of_seeds(database))


def _waits_of_seeds(database: DemoDatabase) -> list[str]:
    """What each seed's session in the database waits for."""
    with database.cluster.superuser() as connection:
        rows = connection.execute(
            "SELECT coalesce(wait_event_type, '') FROM pg_stat_activity "
            "WHERE datname = %s AND application_name = 'ops-platform demo seed'",
            (database.name,),
        ).fetchall()
    return [str(row[0]) for row in rows]
