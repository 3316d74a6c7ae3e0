"""The outbox on a real ops database, sent through real SMTP servers that refuse, stall and are away."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ops_platform.clients.mail import outbox
from ops_platform.clients.mail.outbox import GIVE_UP_AFTER, Round, pause_after
from ops_platform.clients.mail.smtp import Attachment, Mail, Mailer
from ops_platform.clients.postgres import connection as postgres
from ops_platform.clients.postgres.connection import Connection
from ops_platform.clients.waiting import wait_until
from ops_platform.errors import Unavailable
from ops_platform_tests.clients.mail.test_smtp import SENDER, Keep, Sink
from ops_platform_tests.ports import free_ports
from ops_platform_tests.services import OpsDatabase

pytestmark = pytest.mark.services
T0 = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def agent(ops_database: OpsDatabase) -> Iterator[Connection]:
    with postgres.connect(ops_database.url("ops_agent")) as connection:
        yield connection


def write(database: OpsDatabase, *keys: str, recipient: str = "anna@example.org") -> None:
    with postgres.session(database.url("ops_api")) as api:
        for key in keys:
            outbox.put(api, key, recipient, f"Subject {key}", "Body é", now=T0)


def send(agent: Connection, mailer: Mailer, now: datetime = T0) -> Round:
    return outbox.send_due(agent, mailer, lambda: now)


def rows(agent: Connection) -> list[dict[str, Any]]:
    found = agent.execute("SELECT * FROM mail_outbox ORDER BY id").fetchall()
    agent.commit()
    return found


def test_a_mail_is_sent_once_and_then_forgotten(ops_database: OpsDatabase, agent: Connection) -> None:
    write(ops_database, "a", "b", "a")
    with Sink() as sink:
        assert send(agent, sink.mailer()) == Round(sent=2)
        assert send(agent, sink.mailer()) == Round()
    assert [message["Subject"] for message in sink.handler.kept] == ["Subject a", "Subject b"]
    for row in rows(agent):
        assert (row["recipient"], row["subject"], row["body"], row["sent_at"]) == (None, None, None, T0)
    with postgres.session(ops_database.url("ops_api")) as api:
        assert not outbox.is_waiting(api, "a")


def test_an_attachment_comes_as_a_file_and_is_forgotten(ops_database: OpsDatabase, agent: Connection) -> None:
    attachment = Attachment("certificate.json", "application/json", '{"é": 1}\n')
    with postgres.session(ops_database.url("ops_worker")) as worker:
        outbox.put(worker, "a", "anna@example.org", "Subject", "Body", attachments=[attachment], now=T0)
    with Sink() as sink:
        assert send(agent, sink.mailer()) == Round(sent=1)
    [message] = sink.handler.kept
    [body, file] = message.get_payload()
    assert body.get_content_type() == "text/plain"
    assert (file.get_content_type(), file.get_filename()) == ("application/json", "certificate.json")
    assert file.get_payload(decode=True).decode() == attachment.text
    assert rows(agent)[0]["attachments"] == []


def test_an_outage_is_survived(ops_database: OpsDatabase, agent: Connection) -> None:
    port = free_ports(1)[0]
    away = Mailer("127.0.0.1", port, SENDER, timeout_seconds=5)
    write(ops_database, *"abcde")
    with pytest.raises(Unavailable, match="cannot reach"):
        send(agent, away)
    assert [row["attempts"] for row in rows(agent)] == [1, 1, 1, 0, 0], "the others need not be tried"
    with Sink(port=port) as sink:
        assert send(agent, away) == Round(sent=2)
        assert send(agent, away, T0 + pause_after(1)) == Round(sent=3)
        assert len(sink.handler.kept) == 5


def test_one_that_is_put_off_holds_up_nobody(ops_database: OpsDatabase, agent: Connection) -> None:
    class Picky(Keep):
        async def handle_RCPT(self, *arguments: Any) -> str:
            self.reply = "451 later" if "grey" in arguments[3] else "250 OK"
            return await super().handle_RCPT(*arguments)

    write(ops_database, "grey", recipient="grey@example.org")
    write(ops_database, "white")
    with Sink(handler=Picky()) as sink:
        assert send(agent, sink.mailer()) == Round(sent=1, postponed=1)
    states = {row["dedup_key"]: row for row in rows(agent)}
    assert states["white"]["sent_at"] == T0
    assert states["grey"]["next_attempt_at"] == T0 + pause_after(1)
    assert "grey@" not in states["grey"]["last_error"]


def test_a_refused_one_and_an_old_one_are_given_up(ops_database: OpsDatabase, agent: Connection) -> None:
    write(ops_database, "refused")
    with Sink(handler=Keep("550 unknown")) as sink:
        assert send(agent, sink.mailer()) == Round(given_up=1)
    write(ops_database, "old")
    with Sink() as sink:
        assert send(agent, sink.mailer(), T0 + GIVE_UP_AFTER) == Round(given_up=1)
        assert sink.handler.kept == []
    for row in rows(agent):
        assert (row["recipient"], row["body"]) == (None, None)
        assert row["given_up_at"] is not None


def test_each_mail_is_tried_for_as_long_as_it_is_worth_something(
    ops_database: OpsDatabase, agent: Connection
) -> None:
    hour = timedelta(hours=1)
    with postgres.session(ops_database.url("ops_api")) as api:
        for key, term in (("link", hour), ("certificate", 30 * 24 * hour)):
            outbox.put(api, key, "anna@example.org", "Subject", "Body", give_up_after=term, now=T0)
    away = Mailer("127.0.0.1", free_ports(1)[0], SENDER, timeout_seconds=5)
    with pytest.raises(Unavailable, match="cannot reach"):
        send(agent, away, T0 + hour - timedelta(seconds=1))
    states = {row["dedup_key"]: row for row in rows(agent)}
    assert states["link"]["next_attempt_at"] == T0 + hour, "its text goes when its time is over"
    with Sink() as sink:
        assert send(agent, sink.mailer(), T0 + 3 * 24 * hour) == Round(sent=1, given_up=1)
        assert len(sink.handler.kept) == 1
    states = {row["dedup_key"]: row for row in rows(agent)}
    assert (states["link"]["body"], states["link"]["given_up_at"] is None) == (None, False)
    assert states["certificate"]["sent_at"] is not None


def test_an_address_that_cannot_be_written_holds_up_nobody(
    ops_database: OpsDatabase, agent: Connection
) -> None:
    write(ops_database, "odd", recipient="x@[")
    write(ops_database, "even")
    with Sink() as sink:
        done = send(agent, sink.mailer())
    # Python 3.13 writes it; the server may then take it or not.
    assert done in (Round(sent=1, given_up=1), Round(sent=2))
    assert all(row["recipient"] is None for row in rows(agent))


def test_what_nobody_foresaw_holds_up_nobody(ops_database: OpsDatabase, agent: Connection) -> None:
    class Odd(Mailer):
        def send(self, mail: Mail) -> None:
            if "odd" in mail.subject:
                raise KeyError(mail.recipients[0])
            super().send(mail)

    write(ops_database, "odd")
    write(ops_database, "even")
    with Sink() as sink:
        known = sink.mailer()
        odd = Odd(known.host, known.port, known.sender, timeout_seconds=known.timeout_seconds)
        assert send(agent, odd) == Round(sent=1, postponed=1)
    states = {row["dedup_key"]: row for row in rows(agent)}
    assert states["odd"]["next_attempt_at"] == T0 + pause_after(1)
    assert states["odd"]["last_error"] == "the mail cannot be sent: KeyError"


def test_senders_share_the_work(ops_database: OpsDatabase) -> None:
    write(ops_database, *(str(n) for n in range(15)))

    def one(_: int) -> Round:
        with postgres.connect(ops_database.url("ops_agent")) as connection:
            return send(connection, sink.mailer())

    with Sink() as sink, ThreadPoolExecutor(3) as pool:
        sent = sum(done.sent for done in pool.map(one, range(3)))
        # Who looks at a mail that another one has just sent finds none, and leaves the rest to a next round.
        sent += one(3).sent
        assert sent == 15
        assert len({message["Subject"] for message in sink.handler.kept}) == len(sink.handler.kept) == 15


def test_a_sender_that_dies_before_its_commit_sends_the_same_message_again(
    ops_database: OpsDatabase, agent: Connection
) -> None:
    write(ops_database, "a")
    with Sink() as sink:
        with postgres.connect(ops_database.url("ops_agent")) as dying:
            outbox._send_one(dying, sink.mailer(), T0)
            dying.close()
        # The server takes its time to notice, and what the dead one held is passed over until then.
        wait_until(
            lambda: send(agent, sink.mailer(), T0 + timedelta(seconds=1)) == Round(sent=1), 30, "sent again"
        )
    first, second = sink.handler.kept
    assert first["Message-ID"] == second["Message-ID"]
