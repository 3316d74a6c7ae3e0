"""Requests in a real ops database, and the mails about them as their reader sees them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from ops_platform.clients.postgres import connection as postgres
from ops_platform.clients.postgres.connection import Connection
from ops_platform.gdpr.requests import lifecycle as requests
from ops_platform.gdpr.requests.mail_texts import RequestType
from ops_platform.gdpr.requests.precedence import Choice
from ops_platform_tests.services import OpsDatabase

T0 = datetime(2026, 3, 1, 12, tzinfo=UTC)
API = "https://privacy.example.org"


@dataclass(frozen=True)
class Requests:
    """``connection`` is the API's, the others say whose they are; all but the first commit by themselves."""

    database: OpsDatabase
    connection: Connection
    worker: Connection
    agent: Connection

    def make(
        self, subject: UUID | None = None, request_type: RequestType = "erasure", now: datetime = T0
    ) -> requests.Submission:
        with self.connection.transaction():
            return requests.submit(
                self.connection,
                subject or uuid4(),
                request_type,
                email="anna@example.org",
                language="en",
                api_url=API,
                now=now,
            )

    def verify(
        self, request_id: str, token: str, now: datetime = T0, choice: Choice | None = None
    ) -> requests.Request:
        try:
            return requests.verify(self.connection, request_id, token, now=now, choice=choice)
        finally:
            self.connection.commit()

    def cancel(self, request_id: str, subject: UUID, now: datetime = T0) -> requests.Request:
        with self.connection.transaction():
            return requests.cancel(self.connection, request_id, subject, now=now)

    def expire(self, now: datetime) -> int:
        return requests.expire(self.agent, now)

    def claim(self, request_id: str, status: str, outcome: str | None = None) -> None:
        self.worker.execute(
            "UPDATE gdpr_requests SET status = %s, outcome = %s WHERE request_id = %s",
            (status, outcome, request_id),
        )

    def row(self, request_id: str) -> dict[str, Any]:
        found = self.worker.execute(
            "SELECT * FROM gdpr_requests WHERE request_id = %s", (request_id,)
        ).fetchone()
        assert found is not None
        return found

    def steps(self, request_id: str) -> list[str]:
        """The transitions on record, oldest first."""
        rows = self.worker.execute(
            "SELECT step FROM gdpr_lineage WHERE request_id = %s ORDER BY id", (request_id,)
        ).fetchall()
        return [row["step"].removeprefix("status:") for row in rows]

    def mails(self, request_id: str) -> list[str]:
        """Bodies that wait in the outbox, oldest first."""
        with self.database.superuser() as superuser:
            rows = superuser.execute(
                "SELECT body FROM mail_outbox WHERE dedup_key LIKE %s AND body IS NOT NULL ORDER BY id",
                (f"gdpr-verification:{request_id}:%",),
            ).fetchall()
        return [str(row[0]) for row in rows]

    def token(self, request_id: str) -> str:
        """Of the newest mail."""
        return token_in(self.mails(request_id)[-1])

    def sent(self) -> None:
        """All mails have left the outbox."""
        with self.database.superuser() as superuser:
            superuser.execute("UPDATE mail_outbox SET sent_at = now()")

    def count(self, table: str) -> int:
        with self.database.superuser() as superuser:
            row = superuser.execute(f"SELECT count(*) FROM {table}").fetchone()
        assert row is not None
        return int(str(row[0]))


@contextmanager
def requests_of(database: OpsDatabase) -> Iterator[Requests]:
    with (
        postgres.connect(database.url("ops_api"), autocommit=True) as api,
        postgres.connect(database.url("ops_worker"), autocommit=True) as worker,
        postgres.connect(database.url("ops_agent"), autocommit=True) as agent,
    ):
        yield Requests(database, api, worker, agent)


def token_in(mail: str) -> str:
    found = re.search(r"\?lang=(?:en|fr)#request=[0-9a-f-]{36}&token=([0-9A-Z]+)$", mail, re.MULTILINE)
    assert found is not None, mail
    return found.group(1)
