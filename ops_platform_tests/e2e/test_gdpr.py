"""A data subject's erasure and export on the running stack: API, mail, sensor, run, certificate."""

from __future__ import annotations

import hashlib
import json
import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
import psycopg
import pytest

from ops_platform.clients import object_store
from ops_platform.clients.mail import maildir
from ops_platform.clients.postgres import connection as postgres
from ops_platform.clients.waiting import wait_until
from ops_platform.defs.gdpr.sensors import REQUEST_TAG
from ops_platform.gdpr.data_map import parser as map_file
from ops_platform.gdpr.row_erasure import residue_scan as residue
from ops_platform.gdpr.schema import reader as catalogue
from ops_platform.gdpr.subject import row_predicates as subject_rows
from ops_platform.gdpr.subject.identity import Identity
from ops_platform_tests.dashboards.scraped import at
from ops_platform_tests.e2e.operator import ops_rows
from ops_platform_tests.running_stack import RunningStack

pytestmark = pytest.mark.services
SECONDS = 240.0


class Subject:
    """Somebody with an account who talks to the API."""

    def __init__(self, stack: RunningStack, skip: int) -> None:
        self.stack, settings = stack, stack.settings
        self._url = settings.require("product_eraser_database_url")
        self.map = map_file.load(settings.config_dir / "data_map.yaml")
        with postgres.session(self._url) as product:
            rows = product.execute(
                "SELECT c.id FROM creators AS c JOIN posts AS p ON p.creator_id = c.id "
                "JOIN media AS m ON m.creator_id = c.id WHERE m.state = 'ready' "
                "GROUP BY c.id ORDER BY count(*) DESC, c.id OFFSET %s LIMIT 1",
                (skip,),
            ).fetchall()
            self.id = str(rows[0]["id"])
            found = subject_rows.identity(product, self.map, catalogue.read(product), self.id)
        assert found is not None
        self.identity: Identity = found
        made = stack.run("gdpr", "token", "--subject", self.id)
        assert made.returncode == 0, made.stderr
        self._trusted = ssl.create_default_context(cafile=str(settings.ca_file))
        # Each from an address of their own: five requests in 15 minutes are few for a test.
        self._client = httpx.Client(
            base_url=settings.require("api_url"),
            transport=httpx.HTTPTransport(verify=self._trusted, local_address=f"127.0.9.{skip + 1}"),
            headers={"Authorization": f"Bearer {made.stdout.strip()}"},
            timeout=30,
        )

    def confirmed(self, request_type: str) -> str:
        """A request that is confirmed with the token of its mail; its id."""
        made = self._client.post("/api/gdpr/request", json={"request_type": request_type})
        assert made.status_code == 202, made.text
        request_id = str(made.json()["request_id"])
        pattern = re.compile(rf"#request={request_id}&token=([0-9A-Z]+)")
        mail_dir = self.stack.settings.mail_dir
        assert mail_dir is not None

        def token() -> str | None:
            for message in maildir.since(mail_dir, at(0)):
                if found := pattern.search(message.text):
                    return found.group(1)
            return None

        typed = wait_until(token, 60, "the verification mail", interval=0.5)
        done = self._client.post(f"/api/gdpr/verify/{request_id}", json={"token": typed})
        assert done.status_code == 200, done.text
        return request_id

    def status(self, request_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self._client.get(f"/api/gdpr/status/{request_id}").raise_for_status().json()
        return found

    def completed(self, request_id: str) -> None:
        wait_until(
            lambda: self.status(request_id)["status"] == "completed", SECONDS, "the request's end", interval=1
        )

    def download(self, request_id: str) -> bytes:
        answer = self._client.get(f"/api/gdpr/download/{request_id}").raise_for_status().json()
        return httpx.get(answer["url"], verify=self._trusted, timeout=60).content

    def mails(self, text: str) -> int:
        mail_dir = self.stack.settings.mail_dir
        assert mail_dir is not None
        return sum(text in message.text for message in maildir.since(mail_dir, at(0)))

    def left(self) -> list[str]:
        """Where an identifier of the subject still stands."""
        with postgres.session(self._url) as product:
            found = residue.scan(product, catalogue.read(product), self.identity.values.values())
        return [f"{one.table}.{one.column}" for one in found]

    def objects(self) -> int:
        store = object_store.from_settings(self.stack.settings, "media")
        return sum(1 for _ in store.versions(f"creators/{self.id}/"))

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """The subject's row is locked, as by a transaction of the product's."""
        with psycopg.connect(self._url) as product:
            product.execute("SELECT FROM creators WHERE id = %s FOR UPDATE", (self.id,))
            yield
            product.rollback()


def runs(stack: RunningStack, job: str, request_id: str) -> list[str]:
    """Statuses, the newest first."""
    return [one.status for one in stack.dagster.runs(job, tags={REQUEST_TAG: request_id})]


@pytest.mark.timeout(900)
def test_from_the_request_to_the_certificate(stack: RunningStack, tmp_path: Path) -> None:
    subject = Subject(stack, 0)
    assert subject.objects() > 0
    export = subject.confirmed("export")
    subject.completed(export)
    archive = subject.download(export)
    [row] = ops_rows(stack, "SELECT bytes, sha256 FROM gdpr_exports WHERE request_id = %s", export)
    assert (len(archive), hashlib.sha256(archive).hexdigest()) == (row["bytes"], row["sha256"])

    erasure = subject.confirmed("erasure")
    subject.completed(erasure)
    assert subject.left() == []
    assert subject.objects() == 0
    [request] = ops_rows(stack, "SELECT * FROM gdpr_requests WHERE request_id = %s", erasure)
    assert (request["requestor_email"], request["attempts"]) == ("", 1)
    wait_until(lambda: subject.mails(f"Reference:   {erasure}"), 60, "the last mail", interval=0.5)

    ledger = object_store.from_settings(stack.settings, "ledger")
    file = tmp_path / "certificate.json"
    file.write_bytes(ledger.get(f"certificates/{erasure}.json"))
    verified = stack.run("gdpr", "verify-certificate", str(file), "--json")
    assert verified.returncode == 0, verified.stderr
    assert json.loads(verified.stdout)["request_id"] == erasure

    assert runs(stack, "gdpr_erasure", erasure) == ["SUCCESS"]
    [run] = stack.dagster.runs("gdpr_erasure", tags={REQUEST_TAG: erasure})
    events = stack.dagster.events(run.run_id)
    [told] = [one for one in events if one["__typename"] == "MaterializationEvent"]
    assert told["assetKey"]["path"] == ["gdpr", "erasures"]
    for value in subject.identity.values.values():
        assert len(str(value)) < 5 or str(value) not in json.dumps(events)
    metrics = httpx.get(stack.settings.require("metrics_url"), timeout=10).text
    assert 'gdpr_requests_total{request_type="erasure",status="completed"}' in metrics

    again = stack.dagster.wait(stack.dagster.reexecute(run.run_id), SECONDS)
    assert again.status == "SUCCESS"
    found = ops_rows(stack, "SELECT count(*) AS n FROM gdpr_certificates WHERE request_id = %s", erasure)
    assert found[0]["n"] == 1


@pytest.mark.full
@pytest.mark.timeout(900)
def test_a_run_that_is_killed_is_followed_by_one_that_finishes(stack: RunningStack) -> None:
    subject = Subject(stack, 1)
    with subject.in_use():
        request_id = subject.confirmed("erasure")

        def at_work() -> psutil.Process | None:
            rows = ops_rows(
                stack,
                "SELECT a.client_port FROM gdpr_requests AS r JOIN pg_stat_activity AS a "
                "ON a.application_name = 'ops-platform gdpr-request/' || r.request_id "
                "WHERE r.request_id = %s AND r.progress = 'rows'",
                request_id,
            )
            return _process_at(rows[0]["client_port"]) if rows else None

        worker = wait_until(at_work, SECONDS, "a run that waits for the row", interval=0.2)
        # Its parent reaps it when it looks after its runs.
        worker.kill()
    subject.completed(request_id)
    assert subject.left() == []
    [row] = ops_rows(stack, "SELECT attempts FROM gdpr_requests WHERE request_id = %s", request_id)
    assert row["attempts"] == 2
    found = ops_rows(stack, "SELECT count(*) AS n FROM gdpr_certificates WHERE request_id = %s", request_id)
    assert found[0]["n"] == 1


def _process_at(port: int) -> psutil.Process | None:
    """Whose end of a connection this local port is."""
    owners = {
        one.pid
        for one in psutil.net_connections("tcp")
        if one.laddr and one.laddr.port == port and one.raddr and one.pid
    }
    return psutil.Process(owners.pop()) if len(owners) == 1 else None
