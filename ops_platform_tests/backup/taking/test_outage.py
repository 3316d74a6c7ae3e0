"""The archive through bad days: S3 away, segments lost, a promotion; what is told stays true."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest

from ops_platform.backup.monitoring import health
from ops_platform.backup.monitoring.observation import Observer, observe
from ops_platform.backup.monitoring.status import stanza_status
from ops_platform.backup.recovery_point import heartbeat
from ops_platform.backup.taking import execution
from ops_platform.backup.taking.preflight import look_at_server
from ops_platform.clients.postgres import connection as postgres
from ops_platform.clients.waiting import wait_until
from ops_platform.errors import OpsError
from ops_platform_tests.backup.site import Site, silent, take
from ops_platform_tests.services import Services

pytestmark = pytest.mark.services


def beat(site: Site) -> datetime:
    with (
        postgres.connect(site.cluster.url("ops_agent")) as product,
        postgres.connect(site.database.url("ops_agent")) as ops,
    ):
        return heartbeat.record_heartbeat(product, ops, site.name).at


def switch(site: Site) -> None:
    with site.cluster.superuser() as superuser:
        superuser.execute("SELECT pg_switch_wal()")


def rpo(site: Site) -> float:
    seconds = stanza_status(site.context)["rpo_seconds"]
    assert isinstance(seconds, float)
    return seconds


def wait_for_archive(site: Site, beat_at: datetime, seconds: float = 90) -> None:
    def there() -> bool:
        told = stanza_status(site.context)["recoverable_to"]
        return told is not None and datetime.fromisoformat(told) >= beat_at

    wait_until(there, seconds, "the heartbeat is in the archive", interval=0.3)


def test_rpo_is_the_age_of_the_newest_beat_in_the_archive(backed_up: Site) -> None:
    first = beat(backed_up)
    switch(backed_up)
    wait_for_archive(backed_up, first)
    before = rpo(backed_up)
    beat(backed_up)  # committed, but its segment is not archived
    told = stanza_status(backed_up.context, datetime.now(UTC))
    assert before < told["rpo_seconds"]
    assert datetime.fromisoformat(told["recoverable_to"]) == first


def test_the_status_without_the_ops_database_knows_no_rpo(
    backed_up: Site, settings_for: Callable[..., object]
) -> None:
    from ops_platform.backup.stanza.context import open_context
    from ops_platform.settings import Settings

    dead = "postgresql://ops_worker@127.0.0.1:9/ops"
    settings = settings_for(backed_up.cluster, environ={"OPS_DATABASE_URL": dead})
    assert isinstance(settings, Settings)
    told = stanza_status(open_context(settings, backed_up.name))
    assert told["rpo_seconds"] is None
    assert any(
        note.startswith("RPO is unknown: cannot connect to PostgreSQL at 127.0.0.1:9")
        for note in told["notes"]
    )
    assert told["wal_gap_segments"] == 0
    assert [one["label"] for one in told["sets"]] == backed_up.labels()
    assert told["recoverable_from"] is not None


@pytest.mark.full
def test_a_lost_segment_is_a_gap_and_spoils_its_sets(backed_up: Site, wal_object_removed: str) -> None:
    told = stanza_status(backed_up.context)
    assert told["wal_gap_segments"] == 1
    assert told["archive"]["gaps"] == [
        {"first": wal_object_removed, "last": wal_object_removed, "segments": 1}
    ]
    spoilt = [one["label"] for one in told["sets"] if not one["restorable"]]
    assert backed_up.labels()[-1] in spoilt
    verdicts = {one.name: one for one in health.examine(backed_up.context, datetime.now(UTC))}
    assert not verdicts["archive_contiguous"].passed
    assert wal_object_removed in verdicts["archive_contiguous"].summary


@pytest.mark.full
def test_a_reader_that_is_kept_sees_what_a_new_one_sees(backed_up: Site) -> None:
    observer = Observer(backed_up.context)
    seen = observer.look()
    for _ in range(2):
        at = beat(backed_up)
        switch(backed_up)
        wait_for_archive(backed_up, at)
        seen = observer.look()
        anew = observe(backed_up.context)
        assert seen.archive is not None
        assert anew.archive is not None
        assert set(seen.archive.segments) == set(anew.archive.segments)
        assert seen.from_oldest == anew.from_oldest


@pytest.fixture
def s3_away(services: Services) -> Iterator[Callable[[], None]]:
    services.kill_object_store()
    back = False

    def restart() -> None:
        nonlocal back
        services.restart_object_store()
        back = True

    yield restart
    if not back:
        services.restart_object_store()


def test_s3_away_and_back(backed_up: Site, s3_away: Callable[[], None]) -> None:
    lost = beat(backed_up)
    switch(backed_up)
    began = time.monotonic()
    request = backed_up.request("incremental")
    with pytest.raises(OpsError, match=r"S3 at 127.0.0.1:.* cannot be reached"):
        execution.run_backup(backed_up.context, request, silent, silent)
    assert time.monotonic() - began < 10
    assert backed_up.report(request.run_id)["status"] == "failed"
    for verdict in health.examine(backed_up.context, datetime.now(UTC)):
        assert not verdict.passed
        assert "could not be checked" in verdict.summary

    s3_away()
    take(backed_up, "incremental")
    wait_for_archive(backed_up, lost)
    told = stanza_status(backed_up.context)
    assert told["wal_gap_segments"] == 0
    assert told["rpo_seconds"] < 120


@pytest.mark.full
def test_s3_away_for_minutes_and_the_archive_catches_up_by_itself(
    backed_up: Site, s3_away: Callable[[], None]
) -> None:
    # Longer than the minute for which the archiver gives up behind its third failure.
    until, pause = time.monotonic() + 70, threading.Event()
    last = beat(backed_up)
    while time.monotonic() < until:
        switch(backed_up)
        last = beat(backed_up)
        pause.wait(3)
    assert look_at_server(backed_up.context).archiver_failing
    s3_away()
    switch(backed_up)
    wait_for_archive(backed_up, last, 240)
    assert stanza_status(backed_up.context)["wal_gap_segments"] == 0
    wait_until(lambda: not look_at_server(backed_up.context).archiver_failing, 120, "the archiver is well")


@pytest.mark.full
def test_s3_dies_in_the_middle_of_a_backup(backed_up: Site, services: Services) -> None:
    def die(line: str) -> None:
        if "backup start archive" in line:
            services.kill_object_store()
            services.restart_object_store()

    request = backed_up.request("full")
    try:
        execution.run_backup(backed_up.context, request, die, silent)
    except OpsError:
        assert backed_up.report(request.run_id)["status"] == "failed"
    take(backed_up, "incremental")
    assert stanza_status(backed_up.context)["wal_gap_segments"] == 0
