"""Links to exports: for their subject alone, for 72 hours, each one recorded; and what they lead to."""

from __future__ import annotations

import ssl
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import httpx
import pytest

from ops_platform.clients import object_store as stores
from ops_platform.clients.object_store.bucket import ObjectStore
from ops_platform.gdpr.export import archive_store as exports
from ops_platform.local.servers.object_store_server import ObjectStoreServer
from ops_platform.local.servers.postgres_cluster import PostgresCluster
from ops_platform.settings import load_settings
from ops_platform_tests.api.house import DATA, Answer, House, exported, house, problem
from ops_platform_tests.clients.running_redis import RunningRedis
from ops_platform_tests.gdpr.requests_database import T0
from ops_platform_tests.services import OpsDatabase

pytestmark = pytest.mark.services


def download(api: House, request_id: str, subject: UUID) -> Answer:
    return api.send("GET", f"/api/gdpr/download/{request_id}", headers=api.bearer(subject))


def test_only_a_subject_with_a_link_says_that_they_have_it(api: House) -> None:
    api.unlimited()
    anna, bert = api.person(), api.person("bert@example.org")
    request_id = exported(api, anna)
    path = f"/api/gdpr/download/{request_id}/received"
    problem(api.send("POST", path, headers=api.bearer(anna)), 409, "not-downloaded")
    problem(api.send("POST", path, headers=api.bearer(bert)), 404, "not-found")
    download(api, request_id, anna)
    for _ in range(2):
        assert api.send("POST", path, headers=api.bearer(anna)).status_code == 200
    problem(api.send("POST", path), 401, "unauthorized")


def test_a_link_for_15_minutes_until_72_hours_after(api: House) -> None:
    api.unlimited()
    anna = api.person()
    request_id = exported(api, anna)
    links = []
    for passed, lasts in [(timedelta(0), 900), (timedelta(hours=71, minutes=50), 600)]:
        api.now = T0 + passed
        answer = download(api, request_id, anna)
        assert answer.status_code == 200
        body = answer.json()
        assert datetime.fromisoformat(body["expires_at"]) == api.now + timedelta(seconds=lasts)
        query = parse_qs(urlsplit(body["url"]).query)
        assert query["X-Amz-Expires"] == [str(lasts)]
        assert query["response-content-disposition"] == [f'attachment; filename="export-{request_id}.zip"']
        links.append(answer.json()["expires_at"])
    api.now = T0 + timedelta(hours=72)
    problem(download(api, request_id, anna), 410, "deleted")
    rows = api.table.worker.execute("SELECT * FROM gdpr_downloads ORDER BY id").fetchall()
    assert [row["request_id"] for row in rows] == [request_id] * 2
    assert [row["url_expires_at"] for row in rows] == [datetime.fromisoformat(one) for one in links]
    events = api.table.worker.execute(
        "SELECT event_id, operation_id, details FROM audit_events WHERE action = 'gdpr_download' ORDER BY id"
    ).fetchall()
    assert [row["event_id"] for row in events] == [row["event_id"] for row in rows]
    assert {row["operation_id"] for row in events} == {request_id}
    assert "X-Amz" not in str(events)
    assert str(anna) not in str(events)


def test_links_are_limited_on_a_count_of_their_own(api: House) -> None:
    anna = api.person()
    request_id = exported(api, anna)
    answers = [download(api, request_id, anna).status_code for _ in range(6)]
    assert answers == [200] * 5 + [429]
    assert api.table.count("gdpr_downloads") == 5
    assert api.send("GET", f"/api/gdpr/status/{request_id}", headers=api.bearer(anna)).status_code == 200


def test_nobody_else_gets_one(api: House) -> None:
    api.unlimited()
    anna, bert = api.person(), api.person()
    request_id = exported(api, anna)
    exported(api, bert)
    problem(download(api, request_id, bert), 404, "not-found")
    assert api.send("GET", f"/api/gdpr/download/{request_id}").status_code == 401
    assert api.table.count("gdpr_downloads") == 0


def test_what_was_deleted_before_its_time_is_gone(api: House) -> None:
    anna = api.person()
    request_id = exported(api, anna)
    api.table.worker.execute("UPDATE gdpr_exports SET deleted_at = %s", (T0,))
    problem(download(api, request_id, anna), 410, "deleted")


def test_without_a_record_there_is_no_link(api: House) -> None:
    anna = api.person()
    request_id = exported(api, anna)
    with api.table.database.superuser() as superuser:
        superuser.execute("REVOKE INSERT ON gdpr_downloads FROM ops_api")
    answer = download(api, request_id, anna)
    assert answer.status_code >= 500
    assert "X-Amz" not in answer.text


@pytest.fixture
def stored(object_store: ObjectStoreServer) -> ObjectStore:
    values = {**object_store.settings_environment(), "OPS_CA_FILE": str(object_store.ca_file)}
    return stores.from_settings(load_settings(values), "exports")


def test_the_link_leads_to_the_archive_and_to_nothing_else(
    ops_database: OpsDatabase,
    people: PostgresCluster,
    redis_server: RunningRedis,
    tmp_path: Path,
    object_store: ObjectStoreServer,
    stored: ObjectStore,
) -> None:
    environ = object_store.settings_environment()
    with house(ops_database, people, redis_server, tmp_path, **environ) as api:
        # The signature's time is the machine's.
        api.now = datetime.now(api.now.tzinfo)
        anna = api.person()
        request_id = exported(api, anna)
        stored.put(f"{request_id}/x.zip", DATA)
        stored.put(f"{request_id}/y.zip", b"another")
        url = download(api, request_id, anna).json()["url"]
        trust = ssl.create_default_context(cafile=str(object_store.ca_file))
        with httpx.Client(verify=trust, trust_env=False) as client:
            answer = client.get(url)
            assert (answer.status_code, answer.content) == (200, DATA)
            assert "attachment" in answer.headers["content-disposition"]
            assert client.get(url.replace("x.zip", "y.zip")).status_code == 403
            assert client.put(url, content=b"changed").status_code == 403
            assert client.get(url.partition("?")[0]).status_code == 403
            exports.remove(api.table.worker, stored, anna, api.now)
            assert client.get(url).status_code == 404
