"""The API with its keys from OPS_JWT_JWKS_URL: a real HTTPS server whose keys rotate, and which goes away."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ops_platform.api.auth import bearer_token as identity
from ops_platform.api.auth import jwks as keys
from ops_platform.api.auth.jwks import AGAIN_SECONDS, FRESH_SECONDS, LARGEST_BYTES, STALE_SECONDS
from ops_platform.local.host.certificates import Certificates
from ops_platform.local.servers.postgres_cluster import PostgresCluster
from ops_platform.settings import load_settings
from ops_platform_tests.api.house import House, house, problem
from ops_platform_tests.api.jwks_server import JwksServer, Reply, serving
from ops_platform_tests.clients.running_redis import RunningRedis
from ops_platform_tests.services import OpsDatabase, Services

pytestmark = pytest.mark.services


class Home:
    """The API over a provider's URL, with the clock of its keys in hand."""

    def __init__(self, api: House, services: Services, server: JwksServer) -> None:
        self.api, self.services, self.server = api, services, server
        self.subject = api.person()
        self.now = 1000.0
        self.ca_file(services.certificates.ca_file)

    def ca_file(self, file: Path) -> None:
        """Begin anew, with the authority that ``file`` holds."""
        environ = {
            **self.api.environ,
            "OPS_JWT_JWKS_FILE": "",
            "OPS_JWT_JWKS_URL": self.server.url,
            "OPS_CA_FILE": str(file),
        }
        settings = load_settings(environ)
        known = keys.from_settings(settings, lambda: self.now)
        self.api.change(identity=identity.from_settings(settings.jwt, known))

    def published(self) -> Reply:
        return 200, self.api.provider.file.read_bytes()

    def status(self, key_id: str = "first") -> int:
        token = self.api.provider.token(self.subject, key_id)
        answer = self.api.send("GET", "/api/gdpr/requests", headers={"Authorization": f"Bearer {token}"})
        if answer.status_code == 503:
            assert answer.headers["retry-after"]
            problem(answer, 503, "unavailable")
        return answer.status_code

    def missing(self) -> str:
        """What /readyz says is away; empty when nothing is."""
        answer = self.api.send("GET", "/readyz")
        return "" if answer.is_success else str(problem(answer, 503, "not-ready")["detail"])


@pytest.fixture
def home(
    services: Services,
    ops_database: OpsDatabase,
    people: PostgresCluster,
    redis_server: RunningRedis,
    tmp_path: Path,
) -> Iterator[Home]:
    with (
        house(ops_database, people, redis_server, tmp_path) as api,
        serving(services, lambda: (200, api.provider.file.read_bytes())) as server,
    ):
        yield Home(api, services, server)


def test_keys_come_from_the_url_and_rotate_while_the_api_runs(home: Home) -> None:
    provider = home.api.provider
    assert home.missing() == ""
    assert [home.status() for _ in range(3)] == [200] * 3
    assert home.server.asked == 1
    provider.rotate("second", "ES256")
    home.now += AGAIN_SECONDS
    assert (home.status("second"), home.status()) == (200, 200)
    provider.publish("second")
    assert home.status() == 200
    home.now += FRESH_SECONDS
    assert (home.status(), home.status("second")) == (401, 200)
    assert home.server.asked == 3


def test_a_provider_that_goes_away_and_comes_back(
    services: Services,
    ops_database: OpsDatabase,
    people: PostgresCluster,
    redis_server: RunningRedis,
    tmp_path: Path,
) -> None:
    with house(ops_database, people, redis_server, tmp_path) as api:
        with serving(services, lambda: (200, api.provider.file.read_bytes())) as server:
            home = Home(api, services, server)
            assert home.status() == 200
        home.now += STALE_SECONDS - 1
        assert (home.status(), home.missing()) == (200, "")
        api.provider.rotate("unseen")
        assert home.status("unseen") == 401
        home.now += 1
        assert home.status() == 503
        assert "identity provider's keys" in home.missing()
        with serving(services, home.published, server.port):
            home.now += AGAIN_SECONDS
            assert (home.status(), home.status("unseen"), home.missing()) == (200, 200, "")


REPLIES: list[Reply] = [
    (404, b'{"keys": []}'), (500, b""), (302, b""), (200, b"<html>sign in</html>"), (200, b'{"keys": []}'),
    (200, b'{"keys": [{"kty": "oct", "k": "AAAA", "kid": "first"}]}'), (200, b" " * (LARGEST_BYTES + 1)),
]  # fmt: skip


@pytest.mark.parametrize("reply", REPLIES, ids=lambda reply: f"{reply[0]} {reply[1][:20]!r}")
def test_answers_that_are_no_keys_sign_nobody_in(home: Home, reply: Reply) -> None:
    home.server.answer = lambda: reply
    assert home.status() == 503
    assert "identity provider's keys" in home.missing()
    home.server.answer = home.published
    home.now += AGAIN_SECONDS
    assert home.status() == 200


def test_a_provider_whose_certificate_is_not_trusted_is_not_believed(home: Home, tmp_path: Path) -> None:
    other = Certificates(tmp_path / "another")
    other.prepare()
    home.ca_file(other.ca_file)
    assert home.status() == 503
    assert home.server.asked == 0


def test_a_slow_provider_holds_up_nobody_whose_key_is_known(home: Home) -> None:
    assert home.status() == 200
    is_asked, may_answer = threading.Event(), threading.Event()

    def slowly() -> Reply:
        is_asked.set()
        may_answer.wait()
        return home.published()

    home.server.answer = slowly
    home.now += FRESH_SECONDS
    find: Callable[[str], object] = home.api.service.identity.keys.find
    with ThreadPoolExecutor(1) as pool:
        try:
            reading = pool.submit(find, "first")
            assert is_asked.wait(10)
            assert home.status() == 200
            assert not reading.done()
        finally:
            may_answer.set()
        assert reading.result()
