"""The guard before a running Dagster: who is nobody reaches nothing, who changes something is named."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from playwright.sync_api import Page, expect
from websockets.sync.client import connect

from ops_platform.clients.dagster import Dagster
from ops_platform.errors import Unavailable
from ops_platform.guard.change import ACTOR_TAG, REASON_TAG
from ops_platform.local import guard_accounts
from ops_platform_tests.e2e.browser import chromium
from ops_platform_tests.e2e.operator import ops_rows
from ops_platform_tests.running_stack import RunningStack

pytestmark = pytest.mark.services

TAGS = "query ($id: ID!) { runOrError(runId: $id) { ... on Run { tags { key value } } } }"
LAUNCH = """mutation { launchRun(executionParams: {selector: {jobName: "alert_delivery_test",
repositoryName: "__repository__", repositoryLocationName: "ops_platform"}}) { __typename } }"""


def changes(stack: RunningStack) -> list[tuple[str, str, str]]:
    """What the ledger has of the guard: actor, action, phase."""
    rows = ops_rows(
        stack, "SELECT actor, action, phase FROM audit_events WHERE action LIKE 'dagster.%%' ORDER BY id"
    )
    return [(row["actor"], row["action"], row["phase"]) for row in rows]


def test_the_guard_is_the_only_way_to_dagster(stack: RunningStack) -> None:
    """Listeners, doors without a token, a launch with one, its marks, its events over a WebSocket."""
    listening = {
        name: {
            one.laddr.port
            for one in psutil.Process(pid).net_connections("inet")
            if one.status == psutil.CONN_LISTEN
        }
        for name, pid in stack.pids().items()
        if pid and name in ("guard", "webserver", "webserver-readonly", "daemon")
    }
    assert listening == {
        "guard": {stack.base, stack.base + 1},
        "webserver": set(),
        "webserver-readonly": set(),
        "daemon": set(),
    }
    folder = stack.layout.webserver_sockets
    assert [path.stat().st_mode & 0o077 for path in (folder, *folder.iterdir())] == [0, 0, 0]

    settings = stack.settings
    for url in (settings.require("dagster_url"), settings.require("dagster_readonly_url")):
        with pytest.raises(Unavailable, match="OPS_DAGSTER_TOKEN"):
            Dagster(url).runs("backup_full")
    [run, *_] = stack.dagster.runs("backup_full")
    tags = stack.dagster.query(TAGS, {"id": run.run_id})["runOrError"]["tags"]
    marks = {tag["key"]: tag["value"] for tag in tags}
    assert (marks[ACTOR_TAG], marks[REASON_TAG]) == ("program:console", "asked for on the command line")
    rows = ops_rows(
        stack,
        "SELECT actor, phase, outcome, details FROM audit_events"
        " WHERE action = 'dagster.launch' AND object = 'job:backup_full' ORDER BY id",
    )
    assert rows[0]["phase"] == "intent"
    assert run.run_id in [one for row in rows for one in row["details"].get("runs", [])]

    token = settings.dagster_token
    assert token is not None
    with connect(
        f"ws://127.0.0.1:{stack.base}/graphql",
        subprotocols=["graphql-ws"],  # type: ignore[list-item]
        additional_headers={"Authorization": f"Bearer {token.get_secret_value()}"},
    ) as socket:
        query = "subscription ($r: ID!) { pipelineRunLogs(runId: $r) { __typename } }"
        socket.send(json.dumps({"type": "connection_init"}))
        payload = {"query": query, "variables": {"r": run.run_id}}
        socket.send(json.dumps({"type": "start", "id": "1", "payload": payload}))
        assert json.loads(socket.recv(10)) == {"type": "connection_ack"}
        assert json.loads(socket.recv(10))["payload"]["data"]["pipelineRunLogs"]["__typename"]


EVIL = """
<form id="f" method="post" enctype="text/plain" action="URL/graphql"><input name='{"query": "' value='"}'></form>
<img src="URL/graphql?query=MUTATION">
<iframe name="frame" src="URL/runs"></iframe>
<script>
const done = [];
const say = (what) => (answer) => done.push(what + ":" + (answer && answer.type || answer));
async function all() {
  const body = JSON.stringify({query: `MUTATION`});
  for (const mode of ["no-cors", "cors"]) {
    for (const type of ["text/plain", "application/json"]) {
      await fetch("URL/graphql", {method: "POST", mode, credentials: "include", body, headers: {"Content-Type": type}})
        .then(say("fetch"), say("no fetch"));
    }
    await fetch("URL/graphql?query=" + encodeURIComponent(`MUTATION`), {mode, credentials: "include"}).then(say("get"), say("no"));
    await fetch("URL/report_asset_materialization/slo/compliance", {method: "POST", mode, credentials: "include"})
      .then(say("report"), say("no"));
    await fetch("AGENT/alerts", {method: "POST", mode, body: JSON.stringify(ALERT)}).then(say("alert"), say("no"));
  }
  await new Promise((go) => {
    const socket = new WebSocket("URL/graphql".replace("http", "ws"), "graphql-ws");
    socket.onopen = () => { done.push("socket open"); go(); };
    socket.onerror = () => { done.push("socket refused"); go(); };
  });
  document.getElementById("f").target = "frame";
  document.getElementById("f").submit();
  await new Promise((go) => setTimeout(go, 500));
  document.title = "done";
  document.body.append(done.join("|"));
}
all();
</script>
"""  # noqa: E501 - a page
ALERT = {"status": "firing", "alerts": [{
    "status": "firing", "labels": {"alertname": "Forged", "severity": "critical"}, "annotations": {},
    "startsAt": "2026-01-01T00:00:00Z", "endsAt": "0001-01-01T00:00:00Z", "fingerprint": "00000000000000ff",
}]}  # fmt: skip


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A web server on another port of the same host, which browsers send the cookie, too."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments, directory=str(tmp_path))  # type: ignore[arg-type]

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", tmp_path
    server.shutdown()
    server.server_close()


def sign_in(page: Page, stack: RunningStack) -> None:
    page.goto("/runs")
    page.get_by_label("Name").fill(guard_accounts.PERSON)
    password = stack.layout.secrets / guard_accounts.PASSWORD
    page.get_by_label("Password").fill(password.read_text(encoding="utf-8").strip())
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/runs**")


@pytest.mark.full
@pytest.mark.timeout(300)
def test_an_evil_page_changes_nothing_and_an_operator_is_asked_why(
    stack: RunningStack, elsewhere: tuple[str, Path]
) -> None:
    settings = stack.settings
    base, folder = elsewhere
    doors = {"operators": "dagster_url", "auditors": "dagster_readonly_url"}
    agent = settings.require("metrics_url").removesuffix("/metrics")
    for name, setting in doors.items():
        page_text = EVIL.replace("URL", settings.require(setting)).replace("AGENT", agent)
        page_text = page_text.replace("MUTATION", LAUNCH.replace("\n", " ").replace('"', "&quot;"), 1)
        page_text = page_text.replace("MUTATION", LAUNCH.replace("\n", " ")).replace(
            "ALERT", json.dumps(ALERT)
        )
        (folder / f"{name}.html").write_text(page_text, encoding="utf-8")
    forged = "SELECT count(*) AS n FROM alert_deliveries WHERE fingerprint = '00000000000000ff'"
    before, runs = changes(stack), len(stack.dagster.runs("alert_delivery_test"))
    with chromium([], settings.ca_file, settings.require("dagster_url"), "en-GB") as browser:
        browser.set_default_timeout(60_000)
        page = browser.new_page()
        sign_in(page, stack)
        for host in (base, base.replace("127.0.0.1", "localhost")):
            for name in doors:
                evil = browser.new_page()
                evil.goto(f"{host}/{name}.html")
                expect(evil).to_have_title("done")
                assert "socket refused" in evil.inner_text("body")
                evil.close()
        assert changes(stack) == before
        assert len(stack.dagster.runs("alert_delivery_test")) == runs
        assert ops_rows(stack, forged)[0]["n"] == 0

        # The same person, on Dagster's own page: asked why, then let through under their name.
        page.goto("/locations/ops_platform/jobs/wal_checks/playground")
        page.get_by_role("button", name="Launch run").click()
        expect(page.get_by_text("takes a reason")).to_be_visible()
        assert changes(stack) == before
        page.goto("/guard/reason")
        page.get_by_label("Why do you change something?").fill("ticket 7")
        page.get_by_role("button", name="Keep this reason").click()
        expect(page.get_by_text("ticket 7")).to_be_visible()
        page.goto("/locations/ops_platform/jobs/wal_checks/playground")
        page.get_by_role("button", name="Launch run").click()
        page.wait_for_url("**/runs/*")
        actor = f"person:{guard_accounts.PERSON}"
        assert changes(stack)[len(before) :] == [
            (actor, "dagster.launch", "intent"),
            (actor, "dagster.launch", "outcome"),
        ]
        stack.dagster.wait(page.url.partition("/runs/")[2].partition("?")[0], 120)
        page.goto("/guard")
        page.get_by_role("button", name="Sign out").click()
        page.goto("/runs")
        expect(page.get_by_role("heading", name="Sign in to Dagster")).to_be_visible()
    assert stack.run("audit", "verify").returncode == 0
    # A browser that was signed in is nobody now.
    assert httpx.get(f"{settings.require('dagster_url')}/runs", trust_env=False).status_code == 401
