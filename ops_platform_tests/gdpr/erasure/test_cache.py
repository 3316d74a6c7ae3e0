"""The erasure of keys in a real Redis: handles with glob characters, neighbours, keys that are no text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from ops_platform.clients.redis import cache as caches
from ops_platform.clients.redis.cache import Cache
from ops_platform.errors import CheckFailed
from ops_platform.gdpr.data_map.model import DataMap
from ops_platform.gdpr.erasure import cache as cache_erasure
from ops_platform.gdpr.erasure import inventory
from ops_platform.gdpr.erasure.inventory import CachePlace, Inventory
from ops_platform.gdpr.subject.identity import Identity
from ops_platform.settings import load_settings
from ops_platform_tests.clients.running_redis import running_redis
from ops_platform_tests.services import Services

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def shared(services: Services) -> Iterator[Cache]:
    with (
        running_redis(services) as redis,
        caches.from_settings(load_settings({"OPS_DATABASE_URL": "unused", **redis.environ})) as cache,
    ):
        yield cache


@pytest.fixture
def cache(shared: Cache) -> Cache:
    shared.client.flushdb()
    return shared


def test_the_subjects_keys_go_and_only_those(cache: Cache, demo_map: DataMap) -> None:
    key, other = uuid4(), uuid4()
    handle = r"t*m?[a-z]\x"
    mine = [f"creator:{key}:page", f"creator:{key}:", f"creator:{key}:a:b", f"handle:{handle}"]
    others = [
        f"creator:{other}:page",
        f"creator:{key}",
        "handle:tom",
        "handle:tammyq",
        f"handle:{handle}2",
        "handle:*",
    ]
    cache.set_many(dict.fromkeys([*mine, *others], "x"))
    taken = inventory.take(demo_map, Identity({"id": key, "number": 1, "handle": handle}))
    left = cache_erasure.remaining(cache, taken)
    assert [(one.place, one.after) for one in left] == [("creator:{id}:*", 3), ("handle:{handle}", 1)]
    done = cache_erasure.erase(cache, taken)
    assert [(one.store, one.place, one.before, one.changed, one.after) for one in done] == [
        ("redis", "creator:{id}:*", 3, 3, 0),
        ("redis", "handle:{handle}", 1, 1, 0),
    ]
    assert sorted(cache.keys("")) == sorted(others)
    assert cache_erasure.remaining(cache, taken) == []
    assert [one.changed for one in cache_erasure.erase(cache, taken)] == [0, 0]


def test_a_key_of_a_name_that_somebody_else_has_now_goes_once_and_is_not_waited_for(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    delete = cache.delete

    def refill(keys: Any) -> int:
        removed = delete(keys)
        cache.set_many({"handle:anna": "the other's page"})
        return removed

    monkeypatch.setattr(cache, "delete", refill)
    cache.set_many({"handle:anna": "whose page?"})
    taken = Inventory("m", Identity({}), (), (CachePlace(("handle:anna",), "handle:{handle}", shared=True),))
    [done] = cache_erasure.erase(cache, taken)
    assert done.changed == 1
    assert list(cache.keys("")) == ["handle:anna"]
    assert cache_erasure.remaining(cache, taken) == []


def test_a_key_that_is_no_text_goes_too(cache: Cache) -> None:
    raw = b"creator:1:\xff\xfe"
    cache.client.execute_command("SET", raw, "x")
    places = (CachePlace(("creator:1:", ""), "creator:{id}:*"),)
    [done] = cache_erasure.erase(cache, Inventory("m", Identity({}), (), places))
    assert done.changed == 1
    assert cache.client.dbsize() == 0


def test_a_pattern_with_the_rest_in_the_middle(cache: Cache) -> None:
    cache.set_many(dict.fromkeys(["page:en:1", "page:fr:1", "page:fr:11"], "x"))
    places = (CachePlace(("page:", ":1"), "page:*:{id}"),)
    [done] = cache_erasure.erase(cache, Inventory("m", Identity({}), (), places))
    assert done.changed == 2
    assert list(cache.keys("")) == ["page:fr:11"]


def test_thousands_of_keys_in_batches(cache: Cache) -> None:
    cache.set_many({f"creator:1:{number}": "x" for number in range(3000)})
    cache.set_many({f"creator:2:{number}": "x" for number in range(100)})
    places = (CachePlace(("creator:1:", ""), "creator:{id}:*"),)
    [done] = cache_erasure.erase(cache, Inventory("m", Identity({}), (), places))
    assert done.changed == 3000
    assert cache.client.dbsize() == 100


def test_a_cache_that_is_filled_again_and_again_fails_the_erasure(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    delete = cache.delete

    def refill(keys: Any) -> int:
        removed = delete(keys)
        cache.set_many({"creator:1:page": "x"})
        return removed

    monkeypatch.setattr(cache, "delete", refill)
    cache.set_many({"creator:1:page": "x"})
    places = (CachePlace(("creator:1:", ""), "creator:{id}:*"),)
    with pytest.raises(CheckFailed, match="keep coming back"):
        cache_erasure.erase(cache, Inventory("m", Identity({}), (), places))
