"""SIGKILL before and after each batch, twice in a row: nothing is done twice, nothing is left."""

from __future__ import annotations

import multiprocessing
import os
import signal
from typing import Literal

import pytest

from ops_platform.gdpr.data_map.model import DataMap
from ops_platform.gdpr.row_erasure import engine as row_erasure
from ops_platform.gdpr.row_erasure.engine import RowErasure
from ops_platform.gdpr.row_erasure.journal import Journal
from ops_platform.gdpr.schema import reader as catalogue
from ops_platform.local.demo import people
from ops_platform_tests.gdpr.erasing import Product, Products, erasing, left

pytestmark = pytest.mark.services

Moment = Literal["before", "after"]


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def attempt(product: Product, data_map: DataMap, what: RowErasure, batch: int, moment: Moment) -> None:
    """An erasure that is killed in its first batch before that is committed, or right after."""
    if moment == "before":
        changed = Journal.record_changed

        def noted(self: Journal, *args: object) -> int:
            changed(self, *args)  # type: ignore[arg-type]
            die()
            return 0

        Journal.record_changed = noted  # type: ignore[method-assign,assignment]
    with product.eraser() as eraser:
        row_erasure.erase(
            eraser, data_map, catalogue.read(eraser), what, batch=batch, progress=lambda place, rows: die()
        )


def killed(product: Product, data_map: DataMap, what: RowErasure, batch: int, moment: Moment) -> bool:
    """False: there was nothing left to do."""
    context = multiprocessing.get_context("fork")
    process = context.Process(target=attempt, args=(product, data_map, what, batch, moment))
    process.start()
    process.join()
    assert process.exitcode in (0, -signal.SIGKILL)
    return process.exitcode != 0


@pytest.mark.full
@pytest.mark.parametrize(("number", "batch"), [(3, 1000), (1, 200), (3, 20)])
def test_killed_at_every_batch_twice_in_a_row(
    demo_product: Product, demo_map: DataMap, number: int, batch: int
) -> None:
    key = str(people.creator_id(number))
    with demo_product.eraser() as eraser:
        what = erasing(eraser, demo_map, key)
    deaths = 0
    moments: tuple[Moment, ...] = ("before", "before", "after")
    while all(killed(demo_product, demo_map, what, batch, moment) for moment in moments):
        deaths += 1
    assert deaths > 10
    with demo_product.eraser() as eraser:
        effects = row_erasure.erase(eraser, demo_map, catalogue.read(eraser), what)
        assert left(eraser, demo_map, what) == ([], [])
        # What was rolled back is not counted, what was committed is counted once.
        for one in effects:
            if not one.action.startswith("keep"):
                assert one.changed == one.before, one
        stand_ins = eraser.execute("SELECT count(*) AS n FROM creators WHERE full_name = 'Erased'").fetchone()
        assert stand_ins == {"n": 1}
        actors = eraser.execute(
            "SELECT count(DISTINCT actor_id) AS n FROM audit_logs AS a WHERE message = '[erased]' "
            "AND actor_id IS NOT NULL AND NOT EXISTS (SELECT FROM creators AS c WHERE c.id = a.actor_id)"
        ).fetchone()
        assert actors is not None
        assert actors["n"] <= 1


def test_it_ends_like_one_that_was_not_killed(
    demo_product: Product, products: Products, demo_map: DataMap
) -> None:
    other = products.create("product")
    try:
        key = str(people.creator_id(4))
        with demo_product.eraser() as eraser, other.eraser() as whole:
            what = erasing(eraser, demo_map, key)
            while killed(demo_product, demo_map, what, 20, "after"):
                pass
            there = row_erasure.erase(whole, demo_map, catalogue.read(whole), what)
            assert row_erasure.erase(eraser, demo_map, catalogue.read(eraser), what) == there
        # All but what is random in each erasure: its pseudonym and stand-in.
        random = ("creators", "posts", "comments", "audit_logs")
        assert demo_product.digest(*random) == other.digest(*random)
    finally:
        products.drop(other)
