"""Rows beyond their term; a table that nobody has looked at is unknown, never in time."""

from __future__ import annotations

import os
from pathlib import Path

from ops_platform.agent.metrics.retention import Terms, with_never
from ops_platform.gdpr.retention.retention_store import Look
from ops_platform_tests.agent.metrics.scraping import NOW, PRODUCT, empty, full, scrape
from ops_platform_tests.gdpr.data_map.test_parser import MAP

LOOKED, OVERDUE = "gdpr_retention_looked_timestamp_seconds", "gdpr_retention_overdue_rows"
TERM = "{after: P2Y, of: created_at, do: delete}"


def test_what_could_not_be_looked_at_has_no_number_and_is_as_old_as_can_be() -> None:
    samples = scrape(full())
    posts, letters = ((*PRODUCT, ("table", name)) for name in ("posts", "letters"))
    assert samples[OVERDUE, posts] == 2
    assert samples[LOOKED, posts] == NOW - 100
    assert samples[LOOKED, letters] == 0
    assert (OVERDUE, letters) not in samples
    assert LOOKED not in {name for name, _ in scrape(empty())}


def test_the_terms_are_those_of_the_map_as_it_is_now(tmp_path: Path) -> None:
    file = tmp_path / "data_map.yaml"
    assert Terms(None).tables() == Terms(file).tables() == ()
    file.write_text(MAP, encoding="utf-8")
    terms = Terms(file)
    assert terms.tables() == ()
    file.write_text(MAP.replace("Until you close it.", TERM), encoding="utf-8")
    assert terms.tables() == ("users",)
    file.write_text("version: 1", encoding="utf-8")
    os.utime(file, (1, 1))
    assert terms.tables() == ("users",), "a map that cannot be read ends no watch"


def test_a_look_at_another_product_is_none_at_this_one() -> None:
    looks = [Look("shop", "users", 0, None), Look("product", "posts", 0, None)]
    assert with_never(looks, ("users", "posts"), "product") == [*looks, Look("product", "users", None, None)]
    assert with_never(looks, ("users", "posts"), None) == looks
    assert with_never(looks, ("letters",), None) == [*looks, Look("", "letters", None, None)]
