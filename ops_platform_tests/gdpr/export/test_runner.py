"""A request's export: made once, recorded, mailed; found again, resumed after a kill, deleted in time."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from ops_platform.clients import object_store
from ops_platform.clients.object_store.bucket import ObjectStore
from ops_platform.clients.object_store.s3_errors import ObjectMissing
from ops_platform.clients.postgres import connection as postgres
from ops_platform.errors import CheckFailed
from ops_platform.gdpr.export import archive_store as exports
from ops_platform.gdpr.export import runner as export
from ops_platform.gdpr.export.content import NoSuchSubject
from ops_platform.gdpr.export.runner import ExportContext
from ops_platform.gdpr.requests.lifecycle import UnknownRequest
from ops_platform.local.demo import people
from ops_platform.local.servers.object_store_server import ObjectStoreServer
from ops_platform.local.servers.postgres_cluster import PostgresCluster
from ops_platform.settings import Settings, load_settings
from ops_platform_tests.gdpr.requests_database import API, Requests
from ops_platform_tests.worker_process import wait_for, worker_process

pytestmark = pytest.mark.services

NOW = datetime.now(UTC)
ANNA = people.creator_id(3)
BERT = people.creator_id(4)


@dataclass
class Place:
    """Everything that an export needs; ``now`` is its clock's."""

    settings: Settings
    table: Requests
    now: datetime = NOW

    @property
    def context(self) -> ExportContext:
        return replace(export.open_context(self.settings), clock=lambda: self.now)

    @property
    def store(self) -> ObjectStore:
        return object_store.from_settings(self.settings, "exports")

    def claimed(self, subject: UUID = ANNA) -> str:
        request_id = self.table.make(subject, "export", now=self.now).request.request_id
        self.table.verify(request_id, self.table.token(request_id), now=self.now)
        self.table.claim(request_id, "processing")
        return request_id

    def objects(self, request_id: str) -> list[str]:
        return [one.key for one in self.store.versions(f"{request_id}/")]

    def uploads(self, request_id: str) -> int:
        store = self.store
        answer = store.client.list_multipart_uploads(Bucket=store.bucket, Prefix=f"{request_id}/")
        return len(answer.get("Uploads", []))

    def row(self, request_id: str) -> exports.Export:
        found = exports.find(self.table.worker, request_id)
        assert found is not None
        return found

    def mails(self) -> list[dict[str, Any]]:
        with postgres.connect(self.table.database.url("ops_agent")) as agent:
            return agent.execute(
                "SELECT dedup_key, recipient, subject, body FROM mail_outbox "
                "WHERE dedup_key LIKE 'gdpr-export:%' ORDER BY id"
            ).fetchall()


@pytest.fixture
def place(
    table: Requests, demo_cluster: PostgresCluster, object_store: ObjectStoreServer, media: ObjectStore
) -> Place:
    return Place(
        load_settings(
            {
                **object_store.settings_environment(),
                "OPS_CA_FILE": str(object_store.ca_file),
                "OPS_DATABASE_URL": table.database.url("ops_worker"),
                "OPS_PRODUCT_DATABASE_URL": demo_cluster.url("ops_worker"),
                "OPS_PRODUCT_ERASER_DATABASE_URL": demo_cluster.url("ops_eraser"),
                "OPS_API_URL": API,
                "PATH": "/usr/bin:/bin",
            }
        ),
        table,
    )


def test_it_is_stored_recorded_and_mailed(place: Place) -> None:
    request_id = place.claimed()
    done: dict[str, int] = {}
    effects = export.run(place.context, request_id, done.__setitem__)
    row = place.row(request_id)
    data = place.store.get(row.object_key)
    assert (row.bytes, row.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert row.expires_at - row.completed_at == timedelta(hours=72)
    head = place.store.head(row.object_key)
    assert head is not None
    assert head.encryption == "AES256"
    manifest = json.loads(zipfile.ZipFile(io.BytesIO(data)).read("manifest.json"))
    assert manifest["request_id"] == request_id
    assert row.map_version == manifest["map_version"]
    assert list(row.effects) == effects
    assert {one.place for one in effects} == set(done)
    assert done["media/avatars/{number}/"] == 1
    [mail] = place.mails()
    assert mail["recipient"] == "anna@example.org"
    assert f"{row.expires_at:%Y-%m-%d %H:%M}" in mail["body"]
    assert "https://privacy.example.org" in mail["body"]
    assert row.object_key not in mail["body"]
    # Nothing of hers in what is kept for ever.
    assert "anna" not in repr(effects).lower()
    assert str(ANNA) not in repr(effects)


def test_the_mail_says_when_an_erasure_that_waits_deletes_it(place: Place) -> None:
    erasure = place.table.make(ANNA, "erasure", now=NOW).request.request_id
    place.table.verify(erasure, place.table.token(erasure), now=NOW)
    request_id = place.claimed()
    export.run(place.context, request_id)
    body = place.mails()[0]["body"]
    assert f"until\n{NOW + timedelta(hours=24):%Y-%m-%d %H:%M} UTC" in body
    assert "erased, too" in body


def test_a_second_run_finds_what_is_there(place: Place) -> None:
    request_id = place.claimed()
    first = export.run(place.context, request_id)
    row, objects = place.row(request_id), place.objects(request_id)
    place.now += timedelta(hours=1)
    assert export.run(place.context, request_id) == first
    assert (place.row(request_id), place.objects(request_id)) == (row, objects)
    assert len(place.mails()) == 1


@pytest.mark.parametrize("where", ["posts", "media/avatars/{number}/", "recorded"])
def test_killed_twice_it_is_made_once(place: Place, where: str) -> None:
    request_id = place.claimed()
    for _ in range(2):
        with worker_process(
            "ops_platform_tests.gdpr.export_worker", place.settings, request_id, where
        ) as process:
            wait_for(process, "stopped")
            process.kill()
            process.wait()
    export.run(place.context, request_id)
    row = place.row(request_id)
    assert place.objects(request_id) == [row.object_key]
    assert place.uploads(request_id) == 0
    assert hashlib.sha256(place.store.get(row.object_key)).hexdigest() == row.sha256
    assert len(place.mails()) == 1


def test_of_two_runs_at_once_one_counts(place: Place) -> None:
    """The one that is believed dead is not: what it makes too late goes."""
    request_id = place.claimed()
    late: list[list[object]] = []

    def meanwhile(name: str, count: int) -> None:
        if name == "profiles":
            late.append(list(export.run(place.context, request_id)))

    with pytest.raises(ObjectMissing):
        export.run(place.context, request_id, meanwhile)
    assert len(late) == 1
    assert place.objects(request_id) == [place.row(request_id).object_key]
    assert place.uploads(request_id) == 0
    assert len(place.mails()) == 1


def test_only_verified_exports_are_made(place: Place) -> None:
    erasure = place.table.make(ANNA, "erasure", now=NOW).request.request_id
    unverified = place.table.make(ANNA, "export", now=NOW).request.request_id
    for request_id in (erasure, unverified, str(uuid4())):
        with pytest.raises(UnknownRequest):
            export.run(place.context, request_id)
        assert place.objects(request_id) == []


def test_who_is_gone_gets_none_and_no_upload_is_left(place: Place) -> None:
    request_id = place.claimed(uuid4())
    with pytest.raises(NoSuchSubject):
        export.run(place.context, request_id)
    assert exports.find(place.table.worker, request_id) is None
    assert (place.objects(request_id), place.uploads(request_id)) == ([], 0)
    assert place.mails() == []


def test_every_version_is_deleted_in_time(place: Place, object_store: ObjectStoreServer) -> None:
    admin = object_store.client("admin")
    admin.put_bucket_versioning(
        Bucket=object_store.bucket("exports"), VersioningConfiguration={"Status": "Enabled"}
    )
    try:
        first, second = place.claimed(ANNA), place.claimed(BERT)
        export.run(place.context, first)
        key = place.row(first).object_key
        place.store.put(key, b"once more")
        place.store.delete(key)
        place.now += timedelta(hours=1)
        export.run(place.context, second)
        assert len(place.objects(first)) == 3
        place.now += timedelta(hours=71) - timedelta(seconds=1)
        agent = place.table.agent
        assert exports.expire(agent, place.store, lambda: place.now) == 0
        place.now += timedelta(seconds=1)
        assert exports.expire(agent, place.store, lambda: place.now) == 1
        assert place.objects(first) == []
        assert len(place.objects(second)) == 1
        assert place.row(first).deleted_at == place.now
        assert exports.expire(agent, place.store, lambda: place.now) == 0
    finally:
        admin.put_bucket_versioning(
            Bucket=object_store.bucket("exports"), VersioningConfiguration={"Status": "Suspended"}
        )


def test_a_run_after_that_makes_no_other(place: Place) -> None:
    request_id = place.claimed()
    effects = export.run(place.context, request_id)
    place.now += timedelta(hours=73)
    exports.expire(place.table.agent, place.store, lambda: place.now)
    assert export.run(place.context, request_id) == effects
    assert place.objects(request_id) == []


def test_an_erasure_takes_the_subjects_exports_along(place: Place) -> None:
    hers, his = place.claimed(ANNA), place.claimed(BERT)
    for request_id in (hers, his):
        export.run(place.context, request_id)
    place.store.put(f"{hers}/left-by-a-dead-run.zip", b"x")
    place.table.claim(hers, "completed", "fulfilled")
    failed = place.claimed(ANNA)
    place.store.put(f"{failed}/left-by-a-dead-run.zip", b"x")
    effect = exports.remove(place.table.worker, place.store, ANNA, place.now)
    assert (effect.store, effect.before, effect.changed, effect.after) == ("s3", 3, 3, 0)
    assert place.objects(hers) == place.objects(failed) == []
    assert place.row(hers).deleted_at == place.now
    assert len(place.objects(his)) == 1
    assert exports.remove(place.table.worker, place.store, ANNA, place.now).before == 0


def test_what_nobody_knows_of_is_swept_later(place: Place) -> None:
    known = place.claimed()
    export.run(place.context, known)
    place.store.put("forgotten/x.zip", b"x")
    agent = place.table.agent
    assert exports.sweep(agent, place.store, NOW) == 0
    place.now = datetime.now(UTC) + exports.FORGOTTEN_AFTER + timedelta(minutes=1)
    assert exports.sweep(agent, place.store, place.now) >= 1
    assert place.objects("forgotten") == []
    assert len(place.objects(known)) == 1


def test_nothing_is_recorded_behind_an_erasure_that_began_meanwhile(place: Place) -> None:
    request_id = place.claimed()

    def erasing(place_of_rows: str, count: int) -> None:
        place.table.worker.execute(
            "INSERT INTO erasure_tombstones "
            "(stanza, subject_type, subject_key, subject_key_type, erased_at, gdpr_request_id) "
            "VALUES ('product', 'creator', %s, 'uuid', %s, 'another') ON CONFLICT DO NOTHING",
            (str(ANNA), place.now),
        )

    with pytest.raises(CheckFailed, match="is being erased"):
        export.run(place.context, request_id, erasing)
    assert exports.find(place.table.worker, request_id) is None
    assert place.objects(request_id) == []
