"""Writer of requests into the product database as the application would: a batch is one transaction.

It holds the connection and knows neither failure modes nor metrics. The caller decides what an outage
means and when to try again.
"""

from __future__ import annotations

import json
import os
import random
import socket
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg

from ops_platform.clients import postgres
from ops_platform.local.demo import people
from ops_platform.local.demo.activity import Request
from ops_platform.local.demo.seed import BROWSERS, CITIES, COUNTRIES, SENTENCES, SUBJECTS, TAGS

_REFRESH_SECONDS = 60.0
_EMPTY_REFRESH_SECONDS = 5.0
_PARTITION_SECONDS = 3600.0
_MONTHS_AHEAD = 3
# An application that waits for ever on a lock or a dead host reports nothing.
_SESSION = "SET statement_timeout = '10s'; SET lock_timeout = '5s'; SET TIME ZONE 'UTC'"
ANSWER_SECONDS = 15.0
"""A server that has not answered by then counts as lost; the kernel of a stuck host still acknowledges."""

Row = dict[str, Any]
Statement = tuple[str, str, tuple[Any, ...]]


class ProductWriter:
    """One connection to the product database, and the creators, posts and webhooks read there."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: postgres.Connection | None = None
        self._creators: list[Row] = []
        self._posts: list[int] = []
        self._webhooks: list[Row] = []
        self._refresh_at = 0.0
        self._partitions_at = 0.0

    @property
    def connected(self) -> bool:
        """True while the connection is open."""
        return self._connection is not None and not self._connection.closed

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def connect(self) -> None:
        """Connect anew. Raises Unavailable."""
        self.close()
        self._connection = postgres.connect(self._url, application="demo-product traffic")
        self._connection.execute(_SESSION)
        self._connection.commit()
        self._refresh_at = self._partitions_at = 0.0

    def refresh(self) -> None:
        """Create the coming months' partitions and read the creators when due. Raises psycopg.Error."""
        now = time.monotonic()
        if now < self._refresh_at and now < self._partitions_at:
            return
        connection = self._open()
        with connection.transaction():
            if now >= self._partitions_at:
                connection.execute(
                    "SELECT ensure_usage_log_partitions((now() AT TIME ZONE 'UTC')::date, %s)",
                    (_MONTHS_AHEAD,),
                )
            self._creators = connection.execute(
                "SELECT id, handle, email, full_name FROM creators WHERE status = 'active' "
                "ORDER BY number LIMIT 500"
            ).fetchall()
            posts = connection.execute("SELECT id FROM posts ORDER BY id DESC LIMIT 200").fetchall()
            self._posts = [row["id"] for row in posts]
            self._webhooks = connection.execute(
                "SELECT w.id, c.handle FROM webhooks w JOIN creators c ON c.id = w.creator_id "
                "WHERE w.active ORDER BY w.id LIMIT 200"
            ).fetchall()
        self._refresh_at = now + (_REFRESH_SECONDS if self._creators else _EMPTY_REFRESH_SECONDS)
        if now >= self._partitions_at:
            self._partitions_at = now + _PARTITION_SECONDS

    def forget(self) -> None:
        """Drop what was read, since somebody was erased: the next batch reads it again."""
        self._refresh_at = 0.0

    def write(self, batch: Sequence[tuple[Request, bool, bool]]) -> Counter[str]:
        """Write a batch of (request, published, signature valid); return the committed rows by table.

        Raises psycopg.Error; then nothing of the batch is written.
        """
        connection = self._open()
        written: Counter[str] = Counter()
        with _deadline(connection):
            self.refresh()
            self._write(connection, batch, written)
        return written

    def _write(
        self,
        connection: postgres.Connection,
        batch: Sequence[tuple[Request, bool, bool]],
        written: Counter[str],
    ) -> None:
        with connection.transaction(), connection.pipeline():
            for request, published, signature_valid in batch:
                for table, statement, values in self._statements(request, published, signature_valid):
                    connection.execute(statement, values)
                    written[table] += 1

    def _open(self) -> postgres.Connection:
        if self._connection is None or self._connection.closed:
            raise psycopg.OperationalError("the connection is closed")
        return self._connection

    def _statements(self, request: Request, published: bool, signature_valid: bool) -> list[Statement]:
        chance = random.Random(request.pick)  # noqa: S311  made-up traffic, no secret
        if request.route == "/creators":
            return _registration(chance)
        if not self._creators:
            return []
        creator = self._creators[request.pick % len(self._creators)]
        other = self._creators[(request.pick // 7) % len(self._creators)]
        statements: list[Statement] = []
        if request.pick % 4 == 0:  # usage is sampled
            statements.append(_usage(creator, request))
        if request.route == "/posts":
            statements.append(_post(chance, creator, other, published))
            if published and self._webhooks:
                hook = self._webhooks[request.pick % len(self._webhooks)]
                statements.append(_delivery(hook, signature_valid))
        elif request.route == "/posts/{id}/comments" and self._posts:
            statements.append(_comment(chance, creator, self._posts[request.pick % len(self._posts)]))
        elif request.route == "/media":
            statements.append(_media(chance, creator))
        elif request.route == "/sessions":
            statements += _login(chance, creator)
        return statements


@contextmanager
def _deadline(connection: postgres.Connection) -> Iterator[None]:
    """Cut the connection when the block takes longer than ANSWER_SECONDS; libpq would wait for ever."""
    wire = socket.socket(fileno=os.dup(connection.fileno()))
    timer = threading.Timer(ANSWER_SECONDS, wire.shutdown, (socket.SHUT_RDWR,))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
        wire.close()


def _usage(creator: Row, request: Request) -> Statement:
    return (
        "usage_logs",
        "INSERT INTO usage_logs (occurred_at, creator_id, event, ip, properties) "
        "VALUES (clock_timestamp(), %s, %s, %s, %s)",
        (creator["id"], "page.view", _address(request.pick), json.dumps({"route": request.route})),
    )


def _post(chance: random.Random, creator: Row, other: Row, published: bool) -> Statement:
    together = chance.random() < 0.2 and other["id"] != creator["id"]
    metadata: dict[str, Any] = {"tags": [chance.choice(TAGS)]}
    if together:
        metadata["co_authors"] = [
            {"id": str(other["id"]), "handle": other["handle"], "email": other["email"].lower()}
        ]
    return (
        "posts",
        "INSERT INTO posts (creator_id, title, body, status, collaborator_ids, metadata, published_at) "
        "VALUES (%s, %s, %s, %s, %s, %s, CASE WHEN %s THEN now() END)",
        (
            creator["id"],
            chance.choice(SUBJECTS),
            " ".join(chance.choices(SENTENCES, k=4)),
            "published" if published else "draft",
            [other["id"]] if together else [],
            json.dumps(metadata),
            published,
        ),
    )


def _delivery(hook: Row, signature_valid: bool) -> Statement:
    return (
        "webhook_deliveries",
        "INSERT INTO webhook_deliveries (webhook_id, event, payload, signature_valid, response_code) "
        "VALUES (%s, 'post.published', %s, %s, %s)",
        (
            hook["id"],
            json.dumps({"creator": hook["handle"]}),
            signature_valid,
            200 if signature_valid else 401,
        ),
    )


def _comment(chance: random.Random, creator: Row, post: int) -> Statement:
    return (
        "comments",
        "INSERT INTO comments (post_id, author_id, body) VALUES (%s, %s, %s)",
        (post, creator["id"], " ".join(chance.choices(SENTENCES, k=2))),
    )


def _media(chance: random.Random, creator: Row) -> Statement:
    # No object: the upload is under way, and the export of a creator must not look for one.
    exif = {"Artist": creator["full_name"]} if chance.random() < 0.3 else {}
    return (
        "media",
        "INSERT INTO media (creator_id, kind, state, byte_size, thumbnail, exif) "
        "VALUES (%s, 'image', 'uploading', %s, %s, %s)",
        (creator["id"], chance.randrange(20_000, 5_000_000), chance.randbytes(1_500), json.dumps(exif)),
    )


def _login(chance: random.Random, creator: Row) -> list[Statement]:
    address = _address(chance.getrandbits(24))
    return [
        (
            "sessions",
            "INSERT INTO sessions (creator_id, token_hash, ip, user_agent, expires_at) "
            "VALUES (%s, %s, %s, %s, now() + interval '30 days')",
            (creator["id"], chance.randbytes(32), address, f"Mozilla/5.0 {chance.choice(BROWSERS)}"),
        ),
        (
            "audit_logs",
            "INSERT INTO audit_logs (actor_id, subject_id, subject_email, action, message, ip) "
            "VALUES (%s, %s, %s, 'login', %s, %s)",
            (
                creator["id"],
                creator["id"],
                creator["email"].lower(),
                f"{creator['full_name']} <{creator['email'].lower()}> from {address}",
                address,
            ),
        ),
    ]


def _registration(chance: random.Random) -> list[Statement]:
    n = chance.randrange(1_000, 1_000_000)
    key = uuid.uuid4()
    handle = f"{people.slug(people.first_name(n))}.{people.slug(people.last_name(n))}.{key.hex[:12]}"
    return [
        (
            "creators",
            "INSERT INTO creators (id, handle, email, full_name, country) VALUES (%s, %s, %s, %s, %s)",
            (key, handle, f"{handle}@example.org", people.full_name(n), chance.choice(COUNTRIES)),
        ),
        (
            "profiles",
            "INSERT INTO profiles (creator_id, display_name, location) VALUES (%s, %s, %s)",
            (key, people.full_name(n), chance.choice(CITIES)),
        ),
    ]


def _address(bits: int) -> str:
    return f"10.{bits >> 16 & 255}.{bits >> 8 & 255}.{bits & 255}"
