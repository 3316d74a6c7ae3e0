"""What subjects do over HTTP, from the wish to the verified request, and what is refused."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from ops_platform.api.edge.shield import LARGEST_BODY_BYTES
from ops_platform_tests.api.house import Answer, House, exported, problem

pytestmark = pytest.mark.services


def test_from_the_wish_to_the_verified_request(api: House) -> None:
    anna = api.person()
    made = api.request(anna, headers={"Accept-Language": "fr-FR, en;q=0.5"})
    assert made.status_code == 202
    body = made.json()
    assert {**body, "status": "pending", "mail_sent": True, "verified_at": None} == body
    assert made.headers["location"] == f"/api/gdpr/status/{body['request_id']}"
    (mail,) = api.table.mails(body["request_id"])
    assert "Pour confirmer" in mail
    token = api.table.token(body["request_id"])
    verified = api.verify(body["request_id"], token)
    assert verified.status_code == 200
    assert verified.json()["due_at"] == "2026-03-04T12:00:00Z"
    status = api.send("GET", made.headers["location"], headers=api.bearer(anna))
    assert status.json() == verified.json() | {"updated_at": status.json()["updated_at"]}
    listed = api.send("GET", "/api/gdpr/requests", headers=api.bearer(anna)).json()
    assert listed == {"requests": [status.json()]}
    problem(api.verify(body["request_id"], token), 409, "already-confirmed")


def test_a_token_that_outlives_its_account_lists_nothing(api: House) -> None:
    anna = api.person()
    request_id = api.request(anna, "erasure").json()["request_id"]
    api.verify(request_id, api.table.token(request_id))
    assert api.send("GET", "/api/gdpr/requests", headers=api.bearer(anna)).status_code == 200
    for status in ("processing", "completed"):
        api.table.claim(request_id, status)
    problem(api.send("GET", "/api/gdpr/requests", headers=api.bearer(anna)), 401, "unauthorized")
    # Its own request, whose id only they know, tells that it is done.
    told = api.send("GET", f"/api/gdpr/status/{request_id}", headers=api.bearer(anna))
    assert told.json()["status"] == "completed"


def test_the_address_is_the_one_on_record_never_the_bodys(api: House) -> None:
    anna = api.person("anna.on.record@example.org")
    sent = {"request_type": "erasure", "email": "eve@example.org", "requestor_email": "eve@example.org"}
    made = api.send("POST", "/api/gdpr/request", json=sent, headers=api.bearer(anna))
    row = api.table.row(made.json()["request_id"])
    assert row["requestor_email"] == "anna.on.record@example.org"
    assert "example.org" not in made.text


@pytest.mark.parametrize("email", [None, "", "no address"])
def test_without_an_address_on_record_nothing_is_made(api: House, email: str | None) -> None:
    problem(api.request(api.person(email)), 403, "no-account")
    problem(api.request(uuid4()), 403, "no-account")
    assert api.table.count("gdpr_requests") == 0


def test_a_second_request_is_the_first_and_mails_again_when_that_is_old(api: House) -> None:
    anna = api.person()
    first = api.request(anna).json()
    api.table.sent()
    again = api.request(anna).json()
    assert (again["request_id"], again["mail_sent"]) == (first["request_id"], False)
    api.pass_time(timedelta(minutes=5))
    later = api.request(anna).json()
    assert (later["request_id"], later["mail_sent"]) == (first["request_id"], True)


def describe(api: House, request_id: str, token: str) -> Answer:
    return api.send("POST", f"/api/gdpr/verify/{request_id}/description", json={"token": token})


def test_what_the_token_would_confirm_is_told_without_using_it_up(api: House) -> None:
    made = api.request(api.person(), "export", headers={"Accept-Language": "fr"}).json()
    token = api.table.token(made["request_id"])
    described = describe(api, made["request_id"], token)
    assert described.status_code == 200
    assert described.json() == {
        **{name: value for name, value in made.items() if name != "mail_sent"},
        "export_until": None,
        "export_fetched": False,
        "could_wait_until": None,
    }
    assert (made["request_type"], made["language"]) == ("export", "fr")
    unknown = describe(api, str(uuid4()), token)
    problem(unknown, 404, "not-found")
    assert describe(api, made["request_id"], "x" * 52).json() == unknown.json()
    assert api.metric("gdpr_api_wrong_tokens_total") == 2
    for _ in range(2):
        describe(api, made["request_id"], token)
    problem(describe(api, made["request_id"], token), 429, "rate-limited")
    # Whoever looked as often as that can still confirm.
    assert api.verify(made["request_id"], token).status_code == 200


@pytest.mark.parametrize(
    ("wanted", "header", "language"), [("fr", "en", "fr"), (None, "fr", "fr"), (None, None, "en")]
)
def test_the_language_is_in_the_request(
    api: House, wanted: str | None, header: str | None, language: str
) -> None:
    sent = {"request_type": "erasure", **({"language": wanted} if wanted else {})}
    headers = {**api.bearer(api.person()), **({"Accept-Language": header} if header else {})}
    made = api.send("POST", "/api/gdpr/request", json=sent, headers=headers).json()
    assert made["language"] == api.table.row(made["request_id"])["language"] == language
    assert f"/api/gdpr/verify?lang={language}#" in api.table.mails(made["request_id"])[0]


def test_an_erasure_says_which_export_it_deletes_and_waits_for_it(api: House) -> None:
    api.unlimited()
    anna = api.person()
    export = exported(api, anna)
    api.pass_time(timedelta(hours=1))
    request_id = api.request(anna).json()["request_id"]
    token = api.table.token(request_id)
    described = describe(api, request_id, token).json()
    assert described["export_until"] == "2026-03-04T12:00:00Z"
    assert (described["export_fetched"], described["could_wait_until"]) == (False, "2026-03-03T13:00:00Z")
    assert api.send("GET", f"/api/gdpr/download/{export}", headers=api.bearer(anna)).status_code == 200
    assert describe(api, request_id, token).json()["export_fetched"] is True
    body = {"token": token, "existing_export": "wait"}
    confirmed = api.send("POST", f"/api/gdpr/verify/{request_id}", json=body).json()
    assert confirmed["waits_until"] == "2026-03-03T13:00:00Z"
    # Both are shown as the erasure keeps them, not as they were promised before.
    listed = api.send("GET", "/api/gdpr/requests", headers=api.bearer(anna)).json()["requests"]
    assert [one["waits_until"] for one in listed] == ["2026-03-03T13:00:00Z", None]
    assert [one["download_until"] for one in listed] == [None, "2026-03-03T13:00:00Z"]
    api.pass_time(timedelta(hours=1))
    api.send("GET", f"/api/gdpr/download/{export}", headers=api.bearer(anna))
    shown = api.send("GET", f"/api/gdpr/status/{request_id}", headers=api.bearer(anna)).json()
    assert shown["waits_until"] == "2026-03-01T17:00:00Z"


def test_an_erasure_that_waits_for_a_copy_in_the_making_says_so(api: House) -> None:
    api.unlimited()
    anna = api.person()
    for request_type in ("export", "erasure"):
        request_id = api.request(anna, request_type).json()["request_id"]
        api.verify(request_id, api.table.token(request_id))
    shown = api.send("GET", f"/api/gdpr/status/{request_id}", headers=api.bearer(anna)).json()
    assert shown["waits_until"] == "2026-03-03T12:00:00Z"


def test_cancelling(api: House) -> None:
    anna, bert = api.person(), api.person()
    request_id = api.request(anna).json()["request_id"]
    token = api.table.token(request_id)
    path = f"/api/gdpr/request/{request_id}"
    problem(api.send("DELETE", path, headers=api.bearer(bert)), 404, "not-found")
    for _ in range(2):
        done = api.send("DELETE", path, headers=api.bearer(anna))
        assert (done.status_code, done.json()["outcome"]) == (200, "cancelled")
    problem(api.verify(request_id, token), 409, "cancelled")
    api.pass_time(timedelta(minutes=15))
    second = api.request(anna).json()["request_id"]
    api.verify(second, api.table.token(second))
    api.table.claim(second, "processing")
    problem(api.send("DELETE", f"/api/gdpr/request/{second}", headers=api.bearer(anna)), 409, "too-late")


def test_expired_tokens(api: House) -> None:
    request_id = api.request(api.person()).json()["request_id"]
    api.pass_time(timedelta(hours=24))
    problem(api.verify(request_id, api.table.token(request_id)), 410, "expired")


def test_two_subjects_cannot_see_or_touch_each_others_requests(api: House) -> None:
    api.unlimited()
    anna, bert = api.person(), api.person()
    request_id = api.request(anna, "export").json()["request_id"]
    before = api.table.row(request_id)
    for method, path in [
        ("GET", "/api/gdpr/status/{}"),
        ("GET", "/api/gdpr/download/{}"),
        ("DELETE", "/api/gdpr/request/{}"),
    ]:
        theirs = api.send(method, path.format(request_id), headers=api.bearer(bert))
        for nobodys in (str(uuid4()), request_id[:-1], request_id + "0", "x", "%00", "%FF", "a" * 5000):
            none = api.send(method, path.format(nobodys), headers=api.bearer(bert))
            assert (none.status_code, none.json()) == (404, theirs.json()), nobodys
        problem(theirs, 404, "not-found")
    assert api.send("GET", "/api/gdpr/requests", headers=api.bearer(bert)).json() == {"requests": []}
    mine = api.request(bert, "export").json()["request_id"]
    crossed = api.verify(request_id, api.table.token(mine))
    assert crossed.json() == api.verify(str(uuid4()), "x").json()
    after = api.table.row(request_id)
    assert {**after, "wrong_tokens": 0} == {**before, "updated_at": after["updated_at"]}
    assert api.metric("gdpr_api_wrong_tokens_total") == 2


def test_download_while_there_is_no_export(api: House) -> None:
    anna = api.person()
    ids = {kind: api.request(anna, kind).json()["request_id"] for kind in ("erasure", "export")}
    path = "/api/gdpr/download/"
    problem(api.send("GET", path + ids["erasure"], headers=api.bearer(anna)), 409, "no-export")
    problem(api.send("GET", path + ids["export"], headers=api.bearer(anna)), 409, "not-ready")
    api.send("DELETE", f"/api/gdpr/request/{ids['export']}", headers=api.bearer(anna))
    problem(api.send("GET", path + ids["export"], headers=api.bearer(anna)), 404, "not-found")


def test_consent_is_asked_for_before_the_token_is_used(api: House) -> None:
    api.change(consent_version="2026-01")
    request_id = api.request(api.person()).json()["request_id"]
    token = api.table.token(request_id)
    problem(api.verify(request_id, token), 422, "consent-missing")
    body = {"token": token, "consent": True}
    assert api.send("POST", f"/api/gdpr/verify/{request_id}", json=body).status_code == 200
    assert api.table.row(request_id)["consent_version"] == "2026-01"


JSON = {"Content-Type": "application/json"}
BAD_BODIES: list[tuple[Any, dict[str, str], int, str]] = [
    (b"{", JSON, 400, "malformed-json"),
    (b"", JSON, 400, "malformed-json"),
    (b"\xff\xfe\x00", JSON, 400, "malformed-json"),
    (b"[" * 10_000, JSON, 400, "malformed-json"),
    (b"9" * 10_000, JSON, 400, "malformed-json"),
    (b"[]", JSON, 422, "invalid-body"),
    (b"null", JSON, 422, "invalid-body"),
    (b'{"request_type": "delete", "token": 5}', JSON, 422, "invalid-body"),
    (b'{"request_type": ["erasure"], "token": []}', JSON, 422, "invalid-body"),
    (b'{"\\ud800": "anna@example.org"}', JSON, 422, "invalid-body"),
    (b'{"request_type": "erasure", "token": ""}', {"Content-Type": "text/plain"}, 415, "not-json"),
    (b'{"request_type": "erasure", "token": ""}', {}, 415, "not-json"),
    (b" " * (LARGEST_BODY_BYTES + 1), JSON, 413, "body-too-large"),
]


@pytest.mark.parametrize(
    "path",
    ["/api/gdpr/request", "/api/gdpr/verify/x", "/api/gdpr/verify/x/description", "/api/gdpr/session"],
)
def test_bad_bodies_are_problems_that_repeat_nothing(api: House, path: str) -> None:
    api.unlimited()
    for content, headers, status, name in BAD_BODIES:
        sent = {**api.bearer(api.person()), **headers}
        answer = api.send("POST", path, content=content, headers=sent)
        problem(answer, status, name)
        assert "example.org" not in answer.text


def test_a_body_without_a_length_is_limited_too(api: House) -> None:
    async def endless() -> Any:
        for _ in range(100):
            yield b" " * 1024

    answer = api.send(
        "POST", "/api/gdpr/request", content=endless(), headers={**api.bearer(api.person()), **JSON}
    )
    problem(answer, 413, "body-too-large")


@pytest.mark.parametrize(
    ("method", "path", "status", "name"),
    [
        ("GET", "/", 404, "not-found"),
        ("GET", "/docs", 404, "not-found"),
        ("GET", "/metrics", 404, "not-found"),
        ("GET", "/api/gdpr/status/", 404, "not-found"),
        ("GET", "/api/gdpr/../../etc/passwd", 404, "not-found"),
        ("PUT", "/api/gdpr/request", 405, "method-not-allowed"),
        ("GET", "/api/gdpr/verify/x", 405, "method-not-allowed"),
    ],
)
def test_what_is_not_there(api: House, method: str, path: str, status: int, name: str) -> None:
    answer = api.send(method, path)
    problem(answer, status, name)
    assert ("allow" in answer.headers) == (status == 405)


def test_every_answer_has_its_security_headers(api: House) -> None:
    for path in ("/healthz", "/nothing", "/api/gdpr/verify", "/api/gdpr/requests"):
        headers = api.send("GET", path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert headers["referrer-policy"] == "no-referrer"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["strict-transport-security"] == "max-age=31536000"
        assert "server" not in headers


def test_an_unforeseen_error_is_a_problem_and_its_log_quotes_nothing(
    api: House, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> Any:
        raise RuntimeError("anna@example.org")

    anna = api.person()
    api.change(clock=broken)
    problem(api.request(anna), 500, "unexpected")
    assert "RuntimeError" in caplog.text
    assert "anna" not in caplog.text
    assert api.metric("gdpr_api_responses_total", operation="request", status="500") == 1


def test_health_and_the_description(api: House) -> None:
    assert api.send("GET", "/healthz").json() == {"status": "ok"}
    assert api.send("GET", "/readyz").json() == {"status": "ok"}
    described = api.send("GET", "/openapi.json").json()
    assert set(described["paths"]) == {
        "/api/gdpr/request", "/api/gdpr/request/{requestId}", "/api/gdpr/verify/{requestId}",
        "/api/gdpr/verify/{requestId}/description", "/api/gdpr/certificate/{requestId}",
        "/api/gdpr/status", "/api/gdpr/sign-in", "/api/gdpr/session",
        "/api/gdpr/status/{requestId}", "/api/gdpr/requests", "/api/gdpr/download/{requestId}",
        "/api/gdpr/download/{requestId}/received",
        "/api/gdpr/verify", "/healthz", "/readyz",
    }  # fmt: skip
    assert "$defs" not in json.dumps(described)


def test_alerts_find_their_counters_at_zero(api: House) -> None:
    assert api.metric("gdpr_api_wrong_tokens_total") == 0
    for status in ("401", "404", "429"):
        assert api.metric("gdpr_api_responses_total", operation="verify", status=status) == 0
