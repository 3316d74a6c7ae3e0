"""Requests and their transitions on a real ops database, with the API's own privileges."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from ops_platform.clients.postgres import connection as postgres
from ops_platform.gdpr.requests import lifecycle as requests
from ops_platform.gdpr.requests import token as tokens
from ops_platform.gdpr.requests.deadlines import MAIL_AGAIN_AFTER, VERIFY_WITHIN
from ops_platform.gdpr.requests.lifecycle import (
    MAX_WRONG_TOKENS,
    AlreadyVerified,
    Consent,
    NotPossible,
    TokenExpired,
    UnknownRequest,
)
from ops_platform_tests.gdpr.requests_database import API, T0, Requests, token_in
from ops_platform_tests.services import OpsDatabase

pytestmark = pytest.mark.services
LATER = T0 + MAIL_AGAIN_AFTER
SECOND = timedelta(seconds=1)


def test_from_the_wish_to_the_verified_request(table: Requests) -> None:
    made = table.make()
    request = made.request
    assert (made.created, made.mailed, request.status, request.due_at) == (True, True, "pending", None)
    (mail,) = table.mails(request.request_id)
    token = token_in(mail)
    assert f"{API}/api/gdpr/verify?lang=en#request={request.request_id}&token={token}" in mail
    assert tokens.as_code(token) in mail
    verified = table.verify(request.request_id, token, LATER)
    assert (verified.status, verified.progress, verified.verified_at) == ("pending", "verified", LATER)
    assert verified.due_at == LATER + timedelta(hours=72)
    assert table.steps(request.request_id) == ["pending", "verified"]


def test_what_a_token_would_confirm_is_told_and_the_token_stays_good(table: Requests) -> None:
    request = table.make().request
    token = table.token(request.request_id)
    before = table.row(request.request_id)
    described = requests.describe(table.connection, request.request_id, token, now=T0)
    assert described == requests.Description(request, None)
    assert table.row(request.request_id) == before
    with pytest.raises(UnknownRequest):
        requests.describe(table.connection, request.request_id, tokens.new_token(), now=T0)
    assert table.row(request.request_id)["wrong_tokens"] == 1
    with pytest.raises(TokenExpired):
        requests.describe(table.connection, request.request_id, token, now=T0 + VERIFY_WITHIN)
    table.verify(request.request_id, token)
    with pytest.raises(AlreadyVerified):
        requests.describe(table.connection, request.request_id, token, now=T0)


def test_the_token_is_stored_nowhere_but_in_the_mail(table: Requests) -> None:
    request = table.make().request
    token = table.token(request.request_id)
    assert table.row(request.request_id)["verification_token"] == tokens.digest(token)
    table.verify(request.request_id, token)
    row = table.row(request.request_id)
    assert row["verification_token"] is None
    assert token not in str(row)
    with table.database.superuser() as superuser:
        lineage = str(superuser.execute("SELECT * FROM gdpr_lineage").fetchall())
    assert "example.org" not in lineage
    assert str(request.subject) not in lineage


def test_a_second_wish_is_answered_with_the_first(table: Requests) -> None:
    subject = uuid4()
    first = table.make(subject)
    again = table.make(subject, now=LATER - SECOND)
    assert (again.request.request_id, again.created, again.mailed) == (
        first.request.request_id,
        False,
        False,
    )
    assert table.make(subject, "export").request.request_id != first.request.request_id
    assert table.make(uuid4()).created


def test_another_mail_replaces_the_token(table: Requests) -> None:
    subject = uuid4()
    request = table.make(subject).request
    old = table.token(request.request_id)
    assert not table.make(subject, now=LATER).mailed, "the first mail has not left yet"
    table.sent()
    again = table.make(subject, now=LATER)
    assert again.mailed
    assert again.request.verification_expires_at == LATER + VERIFY_WITHIN
    with pytest.raises(UnknownRequest):
        table.verify(request.request_id, old, LATER)
    table.verify(request.request_id, table.token(request.request_id), LATER)
    table.sent()
    assert not table.make(subject, now=LATER + timedelta(hours=1)).mailed, "it is verified"


def test_a_token_works_once_and_for_its_request_only(table: Requests) -> None:
    one, other = table.make().request, table.make().request
    token = table.token(one.request_id)
    for request_id, typed in [
        (other.request_id, token),
        (one.request_id, tokens.new_token()),
        (one.request_id, ""),
        (one.request_id, "\x00" + token),
        (one.request_id, token * 200),
        ("no such request", token),
    ]:
        with pytest.raises(UnknownRequest):
            table.verify(request_id, typed)
    typed_by_hand = tokens.as_code(token).lower().replace("0", "o").replace("1", "l").replace("-", " ")
    table.verify(one.request_id, typed_by_hand)
    with pytest.raises(AlreadyVerified):
        table.verify(one.request_id, token)
    with pytest.raises(UnknownRequest):
        table.verify(one.request_id, tokens.new_token())


def test_the_token_ends_with_its_day(table: Requests) -> None:
    one, other = table.make().request, table.make().request
    table.verify(one.request_id, table.token(one.request_id), T0 + VERIFY_WITHIN - SECOND)
    token = table.token(other.request_id)
    with pytest.raises(TokenExpired):
        table.verify(other.request_id, token, T0 + VERIFY_WITHIN)
    assert table.expire(T0 + VERIFY_WITHIN - SECOND) == 0
    assert (table.expire(T0 + VERIFY_WITHIN), table.expire(T0 + VERIFY_WITHIN)) == (1, 0)
    with pytest.raises(TokenExpired):
        table.verify(other.request_id, token, T0 + VERIFY_WITHIN)
    row = table.row(other.request_id)
    assert (row["status"], row["outcome"], row["completed_at"]) == ("failed", "expired", T0 + VERIFY_WITHIN)
    assert table.steps(other.request_id) == ["pending", "expired"]


def test_after_an_unverified_one_a_new_one_can_be_made_at_once(table: Requests) -> None:
    subject = uuid4()
    first, second = table.make(subject), table.make(subject, now=T0 + VERIFY_WITHIN)
    assert second.created
    assert table.row(first.request.request_id)["outcome"] == "expired"


def test_guessing_is_counted_and_ends(table: Requests) -> None:
    subject = uuid4()
    request = table.make(subject).request
    for _ in range(MAX_WRONG_TOKENS):
        with pytest.raises(UnknownRequest):
            table.verify(request.request_id, tokens.new_token())
    assert table.row(request.request_id)["wrong_tokens"] == MAX_WRONG_TOKENS
    with pytest.raises(TokenExpired):
        table.verify(request.request_id, table.token(request.request_id))
    table.sent()
    table.make(subject, now=LATER)
    table.verify(request.request_id, table.token(request.request_id), LATER)


def test_cancelling_is_possible_until_the_work_begins(table: Requests) -> None:
    subject = uuid4()
    request = table.make(subject).request
    token = table.token(request.request_id)
    with pytest.raises(UnknownRequest):
        table.cancel(request.request_id, uuid4())
    assert table.cancel(request.request_id, subject).outcome == "cancelled"
    assert table.cancel(request.request_id, subject, LATER).completed_at == T0, "twice is once"
    assert table.steps(request.request_id) == ["pending", "cancelled"]
    with pytest.raises(NotPossible):
        table.verify(request.request_id, token)

    second = table.make(subject).request
    table.verify(second.request_id, table.token(second.request_id))
    table.claim(second.request_id, "processing")
    with pytest.raises(NotPossible):
        table.cancel(second.request_id, subject)
    assert table.steps(second.request_id) == ["pending", "verified", "processing"]


def test_consent_is_kept_with_its_wording(table: Requests) -> None:
    request = table.make().request
    token = table.token(request.request_id)
    requests.verify(table.connection, request.request_id, token, now=LATER, consent=Consent("2026-01"))
    row = table.row(request.request_id)
    assert (row["consent_version"], row["consented_at"]) == ("2026-01", LATER)


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ([("processing", None)], False),
        ([("completed", None)], False),
        ([("failed", None)], False),
        (["verify", ("processing", None), ("completed", "fulfilled")], True),
        (["verify", ("processing", None), ("failed", "error"), ("processing", None)], True),
        (["verify", ("processing", None), ("failed", "cancelled")], False),
        (["verify", ("processing", None), ("pending", None)], False),
        (["verify", ("processing", None), ("completed", "fulfilled"), ("processing", None)], False),
        ([("failed", "cancelled"), ("processing", None)], False),
    ],
)
def test_no_writer_can_leave_the_protocol(table: Requests, path: list[Any], allowed: bool) -> None:
    request = table.make().request
    *before, last = path
    for step in before:
        if step == "verify":
            table.verify(request.request_id, table.token(request.request_id))
        else:
            table.claim(request.request_id, *step)
    steps = table.steps(request.request_id)
    if allowed:
        table.claim(request.request_id, *last)
        assert table.steps(request.request_id) == [*steps, last[0]]
    else:
        with pytest.raises(psycopg.errors.CheckViolation):
            table.claim(request.request_id, *last)
        assert table.steps(request.request_id) == steps


def test_lists_are_the_subjects_own(table: Requests) -> None:
    anna, bert = uuid4(), uuid4()
    mine = [table.make(anna).request.request_id, table.make(anna, "export").request.request_id]
    table.make(bert)
    assert [one.request_id for one in requests.find_all(table.connection, anna)] == mine[::-1]
    assert requests.find(table.connection, mine[0], anna).request_id == mine[0]
    with pytest.raises(UnknownRequest):
        requests.find(table.connection, mine[0], bert)


def test_many_wishes_at_once_are_one_request_and_one_mail(table: Requests) -> None:
    subject = uuid4()

    def wish(_: int) -> requests.Submission:
        with postgres.session(table.database.url("ops_api")) as connection:
            return replace(table, connection=connection).make(subject)

    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(wish, range(24)))
    assert len({one.request.request_id for one in made}) == 1
    assert sum(one.created for one in made) == 1
    assert len(table.mails(made[0].request.request_id)) == 1


def test_many_clicks_at_once_verify_once_and_guesses_are_all_counted(table: Requests) -> None:
    request = table.make().request
    token = table.token(request.request_id)

    def click(number: int) -> str:
        with postgres.session(table.database.url("ops_api")) as connection:
            try:
                typed = token if number % 4 == 3 else tokens.new_token()
                replace(table, connection=connection).verify(request.request_id, typed)
            except requests.RequestError as error:
                return type(error).__name__
            return "verified"

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(click, range(12)))
    assert answers.count("verified") == 1
    assert answers.count("AlreadyVerified") == 2
    assert table.steps(request.request_id) == ["pending", "verified"]


class Dying:
    """A connection that breaks after some statements, as that of a killed process does."""

    def __init__(self, connection: Any, statements: int) -> None:
        self._connection, self._left = connection, statements

    def execute(self, *arguments: Any) -> Any:
        if not self._left:
            self._connection.close()
            raise ConnectionError("killed")
        self._left -= 1
        return self._connection.execute(*arguments)


def deaths(database: OpsDatabase, act: Any) -> Iterator[int]:
    """``act`` killed before each of its statements, and at its commit; yields after each death."""
    for statements in range(20):
        connection = postgres.connect(database.url("ops_api"))
        try:
            act(Dying(connection, statements))
        except ConnectionError:
            yield statements
        else:
            connection.close()  # without a commit
            yield statements
            return
    raise AssertionError("more statements than expected")


def test_a_death_between_two_lines_leaves_all_or_nothing(table: Requests) -> None:
    def wish(connection: Any) -> None:
        requests.submit(
            connection, uuid4(), "erasure", email="a@example.org", language="fr", api_url=API, now=T0
        )

    for _ in deaths(table.database, wish):
        assert [table.count(name) for name in ("gdpr_requests", "gdpr_lineage", "mail_outbox")] == [0, 0, 0]

    request = table.make().request
    token = table.token(request.request_id)
    before = table.row(request.request_id)
    for _ in deaths(table.database, lambda c: requests.verify(c, request.request_id, token, now=T0)):
        assert (table.row(request.request_id), table.steps(request.request_id)) == (before, ["pending"])
    for _ in deaths(
        table.database, lambda c: requests.cancel(c, request.request_id, request.subject, now=T0)
    ):
        assert (table.row(request.request_id), table.steps(request.request_id)) == (before, ["pending"])
    table.verify(request.request_id, token)
