"""The Redis client against a real Redis with TLS, and the demo's keys in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ops_platform.clients.redis.cache import Cache, from_settings
from ops_platform.errors import ConfigurationError, Unavailable
from ops_platform.local.host.certificates import Certificates
from ops_platform.settings import load_settings
from ops_platform_tests.clients.running_redis import RunningRedis, running_redis
from ops_platform_tests.ports import free_ports
from ops_platform_tests.services import Services, short_directory


@pytest.fixture(scope="module")
def redis_server(services: Services) -> Iterator[RunningRedis]:
    with running_redis(services) as running:
        yield running


@pytest.fixture
def cache(redis_server: RunningRedis) -> Iterator[Cache]:
    with from_settings(load_settings(redis_server.environ)) as client:
        client.client.flushdb()
        yield client


@pytest.mark.services
def test_keys_of_one_prefix_and_no_other(cache: Cache) -> None:
    cache.set_many({f"creator:{n}:{part}": "x" for n in range(1, 1200) for part in ("profile", "feed")})
    assert set(cache.keys("creator:1:")) == {"creator:1:profile", "creator:1:feed"}
    assert cache.delete(cache.keys("creator:1:")) == 2
    assert list(cache.keys("creator:1:")) == []
    assert len(set(cache.keys("creator:"))) == 2 * 1198
    assert cache.delete([]) == 0


@pytest.mark.services
@pytest.mark.parametrize("odd", ["a*", "a?", "[ab]", "a\\", "a[", "^a-é"])
def test_prefixes_are_taken_literally(cache: Cache, odd: str) -> None:
    cache.set_many({f"{odd}:1": "x", "ab:1": "y", "abc:1": "z"})
    assert set(cache.keys(f"{odd}:")) == {f"{odd}:1"}


@pytest.mark.services
def test_values_expire_when_asked(cache: Cache) -> None:
    cache.set_many({"short": "x"}, seconds=100)
    cache.set_many({"long": "x"})
    assert 0 < int(str(cache.client.ttl("short"))) <= 100
    assert cache.client.ttl("long") == -1


@pytest.mark.services
def test_each_mistake_has_its_line(redis_server: RunningRedis, tmp_path: Path) -> None:
    good = redis_server.environ
    port = redis_server.server.port
    stranger = Certificates(short_directory() / "tls")
    stranger.prepare()
    (tmp_path / "wrong").write_text("not-the-password")
    cases = (
        ({"OPS_REDIS_PASSWORD_FILE": str(tmp_path / "wrong")}, ConfigurationError, "OPS_REDIS_PASSWORD_FILE"),
        ({"OPS_CA_FILE": str(stranger.ca_file)}, Unavailable, "unknown authority"),
        ({"OPS_REDIS_URL": f"redis://127.0.0.1:{port}/0"}, Unavailable, "rediss://"),
        ({"OPS_REDIS_URL": f"rediss://127.0.0.1:{free_ports(1)[0]}/0"}, Unavailable, "nobody answers"),
        ({"OPS_CA_FILE": "/nonexistent.pem"}, ConfigurationError, "OPS_CA_FILE"),
    )
    password = Path(good["OPS_REDIS_PASSWORD_FILE"]).read_text()
    for change, kind, said in cases:
        with (
            pytest.raises(kind, match=said) as caught,
            from_settings(load_settings({**good, **change})) as cache,
        ):
            cache.ping()
        assert password not in str(caught.value)
        assert "\n" not in str(caught.value)
    without = load_settings({name: value for name, value in good.items() if "PASSWORD" not in name})
    with from_settings(without) as cache, pytest.raises(ConfigurationError, match="OPS_REDIS_PASSWORD_FILE"):
        cache.ping()


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/0", "rediss://127.0.0.1:x/0", "127.0.0.1", "rediss://h:1/zero"]
)
def test_malformed_urls_are_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="OPS_REDIS_URL"):
        Cache(url)


def test_without_a_url_the_variable_is_named() -> None:
    with pytest.raises(ConfigurationError, match="OPS_REDIS_URL"):
        from_settings(load_settings({"OPS_STATE_DIR": "/nonexistent"}))
