"""The guard before a webserver that notes what reaches it, and a ledger that notes what is written first."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from ops_platform.guard import subscription
from ops_platform.guard.app import Guard
from ops_platform.guard.login.attempts import OF_ADDRESS
from ops_platform.guard.refusal import Refusal
from ops_platform_tests.guard.house import (
    AUDITORS,
    LAUNCH,
    QUERY,
    WIPE,
    House,
    bearer,
    refused,
    sign_in,
)


def test_whoever_is_not_known_reaches_nothing(house: House) -> None:
    async def visit(client: httpx.AsyncClient, _: Guard) -> None:
        assert await refused(client.post("/graphql", json=QUERY)) == "signed-out"
        assert await refused(client.get("/logs/a/b.out")) == "signed-out"
        assert await refused(client.post("/report_asset_materialization/a")) == "signed-out"
        assert await refused(client.get("/guard/metrics")) == "signed-out"
        page = await client.get("/runs?a=1", headers={"accept": "text/html"})
        assert page.headers["location"] == "/guard/login?next=%2Fruns%3Fa%3D1"
        assert (await client.get("/guard/health")).json() == {"status": "ok"}
        for wrong in ({"name": "otto", "password": "wrong"}, {"name": "root", "password": "right"}):
            assert (await client.post("/guard/login", data=wrong)).status_code == 401
        assert not client.cookies

    house.run(visit)
    assert house.webserver.seen == []


def test_a_program_s_launch_is_in_the_ledger_before_it_goes_on(house: House) -> None:
    async def visit(client: httpx.AsyncClient, _: Guard) -> None:
        done = await client.post("/graphql", json=LAUNCH, headers=bearer())
        assert done.json()["data"]["launchRun"]["run"] == {"runId": "r-1"}

    house.run(visit)
    assert house.webserver.seen == ["ledger: intent", "full: POST /graphql", "ledger: outcome"]
    intent, outcome = house.ledger.events
    assert (intent.actor, intent.action, intent.object) == (
        "program:console",
        "dagster.launch",
        "job:backup_full",
    )
    assert intent.details["reason"] == "by hand"
    assert (outcome.outcome, outcome.details["runs"]) == ("success", ["r-1"])
    assert intent.operation_id == outcome.operation_id
    _, headers, body = house.webserver.requests[0]
    assert b"program:console" in body
    assert not {"authorization", "cookie", "origin"} & set(headers)


def test_a_ledger_that_is_away_lets_nothing_change(house: House) -> None:
    house.ledger.away = True

    async def visit(client: httpx.AsyncClient, _: Guard) -> None:
        assert await refused(client.post("/graphql", json=LAUNCH, headers=bearer())) == "ledger-away"
        assert (await client.post("/graphql", json=QUERY, headers=bearer())).status_code == 200

    house.run(visit)
    assert house.webserver.seen == ["full: POST /graphql"]


@pytest.mark.parametrize(
    "answer",
    [
        {"data": {"launchRun": {"__typename": "RunConfigValidationInvalid"}}},
        {"data": {"launchRun": {"__typename": "SomethingNew"}}},
        {"data": None, "errors": [{"message": "x"}]},
        {"data": {"launchRun": {"__typename": "LaunchRunSuccess"}}, "errors": [{"message": "x"}]},
        {},
    ],
)
def test_what_is_not_known_as_success_is_none(house: House, answer: dict[str, Any]) -> None:
    house.webserver.answer = answer

    async def visit(client: httpx.AsyncClient, _: Guard) -> None:
        await client.post("/graphql", json=LAUNCH, headers=bearer())

    house.run(visit)
    assert [event.outcome for event in house.ledger.events] == [None, "failed"]


def test_a_person_changes_nothing_without_a_reason(house: House) -> None:
    async def visit(client: httpx.AsyncClient, _: Guard) -> None:
        await sign_in(client, "otto")
        assert await refused(client.post("/graphql", json=LAUNCH)) == "reason-missing"
        page = (await client.get("/guard/reason")).text
        key = page.partition("name='key' value='")[2].partition("'")[0]
        form = {"key": key, "reason": "ticket 7"}
        forged = await client.post("/guard/reason", data={**form, "key": "x"})
        assert forged.status_code == 403
        foreign = {"origin": "http://127.0.0.1:9999", "sec-fetch-site": "same-site"}
        assert (await client.post("/guard/reason", data=form, headers=foreign)).status_code == 403
        assert await refused(client.post("/graphql", json=LAUNCH)) == "reason-missing"
        assert (await client.post("/guard/reason", data=form)).status_code == 303
        assert (await client.post("/graphql", json=LAUNCH)).status_code == 200
        assert await refused(client.post("/graphql", json=WIPE)) == "role"
        house.now += 90
        assert (await client.post("/graphql", json=QUERY)).status_code == 200
        # The header is a program's: a page could not be told from its person.
        house.now += 90
        await client.get("/guard")
        key_left = {"ops-reason": "because"}
        house.now += 99
        assert (await client.post("/graphql", json=QUERY, headers=key_left)).status_code == 200
        assert (await client.post("/guard/logout", data={"key": key})).status_code == 303
        assert await refused(client.post("/graphql", json=QUERY)) == "signed-out"

    house.run(visit)
    assert [(one.actor, one.details["reason"]) for one in house.ledger.events if one.phase == "intent"] == [
        ("person:otto", "ticket 7")
    ]


def test_a_viewer_and_the_auditors_door_have_the_webserver_that_changes_nothing(house: House) -> None:
    async def visit(client: httpx.AsyncClient, _: Guard) -> None:
        await sign_in(client, "vera")
        assert (await client.get("/runs")).status_code == 200
        assert (await client.post("/graphql", json=QUERY)).status_code == 200
        for change in (LAUNCH, WIPE):
            assert await refused(client.post("/graphql", json=change)) == "role"
        client.cookies.clear()
        assert (await client.post(f"{AUDITORS}/graphql", json=QUERY, headers=bearer())).status_code == 200
        assert await refused(client.post(f"{AUDITORS}/graphql", json=LAUNCH, headers=bearer())) == "role"

    house.run(visit)
    assert {line.partition(":")[0] for line in house.webserver.seen} == {"readonly"}
    assert house.ledger.events == []


def test_nothing_but_graphql_by_post_changes_anything(house: House) -> None:
    async def visit(client: httpx.AsyncClient, _: Guard) -> None:
        await sign_in(client, "ada")
        text = str(LAUNCH["query"])
        for method, path, code in (
            ("GET", f"/graphql?query={text}", "method"),
            ("PUT", "/graphql", "method"),
            ("POST", "/graphql/", "method"),
            ("POST", "/", "method"),
            ("DELETE", "/runs", "method"),
            ("POST", "/report_asset_materialization/a", "endpoint"),
            ("GET", "/x/%2e%2e/graphql?query=x", "malformed"),
            ("GET", "/%5cgraphql", "malformed"),
            ("GET", "/a//graphql?query=x", "malformed"),
            ("POST", "/guard/health/x", "endpoint"),
        ):
            assert await refused(client.request(method, path)) == code, path
        large = {"query": "{ version } #" + "x" * 20_000}
        assert await refused(client.post("/graphql", json=large)) == "too-large"
        body = json.dumps(LAUNCH)
        for media in ("text/plain", "application/x-www-form-urlencoded"):
            answer = client.post("/graphql", content=body, headers={"content-type": media})
            assert await refused(answer) == "content-type"
        assert house.webserver.seen == []
        # GraphiQL's page comes, without the query that the webserver would run for another Accept.
        page = await client.get("/graphql", params={"query": text}, headers={"accept": "text/html"})
        assert page.status_code == 200
        assert house.webserver.requests[0][0].endswith("/graphql")
        assert house.webserver.requests[0][1]["accept"] == "text/html"

    house.run(visit)
    assert house.ledger.events == []


def test_an_event_of_an_external_asset_is_a_program_s(house: House) -> None:
    async def visit(client: httpx.AsyncClient, _: Guard) -> None:
        path = "/report_asset_materialization/slo/x"
        assert await refused(client.post(path, headers=bearer("looker"))) == "endpoint"
        assert (await client.post(path, headers=bearer(), json={"metadata": {}})).status_code == 200
        text = client.post(path, headers={**bearer(), "content-type": "text/plain"}, content="{}")
        assert await refused(text) == "content-type"

    house.run(visit)
    assert [(event.action, event.object) for event in house.ledger.events] == [
        ("dagster.report", "asset:slo/x")
    ] * 2


def test_answers_carry_the_guard_s_headers_and_none_that_open_it(house: House) -> None:
    async def visit(client: httpx.AsyncClient, guard: Guard) -> None:
        page = await client.get("/runs", headers=bearer())
        assert page.content == b"page" * 5000
        assert page.headers["x-frame-options"] == "DENY"
        assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
        assert page.headers["x-content-type-options"] == "nosniff"
        assert page.headers["x-kept"] == "1"
        assert not {"set-cookie", "access-control-allow-origin"} & set(page.headers)
        for headers in (
            {"host": "evil.example"},
            {"origin": "http://evil.example"},
            {"sec-fetch-site": "cross-site"},
        ):
            assert (await client.get("/runs", headers={**bearer(), **headers})).status_code in (403, 421)
        metrics = (await client.get("/guard/metrics", headers=bearer("looker"))).text
        assert 'guard_refused_requests_total{code="host"} 1.0' in metrics
        assert 'guard_refused_requests_total{code="origin"} 2.0' in metrics

    house.run(visit)
    assert len(house.webserver.seen) == 1


def test_whoever_guesses_passwords_waits(house: House) -> None:
    async def visit(client: httpx.AsyncClient, _: Guard) -> None:
        form = {"name": "otto", "password": "wrong"}
        codes = [(await client.post("/guard/login", data=form)).status_code for _ in range(OF_ADDRESS + 1)]
        assert codes == [401] * OF_ADDRESS + [429]
        right = {**form, "password": "right"}
        assert (await client.post("/guard/login", data=right)).status_code == 429

    house.run(visit)


@pytest.mark.parametrize(
    ("message", "is_sent"),
    [
        ({"type": "connection_init", "payload": {}}, True),
        ({"type": "stop", "id": "1"}, True),
        ({"type": "start", "id": "1", "payload": {"query": "subscription { pipelineRunLogs { x } }"}}, True),
        ({"type": "start", "id": "1", "payload": {"query": "mutation { setNuxSeen }"}}, False),
        ({"type": "start", "id": "1", "payload": {"query": "{ version }"}}, False),
        ({"type": "start", "id": "1", "payload": {"query": "subscription A { x } mutation B { y }"}}, False),
        ({"type": "start", "id": "1", "payload": [{"query": "subscription { x }"}]}, False),
        ({"type": "start", "id": {}, "payload": {"query": "subscription { x }"}}, False),
        ({"type": "execute", "id": "1"}, False),
        ({"type": "stop", "id": "1" * 5000}, False),
        ([], False),
    ],
)  # fmt: skip
def test_only_subscriptions_go_over_a_websocket(message: Any, is_sent: bool) -> None:
    text = json.dumps(message)
    if is_sent:
        assert subscription.judged(text, 2000)["type"] == message["type"]
    else:
        with pytest.raises(Refusal):
            subscription.judged(text, 2000)
