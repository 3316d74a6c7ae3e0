"""Sign-in by mail on a real ops database, with the API's own privileges."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from ops_platform.clients.mail import outbox
from ops_platform.gdpr.requests import sign_in, unsent_mails
from ops_platform.gdpr.requests import token as tokens
from ops_platform.housekeeping import retention
from ops_platform_tests.gdpr.requests_database import API, T0, Requests

pytestmark = pytest.mark.services
EMAIL = "anna@example.org"
"""The address of whatever ``Requests.make`` makes."""
MINUTE = timedelta(minutes=1)


def links(table: Requests) -> list[tuple[str, str]]:
    """Recipient and token of each mailed link."""
    with table.database.superuser() as superuser:
        rows = superuser.execute(
            "SELECT recipient, body FROM mail_outbox WHERE dedup_key LIKE 'gdpr-sign-in:%' ORDER BY id"
        ).fetchall()
    link = re.compile(r"/api/gdpr/status\?lang=(?:en|fr)#token=(\w+)$", re.MULTILINE)
    return [(str(recipient), match.group(1)) for recipient, body in rows if (match := link.search(str(body)))]


def known(key: UUID) -> str:
    return EMAIL


def ask(table: Requests, typed: str, on_record: Callable[[UUID], str | None]) -> int:
    with table.connection.transaction():
        return sign_in.send_link(table.connection, typed, on_record, language="fr", api_url=API, now=T0)


def test_a_link_goes_to_the_address_of_a_request_and_works_once(table: Requests) -> None:
    subject = uuid4()
    table.make(subject)
    assert ask(table, " Anna@Example.org ", lambda key: EMAIL) == 1
    [(recipient, token)] = links(table)
    assert recipient == EMAIL
    begun = sign_in.begin_session(table.connection, tokens.as_code(token).lower(), known, T0 + 14 * MINUTE)
    assert begun is not None
    assert begun.expires_at == T0 + 29 * MINUTE
    assert sign_in.begin_session(table.connection, token, known, T0 + 14 * MINUTE) is None
    assert sign_in.subject_of(table.connection, begun.token, T0 + 28 * MINUTE) == subject
    assert sign_in.subject_of(table.connection, begun.token, T0 + 29 * MINUTE) is None
    assert sign_in.subject_of(table.connection, token, T0 + 14 * MINUTE) is None
    with table.database.superuser() as superuser:
        stored = str(superuser.execute("SELECT * FROM gdpr_sign_ins").fetchall())
    assert token not in stored
    assert begun.token not in stored
    sign_in.end_session(table.connection, begun.token, T0 + 20 * MINUTE)
    assert sign_in.subject_of(table.connection, begun.token, T0 + 20 * MINUTE) is None
    assert retention.prune_sign_ins(table.worker, timedelta(days=1), T0 + timedelta(days=1)) == 0
    assert retention.prune_sign_ins(table.worker, timedelta(days=1), T0 + timedelta(days=2)) == 1


def test_a_link_that_is_too_old_or_made_up_begins_nothing(table: Requests) -> None:
    table.make()
    ask(table, EMAIL, lambda key: EMAIL)
    [(_, token)] = links(table)
    for typed in (tokens.new_token(), "", "x" * 5000, "\x00"):
        assert sign_in.begin_session(table.connection, typed, known, T0) is None
    assert sign_in.begin_session(table.connection, token, known, T0 + 60 * MINUTE) is None


@pytest.mark.parametrize(
    ("typed", "on_record", "sent"),
    [
        ("eve@example.org", EMAIL, 0),
        ("%", EMAIL, 0),
        ("", EMAIL, 0),
        # The mailbox may be somebody else's by now.
        (EMAIL, "anna@new.example", 0),
        # The account is gone, and nobody knows whose mailbox it is by now.
        (EMAIL, None, 0),
    ],
)
def test_who_gets_a_link(table: Requests, typed: str, on_record: str | None, sent: int) -> None:
    table.make()
    assert ask(table, typed, lambda key: on_record) == sent
    assert len(links(table)) == sent


def test_an_account_is_not_shut_out_by_others_of_the_same_address(table: Requests) -> None:
    """Requests keep an address that their subjects have changed since; an account has it in two spellings."""
    anna = uuid4()
    first = table.make(anna).request.request_id
    table.worker.execute(
        "UPDATE gdpr_requests SET requestor_email = %s WHERE request_id = %s", (EMAIL.upper(), first)
    )
    table.make(anna, "export")
    for _ in range(2 * sign_in.SUBJECTS_LIMIT):
        table.make()
    assert ask(table, EMAIL, lambda key: EMAIL if key == anna else "other@example.org") == 1
    [(recipient, _)] = links(table)
    assert recipient == EMAIL
    assert ask(table, EMAIL, lambda key: EMAIL) == sign_in.SUBJECTS_LIMIT


def test_a_spelling_that_limits_count_apart_gets_nothing(table: Requests) -> None:
    table.make()
    table.worker.execute("UPDATE gdpr_requests SET requestor_email = 'ilse@example.org'")
    with table.database.superuser() as superuser:
        row = superuser.execute("SELECT lower('\u0130')").fetchone()
    assert ask(table, "\u0130lse@example.org", lambda key: "ilse@example.org") == 0, row
    assert ask(table, "ILSE@example.org", lambda key: "ilse@example.org") == 1


def test_the_product_is_asked_for_every_address(table: Requests) -> None:
    asked: list[UUID] = []
    ask(table, "nobody@example.org", lambda key: asked.append(key))
    assert len(asked) == 1


def test_a_link_and_its_session_end_with_the_address(table: Requests) -> None:
    table.make()
    ask(table, EMAIL, known)
    ask(table, EMAIL, known)
    [(_, first), (_, second)] = links(table)
    begun = sign_in.begin_session(table.connection, first, lambda key: EMAIL.upper(), T0)
    assert begun is not None
    assert sign_in.is_still_theirs(table.connection, begun.token, known)
    assert not sign_in.is_still_theirs(table.connection, begun.token, lambda key: "anna@new.example")
    assert not sign_in.is_still_theirs(table.connection, begun.token, lambda key: None)
    assert sign_in.begin_session(table.connection, second, lambda key: "anna@new.example", T0) is None
    assert sign_in.begin_session(table.connection, second, known, T0) is None, "it was used up"
    assert not sign_in.is_still_theirs(table.connection, tokens.new_token(), known)


def test_an_erasure_leaves_no_mail_of_its_subject_waiting(table: Requests) -> None:
    subject = uuid4()
    export, erasure = table.make(subject, "export").request, table.make(subject).request
    neighbour = table.make().request.request_id
    ask(table, EMAIL, lambda key: EMAIL if key == subject else None)
    for key in (unsent_mails.export_key(export.request_id), f"gdpr-erased:{erasure.request_id}"):
        outbox.put(table.worker, key, EMAIL, "Subject", "Body", now=T0)
    assert unsent_mails.remove(table.worker, subject, T0 + MINUTE) == 4
    left = table.worker.execute("SELECT dedup_key FROM mail_outbox ORDER BY id").fetchall()
    assert [row["dedup_key"] for row in left] == [
        f"gdpr-verification:{neighbour}:1",
        f"gdpr-erased:{erasure.request_id}",
    ]
    assert table.count("gdpr_sign_ins") == 0


def test_who_is_being_erased_gets_a_link_where_the_last_mail_goes(table: Requests) -> None:
    request_id = table.make().request.request_id
    table.verify(request_id, table.token(request_id))
    table.claim(request_id, "processing")
    assert ask(table, EMAIL, lambda key: None) == 1
    assert [recipient for recipient, _ in links(table)] == [EMAIL]
