"""What the demo keeps in Redis."""

from __future__ import annotations

import json

import pytest

from ops_platform.clients.redis.cache import from_settings
from ops_platform.local.demo import people
from ops_platform.local.demo.seed.cache_keys import seed_cache
from ops_platform.local.demo.seed.filling import seed
from ops_platform.settings import load_settings
from ops_platform_tests.clients.running_redis import running_redis
from ops_platform_tests.local.demo.databases import DemoDatabase
from ops_platform_tests.services import Services


@pytest.mark.services
def test_keys_of_those_who_are_there(services: Services, demo_database: DemoDatabase) -> None:
    seed(demo_database.owner_url, scale=0.01)
    short, long = people.PREFIX_PAIR
    with running_redis(services) as redis, from_settings(load_settings(redis.environ)) as cache:
        assert seed_cache(demo_database.owner_url, cache, creators=50) == 1 + 3 * 50
        assert set(cache.keys(f"creator:{people.creator_id(1)}:")) == {
            f"creator:{people.creator_id(1)}:profile",
            f"creator:{people.creator_id(1)}:feed",
        }
        profile = json.loads(str(cache.client.get(f"creator:{people.creator_id(short)}:profile")))
        assert profile["handle"] == people.handle(short)
        # The trap: one person's key begins another's.
        assert set(cache.keys(f"handle:{people.handle(short)}")) == {
            f"handle:{people.handle(short)}",
            f"handle:{people.handle(long)}",
        }
        with demo_database.cluster.superuser(demo_database.name) as connection:
            connection.execute("DELETE FROM profiles WHERE creator_id = %s", (people.creator_id(1),))
        cache.client.flushdb()
        seed_cache(demo_database.owner_url, cache)
        assert not list(cache.keys(f"creator:{people.creator_id(1)}:"))
