"""The subject, and others, go on writing while the subject is erased."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import uuid4

import psycopg
import pytest

from ops_platform.errors import CheckFailed
from ops_platform.gdpr.data_map.model import DataMap
from ops_platform.gdpr.row_erasure import engine as row_erasure
from ops_platform.gdpr.row_erasure import passes as row_passes
from ops_platform.gdpr.schema import reader as catalogue
from ops_platform.local.demo import people
from ops_platform_tests.gdpr.erasing import Product, erasing, left

pytestmark = pytest.mark.services

KEY = people.creator_id(1)


@contextmanager
def writing(product: Product, work: Callable[[psycopg.Connection], None]) -> Iterator[threading.Event]:
    """``work`` again and again, each time in a transaction; the event says that it has begun."""
    begun, end = threading.Event(), threading.Event()

    def write() -> None:
        with psycopg.connect(product.cluster.url("product_owner", product.name)) as connection:
            while not end.is_set():
                try:
                    with connection.transaction():
                        work(connection)
                except (psycopg.errors.ForeignKeyViolation, psycopg.errors.SerializationFailure):
                    pass
                begun.set()

    thread = threading.Thread(target=write)
    thread.start()
    try:
        assert begun.wait(30)
        yield begun
    finally:
        end.set()
        thread.join()


def active(connection: psycopg.Connection) -> None:
    """What the product does for the subject: rows that refer to it, and to each other."""
    post = connection.execute(
        "INSERT INTO posts (creator_id, title, body) VALUES (%s, 'new', 'new') RETURNING id", (KEY,)
    ).fetchone()
    assert post is not None
    connection.execute(
        "INSERT INTO comments (post_id, author_id, body) VALUES (%s, %s, 'new')", (post[0], KEY)
    )
    connection.execute(
        "INSERT INTO sessions (creator_id, token_hash, ip, user_agent, expires_at) "
        "VALUES (%s, '', '192.0.2.1', '', now())",
        (KEY,),
    )


def busy(connection: psycopg.Connection) -> None:
    """Everybody else's rows change, those beside the subject's above all."""
    connection.execute(
        "UPDATE posts SET body = body || '.' WHERE creator_id <> %s AND id %% 3 = %s", (KEY, uuid4().int % 3)
    )
    connection.execute("UPDATE sessions SET last_seen_at = now() WHERE creator_id <> %s", (KEY,))


def test_a_subject_that_goes_on_writing(demo_product: Product, demo_map: DataMap) -> None:
    with demo_product.eraser() as eraser:
        what = erasing(eraser, demo_map, str(KEY))
        known = catalogue.read(eraser)
        with writing(demo_product, active):
            effects = row_erasure.erase(eraser, demo_map, known, what)
        assert left(eraser, demo_map, what) == ([], [])
        assert all(one.changed == one.before for one in effects if not one.action.startswith("keep"))


def test_others_who_change_their_own_rows(demo_product: Product, demo_map: DataMap) -> None:
    """They are neither mistaken for our doing nor in its way."""
    with demo_product.eraser() as eraser:
        what = erasing(eraser, demo_map, str(KEY))
        with writing(demo_product, busy):
            row_erasure.erase(eraser, demo_map, catalogue.read(eraser), what, batch=100)
        assert left(eraser, demo_map, what) == ([], [])


def test_two_runs_of_one_erasure(demo_product: Product, demo_map: DataMap) -> None:
    with demo_product.eraser() as eraser:
        what = erasing(eraser, demo_map, str(KEY))
    known: list[object] = []

    def run() -> None:
        with demo_product.eraser() as connection:
            known.append(row_erasure.erase(connection, demo_map, catalogue.read(connection), what, batch=50))

    threads = [threading.Thread(target=run) for _ in range(2)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(known) == 2
    assert known[0] == known[1]
    with demo_product.eraser() as eraser:
        assert left(eraser, demo_map, what) == ([], [])


def test_rows_that_never_stop_coming_are_named(
    demo_product: Product, demo_map: DataMap, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nothing refers to the subject, nothing keeps rows from coming."""
    monkeypatch.setattr(row_passes, "LOCKING_PASSES", 3)

    def logging(connection: psycopg.Connection) -> None:
        connection.execute(
            "INSERT INTO audit_logs (actor_id, action, message) VALUES (%s, 'login', 'x')", (KEY,)
        )

    with demo_product.eraser() as eraser:
        what = erasing(eraser, demo_map, str(KEY))
        known = catalogue.read(eraser)
        with writing(demo_product, logging), pytest.raises(CheckFailed, match="come faster"):
            row_erasure.erase(eraser, demo_map, known, what)
        row_erasure.erase(eraser, demo_map, known, what)
        assert left(eraser, demo_map, what) == ([], [])
