"""Tombstones are replayed while an erasure is half-way: it ends as if nobody had, with counts and proof."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from psycopg import sql

from ops_platform.clients.postgres import connection as postgres
from ops_platform.dr.verification import erasure_replay as tombstones
from ops_platform.gdpr.after_restore import replay
from ops_platform.gdpr.certificates import certificate_store as certificates
from ops_platform.gdpr.requests import work_queue as work
from ops_platform_tests.gdpr.erasing import Products
from ops_platform_tests.gdpr.erasure.test_pipeline import erase, is_erased
from ops_platform_tests.gdpr.erasure_scene import Scene

pytestmark = pytest.mark.services


def silent(line: str) -> None:
    """Nobody reads it."""


def replay_live(place: Scene) -> tombstones.ReplayedLive:
    return tombstones.replay_live(place.settings, silent)


def restore_product(place: Scene, products: Products) -> None:
    """As it was before the erasure, with nothing noted of it."""
    fresh, name = products.create("product"), sql.Identifier(place.product.name)
    with place.product.cluster.superuser() as superuser:
        superuser.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))
        superuser.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(fresh.name), name))
    assert place.rows_of() == 1


def certified(place: Scene, request_id: str) -> dict[str, Any]:
    issued = certificates.find(place.requests.worker, request_id)
    assert issued is not None
    document: dict[str, Any] = json.loads(issued.document)
    return document


def is_whole(place: Scene, request_id: str) -> None:
    """The erasure has ended, and its certificate says what was done and that nobody else was touched."""
    is_erased(place, request_id)
    found = certified(place, request_id)
    assert sum(one["changed"] for one in found["effects"] if one["store"] == "postgresql") > 10
    assert sum(one["changed"] for one in found["others_unchanged"]) > 10


def test_an_erasure_that_waits_for_a_letter_keeps_its_notes(place: Scene) -> None:
    with place.requests.database.superuser() as superuser:
        superuser.execute("DROP TRIGGER letters_leave ON mail_outbox")
    request_id = place.request()
    with pytest.raises(work.NotYet):
        erase(place, request_id, replace(place.context(), letter_seconds=0.0))
    done = replay_live(place)
    assert (done.rows.tombstones, done.under_way) == (0, 1)
    place.requests.sent()
    place.at_once()
    erase(place, request_id)
    is_whole(place, request_id)
    assert replay_live(place).rows.tombstones == 1, "from now on it is whoever comes back"


@pytest.mark.full
def test_who_comes_back_with_the_product_is_erased_by_the_erasure_under_way(
    place: Scene, products: Products
) -> None:
    """Its step for rows is done and passed over; the verification finds them and does it again."""
    before, request_id = place.others(), place.request()
    assert place.worker(request_id, "processors", "after") == "KILLED"
    assert place.rows_of() == 0
    restore_product(place, products)
    assert replay_live(place).under_way == 1
    place.at_once()
    assert place.worker(request_id) == "DONE"
    is_whole(place, request_id)
    assert place.others() == before


@pytest.mark.full
def test_who_comes_back_when_the_erasure_was_given_up_is_erased_at_once(
    place: Scene, products: Products
) -> None:
    request_id = place.request()
    assert place.worker(request_id, "processors", "after") == "KILLED"
    place.requests.claim(request_id, "failed", "error")
    restore_product(place, products)
    with postgres.session(place.ops_url, autocommit=True) as somebody:
        assert postgres.try_lock(somebody, work.lock_name(request_id))
        assert replay_live(place).under_way == 1, "somebody is about to resume it"
    done = replay_live(place)
    assert (done.rows.came_back, done.under_way) == (1, 0)
    assert place.rows_of() == 0
    erase(place, request_id)
    is_whole(place, request_id)


@pytest.mark.full
def test_what_a_restore_erases_before_traffic_is_on_the_certificate(place: Scene) -> None:
    """Without anybody to go on meanwhile: all are erased, also those whose erasure is half-way."""
    request_id, stanza = place.request(), place.context().term.stanza
    assert place.worker(request_id, "rows", "before") == "KILLED"
    for found in (
        tombstones.from_ops_database(place.ops_url, stanza).tombstones,
        tombstones.from_ledger(place.settings, stanza).tombstones,
    ):
        assert [one.completed_at for one in found] == [None]
        with place.product.eraser() as product:
            replay.replay(product, place.data_map, found, keys=place.context().keys)
    assert place.rows_of() == 0
    place.at_once()
    assert place.worker(request_id) == "DONE"
    is_whole(place, request_id)
    for found in (
        tombstones.from_ops_database(place.ops_url, stanza).tombstones,
        tombstones.from_ledger(place.settings, stanza).tombstones,
    ):
        assert [one.completed_at is None for one in found] == [False]
