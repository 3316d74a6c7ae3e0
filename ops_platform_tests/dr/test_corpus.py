"""Backups broken on purpose: for each, the verification that names its damage fails, and no other.

Damage to the repository is done to its objects, which are put back; damage to data is done to the
restored copy before the first question, as a backup of damaged data would bring it.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest

from ops_platform.backup.context import BackupContext, open_context
from ops_platform.dr import exercise, questions, workspace
from ops_platform.dr.ladder import NOT_REACHED, Rung, Verification
from ops_platform.dr.questions import ExerciseQuestions
from ops_platform.dr.recovery import Expected
from ops_platform.dr.rehearsal import Knowledge, Rehearsal, rehearse
from ops_platform.dr.scenario import Plan
from ops_platform.dr.scratch import scratch
from ops_platform.dr.server import RestoredServer
from ops_platform.dr.target import RecoveryTarget
from ops_platform.local.object_store_server import ObjectStoreServer
from ops_platform_tests.backup.conftest import Site, silent
from ops_platform_tests.dr.conftest import archive_now, strike

pytestmark = [pytest.mark.full]

Objects = Mapping[str, bytes]


@dataclass(frozen=True)
class Damaged:
    """The real questions, asked of a copy that is damaged first."""

    real: ExerciseQuestions
    alive: Callable[[RestoredServer], None] | None = None
    dead: Callable[[RestoredServer], None] | None = None

    def tombstones(self, server: RestoredServer) -> Verification:
        if self.alive is not None:
            self.alive(server)
        return self.real.tombstones(server)

    def critical(self, server: RestoredServer, plan: Plan, moment: datetime) -> Sequence[Rung]:
        return self.real.critical(server, plan, moment)

    def assurance(self, server: RestoredServer, plan: Plan, moment: datetime) -> Sequence[Rung]:
        return self.real.assurance(server, plan, moment)

    def stopped(self, server: RestoredServer) -> Sequence[Rung]:
        if self.dead is not None:
            self.dead(server)
        return self.real.stopped(server)


def attempt(
    site: Site,
    *,
    alive: Callable[[RestoredServer], None] | None = None,
    dead: Callable[[RestoredServer], None] | None = None,
    change: Callable[[Knowledge], Knowledge] = lambda known: known,
    ctx: BackupContext | None = None,
) -> Rehearsal:
    """The deepest scenario, to the end of the archive."""
    asked = questions.prepare(site.context, "integrity", silent)
    t0 = datetime.now(UTC)
    known = exercise.knowledge(site.context, "latest", t0, Damaged(asked, alive, dead))
    with scratch(site.settings, "test:corpus", f"c{uuid.uuid4().hex[:6]}") as here:
        return rehearse(ctx or site.context, here, "integrity", change(known), t0, silent, silent)


def wrong(done: Rehearsal) -> dict[str, str]:
    """Every answer that is no pass, but those that were never reached."""
    return {
        one.name: f"{one.result}: {one.summary}"
        for one in done.answers
        if not one.passed and one.summary != NOT_REACHED
    }


@pytest.fixture(scope="module")
def sound(beating: Site) -> Site:
    strike(beating, 3)
    archive_now(beating)
    assert wrong(attempt(beating)) == {}
    return beating


# --- the repository -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Repo:
    """The stanza's objects in S3, as they were; what is broken is put back at the end."""

    site: Site
    server: ObjectStoreServer
    objects: Objects

    def keys(self, *parts: str) -> list[str]:
        found = [key for key in self.objects if all(part in key for part in parts)]
        assert found, parts
        return sorted(found)

    def put(self, key: str, body: bytes) -> None:
        self.server.client("backup").put_object(Bucket=self.server.bucket("backup"), Key=key, Body=body)

    def delete(self, *keys: str) -> None:
        for key in keys:
            self.server.client("backup").delete_object(Bucket=self.server.bucket("backup"), Key=key)

    def restore(self) -> None:
        now = contents(self.server, self.site.name)
        for key, body in self.objects.items():
            if now.get(key) != body:
                self.put(key, body)


def contents(server: ObjectStoreServer, stanza: str) -> dict[str, bytes]:
    client, bucket = server.client("backup"), server.bucket("backup")
    found = {}
    for kind in ("archive", "backup"):
        pages = client.get_paginator("list_objects_v2").paginate(
            Bucket=bucket, Prefix=f"pgbackrest/{kind}/{stanza}/"
        )
        for page in pages:
            for entry in page.get("Contents", []):
                found[entry["Key"]] = client.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read()
    return found


@pytest.fixture
def repo(sound: Site, object_store: ObjectStoreServer) -> Iterator[Repo]:
    made = Repo(sound, object_store, contents(object_store, sound.name))
    yield made
    made.restore()


def zeroed(body: bytes) -> bytes:
    middle = len(body) // 2
    return body[:middle] + bytes(64) + body[middle + 64 :]


def largest_data_file(repo: Repo) -> str:
    return max(repo.keys("/backup/", "F/"), key=lambda key: ("manifest" not in key, len(repo.objects[key])))


def zeroed_data(repo: Repo) -> None:
    key = largest_data_file(repo)
    repo.put(key, zeroed(repo.objects[key]))


def truncated_data(repo: Repo) -> None:
    key = largest_data_file(repo)
    repo.put(key, repo.objects[key][: len(repo.objects[key]) // 2])


def missing_data(repo: Repo) -> None:
    repo.delete(largest_data_file(repo))


def missing_manifests(repo: Repo) -> None:
    repo.delete(*[key for key in repo.keys("backup.manifest") if "history" not in key])


def missing_backup_info(repo: Repo) -> None:
    repo.delete(*repo.keys("backup.info"))


def missing_archive_info(repo: Repo) -> None:
    repo.delete(*repo.keys("archive.info"))


def segments(repo: Repo) -> list[str]:
    return [key for key in repo.keys("/archive/") if key.rpartition("/")[2][:24].isalnum() and "-" in key]


def missing_wal(repo: Repo) -> None:
    repo.delete(segments(repo)[-2])


def corrupt_wal(repo: Repo) -> None:
    key = segments(repo)[-2]
    repo.put(key, zeroed(repo.objects[key]))


def corrupt_last_wal(repo: Repo) -> None:
    key = segments(repo)[-1]
    repo.put(key, zeroed(repo.objects[key]))


def missing_first_wal(repo: Repo) -> None:
    first = repo.site.repository().sets[-1].wal_start
    repo.delete(*repo.keys("/archive/", f"/{first}-"))


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (zeroed_data, "restored"),
        (truncated_data, "restored"),
        (missing_data, "restored"),
        (missing_manifests, "restored"),
        (missing_backup_info, "backup_selected"),
        (missing_archive_info, "backup_selected"),
        (missing_wal, "backup_selected"),
        (missing_first_wal, "backup_selected"),
        (corrupt_wal, "recovery_target"),
        (corrupt_last_wal, "recovery_target"),
    ],
)
def test_a_damaged_repository(repo: Repo, damage: Callable[[Repo], None], named: str) -> None:
    damage(repo)
    before = contents(repo.server, repo.site.name)
    found = wrong(attempt(repo.site))
    assert set(found) == {named}, found
    after = contents(repo.server, repo.site.name)  # the source goes on archiving
    assert {key: after.get(key) for key in before} == before


def test_a_wrong_passphrase(sound: Site) -> None:
    environ = {name: value.get_secret_value() for name, value in sound.settings.environ.items()}
    del environ["OPS_PGBACKREST_CIPHER_PASS_FILE"]
    from ops_platform.settings import load_settings

    settings = load_settings({**environ, "OPS_PGBACKREST_CIPHER_PASS": "not the one it was written with"})
    found = wrong(attempt(sound, ctx=open_context(settings, sound.name)))
    assert set(found) == {"backup_selected"}, found


# --- the data -------------------------------------------------------------------------------------------


def sql(*statements: str, database: str = "product") -> Callable[[RestoredServer], None]:
    def run(server: RestoredServer) -> None:
        with server.connect(database) as connection:
            for statement in statements:
                connection.execute(statement)  # type: ignore[call-overload]

    return run


UNINDEXED = (
    "UPDATE pg_index SET indisready = false WHERE indexrelid = 'comments_post_id_idx'::regclass",
    "INSERT INTO comments SELECT * FROM (SELECT (jsonb_populate_record(c, jsonb_build_object('id', "
    "gen_random_uuid()))).* FROM comments c LIMIT 1) AS copy",
    "UPDATE pg_index SET indisready = true WHERE indexrelid = 'comments_post_id_idx'::regclass",
)


@pytest.mark.parametrize(
    ("statements", "named"),
    [
        (["DROP TABLE workflow_steps"], {"catalogue"}),
        (["ALTER TABLE posts DROP COLUMN body"], {"catalogue"}),
        (["DROP INDEX usage_logs_creator_id_idx"], {"catalogue"}),
        (["ALTER TABLE ledger_entries DISABLE TRIGGER ledger_entries_append_only"], {"catalogue"}),
        (["CREATE ROLE intruder SUPERUSER"], {"roles"}),
        (["ALTER ROLE ops_api SUPERUSER"], {"roles"}),
        (["CREATE EXTENSION pg_trgm"], {"extensions"}),
        (["SELECT setval('audit_logs_id_seq', 1, true)"], {"sequences"}),
        (
            ["UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'posts_pkey'::regclass"],
            {"indexes_valid"},
        ),
        (
            ["UPDATE pg_constraint SET convalidated = false WHERE conname = 'comments_post_id_fkey'"],
            {"constraints_validated"},
        ),
        (["UPDATE pg_collation SET collversion = '0' WHERE collname = 'und-x-icu'"], {"collations"}),
        (
            ["UPDATE audit_logs SET message = 'forged' WHERE id = (SELECT min(id) FROM audit_logs)"],
            {"closed_rows"},
        ),
        (["DELETE FROM audit_logs WHERE id = (SELECT min(id) FROM audit_logs)"], {"closed_rows"}),
        (["SET session_replication_role = replica", "DELETE FROM sessions"], {"live_tables"}),
        (
            [
                "SET session_replication_role = replica",
                "DELETE FROM posts WHERE id = (SELECT post_id FROM comments LIMIT 1)",
            ],
            {"orphans"},
        ),
        (
            ["DELETE FROM ops_platform.heartbeats WHERE beat_at > now() - interval '1 day'"],
            {"recovery_target"},
        ),
    ],
    ids=lambda value: value[-1][:40] if isinstance(value, list) else "",
)
def test_damaged_data(sound: Site, statements: list[str], named: set[str]) -> None:
    found = wrong(attempt(sound, alive=sql(*statements)))
    assert set(found) == named, found


def test_a_page_that_is_not_what_was_written(sound: Site) -> None:
    def damage(server: RestoredServer) -> None:
        path = next(
            one
            for one in sorted(server.data_dir.glob("base/*/*"), key=lambda one: -one.stat().st_size)
            if one.name.isdigit()
        )
        body = bytearray(path.read_bytes())
        body[4000:4064] = bytes(byte ^ 0xFF for byte in body[4000:4064])
        path.write_bytes(body)

    found = wrong(attempt(sound, dead=damage))
    assert set(found) == {"page_checksums"}, found


# --- the recovery ---------------------------------------------------------------------------------------


def with_plan(change: Callable[[Plan], Plan]) -> Callable[[Knowledge], Knowledge]:
    return lambda known: replace(known, plan=lambda reader: change(known.plan(reader)))


def test_another_cluster(sound: Site) -> None:
    found = wrong(attempt(sound, change=with_plan(lambda plan: replace(plan, system_id=plan.system_id + 1))))
    assert set(found) == {"system_identifier"}, found


def test_a_target_after_the_end(sound: Site) -> None:
    late = RecoveryTarget.at(datetime.now(UTC) + timedelta(hours=1))
    found = wrong(attempt(sound, change=with_plan(lambda plan: replace(plan, target=late))))
    assert set(found) == {"recovered_and_promoted"}, found
    assert "before configured recovery target" in found["recovered_and_promoted"]


def test_a_target_before_the_first_set(sound: Site) -> None:
    early = RecoveryTarget.at(datetime.now(UTC) - timedelta(days=400))
    found = wrong(attempt(sound, change=with_plan(lambda plan: replace(plan, target=early))))
    # PostgreSQL stops where the set becomes consistent; of that time there is no reference either.
    assert found["recovery_target"].startswith("fail"), found
    assert set(found) <= {"recovery_target", "closed_rows", "live_tables"}, found


def test_a_heartbeat_that_must_be_there_is_not(sound: Site) -> None:
    later = Expected(datetime.now(UTC) + timedelta(hours=1))
    found = wrong(attempt(sound, change=lambda known: replace(known, expected=lambda plan: later)))
    assert set(found) == {"recovery_target"}, found


def test_a_full_disk_is_seen_beforehand(sound: Site) -> None:
    def huge(plan: Plan) -> Plan:
        return replace(plan, backup_set=replace(plan.backup_set, size_bytes=10**15))

    found = wrong(attempt(sound, change=with_plan(huge)))
    assert set(found) == {"backup_selected"}, found
    assert workspace.DISK_FACTOR > 1


def test_a_process_that_is_killed(sound: Site) -> None:
    def killed(server: RestoredServer) -> None:
        pid = int((server.data_dir / "postmaster.pid").read_text(encoding="ascii").split("\n", 1)[0])
        import os
        import signal

        os.kill(pid, signal.SIGKILL)

    found = wrong(attempt(sound, alive=killed))
    assert found
    assert not [name for name, said in found.items() if said.startswith("pass")]
    assert wrong(attempt(sound)) == {}
