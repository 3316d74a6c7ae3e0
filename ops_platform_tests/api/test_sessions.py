"""Sign-in by mail over HTTP: what a session may, and that nobody learns whose address is known."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ops_platform.api import sessions
from ops_platform.api.edge import guards
from ops_platform.gdpr.requests import sign_in
from ops_platform.gdpr.requests import token as tokens
from ops_platform_tests.api.house import EMAIL, Answer, House, certified, exported, problem
from ops_platform_tests.gdpr.requests.test_sign_in import links

pytestmark = pytest.mark.services


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "ANSWER_SECONDS", 0.0)


def ask(api: House, email: str) -> Answer:
    return api.send("POST", "/api/gdpr/sign-in", json={"email": email, "language": "fr"})


def signed_in(api: House) -> dict[str, str]:
    ask(api, EMAIL)
    (_, token) = links(api.table)[-1]
    begun = api.send("POST", "/api/gdpr/session", json={"token": token})
    assert begun.status_code == 200, begun.text
    problem(api.send("POST", "/api/gdpr/session", json={"token": token}), 404, "not-found")
    return {"Authorization": f"Bearer {begun.json()['session']}"}


def test_a_session_looks_downloads_and_cancels_but_makes_no_request(api: House) -> None:
    api.unlimited()
    anna = api.person()
    bert = api.request(api.person("bert@example.org")).json()["request_id"]
    export, erased = exported(api, anna), certified(api, anna)
    open_request = api.request(anna).json()["request_id"]
    session = signed_in(api)
    listed = api.send("GET", "/api/gdpr/requests", headers=session).json()["requests"]
    assert [one["request_id"] for one in listed] == [open_request, erased, export]
    assert [one["has_certificate"] for one in listed] == [False, True, False]
    assert [one["download_until"] for one in listed] == [None, None, "2026-03-04T12:00:00Z"]
    # The product's own token of an account that has been erased shows none of them.
    problem(api.send("GET", "/api/gdpr/requests", headers=api.bearer(anna)), 401, "unauthorized")
    # Nor that of one who was erased on the command line, as of this kind of subject.
    cleo = api.person("cleo@example.org")
    for requestable, status in ((False, 200), (True, 401)):
        api.table.worker.execute(
            "INSERT INTO erasure_tombstones (stanza, subject_type, subject_key, subject_key_type, erased_at, "
            "completed_at, gdpr_request_id, requestable) VALUES ('main', %s, %s, 'uuid', %s, %s, 'x', %s)",
            (str(requestable), str(cleo), api.now, api.now, requestable),
        )
        listed_by = api.send("GET", "/api/gdpr/requests", headers=api.bearer(cleo))
        assert listed_by.status_code == status
    assert api.send("GET", f"/api/gdpr/status/{erased}", headers=session).json() == listed[1]
    assert api.send("GET", f"/api/gdpr/download/{export}", headers=session).status_code == 200
    certificate = api.send("GET", f"/api/gdpr/certificate/{erased}", headers=session)
    wrapped = certificate.json()
    assert wrapped == {"certificate": wrapped["certificate"], "key_id": "key", "signature": "c2ln"}
    assert wrapped["certificate"]["request_id"] == erased
    name = f'attachment; filename="erasure-certificate-{erased}.json"'
    assert certificate.headers["content-disposition"] == name
    problem(api.send("GET", f"/api/gdpr/certificate/{export}", headers=session), 409, "no-certificate")
    page = api.send("GET", f"/api/gdpr/certificate/{erased}", headers={**session, "Accept": "text/html"})
    assert page.headers["content-disposition"] == name.replace(".json", ".html")
    assert f"<dd>{erased}</dd>" in page.text
    problem(api.send("GET", f"/api/gdpr/status/{bert}", headers=session), 404, "not-found")
    wish = {"request_type": "erasure"}
    problem(api.send("POST", "/api/gdpr/request", json=wish, headers=session), 401, "unauthorized")
    path = f"/api/gdpr/request/{open_request}"
    assert api.send("DELETE", path, headers=session).json()["outcome"] == "cancelled"
    assert api.send("DELETE", "/api/gdpr/session", headers=session).status_code == 204
    problem(api.send("GET", "/api/gdpr/requests", headers=session), 401, "unauthorized")
    problem(api.send("DELETE", "/api/gdpr/session"), 401, "unauthorized")


def test_a_session_is_over_after_15_minutes(api: House) -> None:
    api.request(api.person())
    session = signed_in(api)
    assert api.send("GET", "/api/gdpr/requests", headers=session).status_code == 200
    api.pass_time(sign_in.SESSION_LIFETIME)
    problem(api.send("GET", "/api/gdpr/requests", headers=session), 401, "unauthorized")


def test_every_address_gets_the_same_answer_five_times(api: House) -> None:
    api.request(api.person())
    known, unknown = ask(api, EMAIL), ask(api, "eve@example.org")
    assert (
        (known.status_code, known.json())
        == (unknown.status_code, unknown.json())
        == (202, {"valid_minutes": 60})
    )
    assert [recipient for recipient, _ in links(api.table)] == [EMAIL]
    for address in ("192.0.2.2", "192.0.2.3", "192.0.2.4", "192.0.2.5"):
        sent = {"email": EMAIL.upper(), "language": None}
        assert api.send("POST", "/api/gdpr/sign-in", json=sent, address=address).status_code == 202
    problem(
        api.send("POST", "/api/gdpr/sign-in", json={"email": EMAIL}, address="192.0.2.6"), 429, "rate-limited"
    )


def test_headers_do_not_tell_how_often_others_asked_for_a_mailbox(api: House) -> None:
    ask(api, EMAIL)
    sent = {"email": EMAIL, "language": None}
    seen = api.send("POST", "/api/gdpr/sign-in", json=sent, address="192.0.2.9")
    assert seen.headers["ratelimit-remaining"] == str(api.service.window.limit - 1)


def test_a_failure_does_not_tell_whose_address_is_known(api: House) -> None:
    api.request(api.person())
    api.change(addresses=replace(api.service.addresses, table="nowhere"))
    known, unknown = ask(api, EMAIL), ask(api, "eve@example.org")
    assert known.status_code == unknown.status_code != 202
    assert known.json() == unknown.json()


def test_a_session_downloads_nothing_when_the_address_has_changed(api: House) -> None:
    anna = api.person()
    export = exported(api, anna)
    session = signed_in(api)
    with api.product.superuser("product") as superuser:
        superuser.execute("UPDATE people SET email = 'anna@new.example' WHERE id = %s", (anna,))
    path = f"/api/gdpr/download/{export}"
    problem(api.send("GET", path, headers=session), 401, "unauthorized")
    problem(api.send("GET", "/api/gdpr/requests", headers=session), 401, "unauthorized")
    assert api.send("GET", path, headers=api.bearer(anna)).status_code == 200


def test_made_up_sessions_are_refused_before_the_database(
    api: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guards, "REFUSED_SESSIONS_TIMES", 1)
    api.request(api.person())
    session = signed_in(api)
    for _ in range(api.service.window.limit):
        made_up = {"Authorization": f"Bearer {tokens.new_token()}"}
        problem(api.send("GET", "/api/gdpr/requests", headers=made_up), 401, "unauthorized")
    problem(api.send("GET", "/api/gdpr/requests", headers=made_up), 429, "rate-limited")
    elsewhere = api.send("GET", "/api/gdpr/requests", headers=session, address="192.0.2.77")
    assert elsewhere.status_code == 200


@pytest.mark.parametrize("email", ["\x00@example.org", "a\nb@example.org", "x" * 320, "%%%"])
def test_what_is_no_address_is_answered_alike(api: House, email: str) -> None:
    assert ask(api, email).json() == {"valid_minutes": 60}
    assert links(api.table) == []
