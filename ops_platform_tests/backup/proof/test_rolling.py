"""The rolling verification on a real repository: finds damaged bytes, names them, goes on where it was."""

from __future__ import annotations

import bisect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from ops_platform.backup.monitoring import health
from ops_platform.backup.monitoring.observation import observe
from ops_platform.backup.monitoring.status import stanza_status
from ops_platform.backup.monitoring.verdict import Verdict
from ops_platform.backup.proof import rolling
from ops_platform.backup.proof.reading_plan import Pace, period
from ops_platform.backup.proof.rolling import RunResult
from ops_platform.clients.postgres import connection as postgres
from ops_platform.errors import CheckFailed
from ops_platform.local.servers.object_store_server import ObjectStoreServer
from ops_platform_tests.backup.site import Done, Site, silent, take
from ops_platform_tests.worker_process import wait_for, worker_process

pytestmark = pytest.mark.services

START, DAY = datetime(2026, 11, 1, tzinfo=UTC), timedelta(days=1)
WORKER = "ops_platform_tests.backup.proof.worker"


@pytest.fixture
def unread(backed_up: Site, second_backup: Done) -> Site:
    """A site of which nothing was read yet."""
    with backed_up.database.superuser() as ops:
        ops.execute("DELETE FROM backup_stored_objects")
    return backed_up


def read(
    site: Site, *, say: Callable[[str], None] = silent, size: int = 1 << 40, seconds: int = 600
) -> RunResult:
    stanza = replace(site.context.stanza, verification_bytes=size, verification_seconds=seconds)
    return rolling.run(replace(site.context, stanza=stanza), say)


def rows(site: Site, where: str = "true") -> list[dict[str, object]]:
    with postgres.session(site.context.ops_url) as connection:
        query = f"SELECT * FROM backup_stored_objects WHERE {where} ORDER BY holder, name"
        return connection.execute(query).fetchall()


def verdict(site: Site, name: str) -> Verdict:
    return next(one for one in health.examine(site.context, datetime.now(UTC)) if one.name == name)


@contextmanager
def flipped(store: ObjectStoreServer, key: str) -> Iterator[None]:
    """One bit in the middle; put back as it was."""
    client, bucket = store.client("backup"), store.bucket("backup")
    body = client.get_object(Bucket=bucket, Key=key)["Body"].read()
    wrong = bytearray(body)
    wrong[len(body) // 2] ^= 1
    client.put_object(Bucket=bucket, Key=key, Body=bytes(wrong))
    try:
        yield
    finally:
        client.put_object(Bucket=bucket, Key=key, Body=body)


def key_of(site: Site, row: dict[str, object]) -> str:
    folder = "backup" if row["kind"] == "set" else "archive"
    return f"pgbackrest/{folder}/{site.name}/{row['holder']}/{row['name']}"


def test_a_sound_repository_is_read_once_and_called_so(unread: Site) -> None:
    assert {one["verified_at"] for one in stanza_status(unread.context)["sets"]} == {None}
    first = read(unread)
    first.require_sound(unread.name)
    assert first.complete
    assert first.objects == len(rows(unread)) == len(rows(unread, "reads = 1 AND damage IS NULL"))
    status = stanza_status(unread.context)
    assert None not in {one["verified_at"] for one in status["sets"]}
    assert status["unverified_bytes"] == 0
    assert verdict(unread, "bytes_verified").passed
    again = read(unread)
    assert again.objects <= 2, "only what was archived since"


def test_a_flipped_bit_is_named_until_it_is_repaired(
    backed_up: Site, second_backup: Done, object_store: ObjectStoreServer
) -> None:
    """In a bundle, in a segment, and in a manifest: each is its own damage."""
    site = backed_up
    read(site)
    newest = max(one.label for one in site.repository().of_kind("full"))
    last, needed = site.labels()[-1], site.repository().sets[-1].wal_start
    bundle = rows(site, f"holder = '{newest}' AND name = 'bundle/1'")[0]
    segment = rows(site, f"kind = 'wal' AND name LIKE '{needed}-%'")[0]
    manifest = rows(site, f"holder = '{last}' AND name = 'backup.manifest.copy'")[0]
    with (
        flipped(object_store, key_of(site, bundle)),
        flipped(object_store, key_of(site, segment)),
        flipped(object_store, key_of(site, manifest)),
    ):
        said: list[str] = []
        result = read(site, say=said.append)
        assert result.objects <= 5, "what was overwritten is unread again, the rest is not"
        assert len(result.damage) == 3, result.damage
        of_bundle, of_segment, of_manifest = (
            next(one for one in result.damage if name in one)
            for name in (f"{newest}/bundle/1", str(segment["name"]), f"{last}/backup.manifest.copy")
        )
        assert {of_bundle, of_segment, of_manifest} == set(result.damage)
        assert f"{newest}/bundle/1: wrong bytes in pg_data/" in of_bundle
        assert newest in of_bundle.rpartition("(of ")[2]
        assert last in of_segment.rpartition("(of ")[2], "the set that cannot become consistent without it"
        with pytest.raises(CheckFailed, match=f"{newest}/bundle/1"):
            result.require_sound(site.name)
        examined = {one.name: one for one in health.examine(site.context, datetime.now(UTC))}
        assert not examined["bytes_verified"].passed
        assert not examined["files_present"].passed
        assert not examined["archive_contiguous"].passed
        assert needed in examined["archive_contiguous"].summary
        assert newest not in {one.label for one in observe(site.context).restorable()}
        status = stanza_status(site.context)
        sets = {one["label"]: one for one in status["sets"]}
        assert "wrong bytes" in sets[newest]["damage"]
        assert sets[newest]["verified_at"] is None
        assert status["wal_gap_segments"] == 1
        assert any(f"segment {needed} counts as missing" in note for note in status["notes"])
        assert set(read(site).damage) == set(result.damage), "it stays red, and is read again by each run"
    read(site).require_sound(site.name)
    assert verdict(site, "bytes_verified").passed
    assert newest in {one.label for one in observe(site.context).restorable()}


@pytest.mark.full
def test_a_run_keeps_to_its_bounds_and_the_next_goes_on(unread: Site) -> None:
    total, runs = 0, 0
    while True:
        result = read(unread, size=2_000_000)
        total, runs = total + result.objects, runs + 1
        largest = max(int(str(row["size_bytes"])) for row in rows(unread))
        assert result.bytes <= max(2_000_000, largest)
        if result.complete:
            break
        assert result.objects >= 1
    assert runs > 1
    assert total >= len(rows(unread))
    assert {row["reads"] for row in rows(unread)} == {1}
    assert not read(unread, seconds=0).damage


@pytest.mark.full
def test_a_short_retention_makes_everything_due_again(unread: Site) -> None:
    moment, reads = timedelta(microseconds=1), []
    for _ in range(2):
        rolling.run(unread.context, silent, Pace(moment))
        reads.append({(row["holder"], row["name"]): int(str(row["reads"])) for row in rows(unread)})
    first, second = reads
    assert first
    assert all(second[name] >= 2 for name in first)


@pytest.mark.full
def test_a_run_that_is_killed_knows_no_less_and_is_continued(
    unread: Site, object_store: ObjectStoreServer
) -> None:
    newest = max(one.label for one in unread.repository().of_kind("full"))
    key = f"pgbackrest/backup/{unread.name}/{newest}/bundle/1"
    with flipped(object_store, key):
        with worker_process(
            "ops_platform_tests.backup.proof.worker", unread.settings, unread.name, "5"
        ) as worker:
            wait_for(worker, "STOPPED")
        known = rows(unread, "reads > 0 OR damage IS NOT NULL")
        assert len(known) == 5
        result = read(unread)
        assert any(f"{newest}/bundle/1" in damage for damage in result.damage)
        assert {row["reads"] for row in rows(unread, "damage IS NULL")} == {1}, "nothing was read twice"
    read(unread).require_sound(unread.name)


class Rounds:
    """Time in rounds, a day each, whatever each takes: all of a round is one moment, its beginning."""

    def __init__(self) -> None:
        self._began: list[datetime] = []

    def begin(self) -> None:
        self._began.append(datetime.now(UTC))

    def __call__(self, moment: datetime) -> datetime:
        return START + DAY * bisect.bisect(self._began[1:], moment)


@pytest.mark.full
@pytest.mark.parametrize(("days", "parts", "segments"), [(9, 2, 1), (15, 3, 2)])
def test_a_soak_reads_all_that_is_stored_twice_before_it_would_expire(
    backed_up: Site, days: int, parts: int, segments: int
) -> None:
    """WAL all the time, set after set, and runs that read a part of what there is; a day is a round.

    ``days``: the retention. ``parts``: in so many runs all could be read. ``segments``: WAL of a round.
    """
    with backed_up.database.superuser() as ops:
        ops.execute("DELETE FROM backup_stored_objects")
    retention, rounds = days * DAY, Rounds()
    rounds.begin()
    pace = Pace(period(retention), scale=rounds)
    rolling.run(backed_up.context, silent, pace)
    old, proven = {(row["holder"], row["name"]) for row in rows(backed_up)}, set()
    for number in range(days * 8 // 5):
        rounds.begin()
        if number in (0, days // 3, days * 2 // 3):
            take(backed_up, "incremental")
        with backed_up.cluster.superuser("product") as product:
            for _ in range(segments):
                product.execute(
                    "SELECT pg_logical_emit_message(false, 'soak', repeat('x', 1000)), pg_switch_wal()"
                )
        size = sum(int(str(row["size_bytes"])) for row in rows(backed_up))
        stanza = replace(backed_up.context.stanza, verification_bytes=size // parts)
        rolling.run(replace(backed_up.context, stanza=stanza), silent, pace).require_sound(backed_up.name)
        for row in rows(backed_up):
            stored_at = row["stored_at"]
            assert isinstance(stored_at, datetime)
            if stored_at + retention <= pace.now():
                assert int(str(row["reads"])) >= 2, row
                proven.add((row["kind"], row["holder"], row["name"]))
    assert old <= {(holder, name) for _, holder, name in proven}
    meanwhile = {kind for kind, holder, name in proven if (holder, name) not in old}
    assert meanwhile == {"set", "wal"}, "of what was stored meanwhile some would have expired"
