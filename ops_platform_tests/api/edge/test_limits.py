"""Five in any fifteen minutes: exact, shared, and not fooled by headers."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from random import Random
from uuid import uuid4

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ops_platform.api import addresses
from ops_platform.clients.redis import cache
from ops_platform.clients.redis.moving_window import MovingWindow
from ops_platform.settings import load_settings
from ops_platform_tests.api.house import House, problem
from ops_platform_tests.clients.running_redis import RunningRedis, running_redis
from ops_platform_tests.services import Services

pytestmark = pytest.mark.services
LIMIT, WINDOW = 5, 900.0
PAUSES = st.one_of(st.integers(0, 400), st.floats(0, 901, allow_nan=False))


class Clock:
    def __init__(self, now: float = 1e9) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def window(redis_server: RunningRedis) -> Iterator[MovingWindow]:
    with cache.from_settings(load_settings(redis_server.environ)) as client:
        client.client.flushdb()
        yield MovingWindow(client, LIMIT, WINDOW, "{test}", Clock())


@settings(max_examples=25, derandomize=True, database=None)
@given(
    st.lists(st.one_of(st.integers(0, 400), st.floats(0, 901, allow_nan=False)), max_size=25), st.randoms()
)
def test_the_window_admits_exactly_what_a_list_of_times_would(
    redis_server: RunningRedis, pauses: list[float], random: Random
) -> None:
    """Against the definition itself: one is admitted if fewer than five were in the window before."""
    clock = Clock()
    with cache.from_settings(load_settings(redis_server.environ)) as client:
        window = MovingWindow(client, LIMIT, WINDOW, f"{{{uuid4()}}}", clock)
        admitted: dict[str, list[int]] = {"a": [], "b": [], "c": []}
        for pause in pauses:
            clock.now = round(clock.now + pause, 6)
            now = round(clock.now * 1e6)
            names = random.sample(sorted(admitted), 2)
            inside = {name: [t for t in admitted[name] if t > now - WINDOW * 1e6] for name in names}
            answer = window.hit(names)
            assert answer.admitted == all(len(times) < LIMIT for times in inside.values())
            if answer.admitted:
                for name in names:
                    admitted[name].append(now)
                assert answer.remaining == LIMIT - 1 - max(len(times) for times in inside.values())
            else:
                clock.now += answer.retry_after
                now = round(clock.now * 1e6)
                full = [len([t for t in admitted[name] if t > now - WINDOW * 1e6]) >= LIMIT for name in names]
                assert not any(full), "after Retry-After there is room"


def test_no_interleaving_lets_a_sixth_through(redis_server: RunningRedis, window: MovingWindow) -> None:
    """Many clients with connections of their own; the time stands still or moves within the window."""
    clock = Clock()

    def client(number: int) -> int:
        with cache.from_settings(load_settings(redis_server.environ)) as own:
            mine = replace(window, cache=own, clock=lambda: clock.now + number % 7)
            return sum(mine.hit([f"client {number}", "one"]).admitted for _ in range(LIMIT + 1))

    with ThreadPoolExecutor(16) as pool:
        admitted = list(pool.map(client, range(48)))
    assert sum(admitted) == LIMIT
    for number, count in enumerate(admitted):
        if count < LIMIT:
            left = window.hit([f"client {number}"]).remaining
            assert left == LIMIT - 1 - count, "what is refused is counted nowhere"
    window.cache.client.flushdb()
    assert window.hit(["one"]).remaining == LIMIT - 1


def test_a_clock_that_jumps_back_opens_nothing(window: MovingWindow) -> None:
    clock = Clock()
    moving = replace(window, clock=clock)
    assert [moving.hit(["a"]).admitted for _ in range(LIMIT)] == [True] * LIMIT
    clock.now -= 10_000
    assert not moving.hit(["a"]).admitted


def test_without_a_clock_of_the_tests_redis_has_the_time(window: MovingWindow) -> None:
    plain = replace(window, clock=None)
    answers = [plain.hit(["a"]) for _ in range(LIMIT + 1)]
    assert [answer.admitted for answer in answers] == [True] * LIMIT + [False]
    assert 890 <= answers[-1].retry_after <= 900
    (key,) = window.cache.keys("{test}")
    assert 890 <= int(str(window.cache.client.ttl(key))) <= 900


def test_names_leave_no_trace(window: MovingWindow) -> None:
    window.hit(["address:192.0.2.1", "subject:6f1c"])
    assert not any("192" in key or "6f1c" in key for key in window.cache.keys(""))


# --- over HTTP ---------------------------------------------------------------------------------------


def test_five_for_each_address_and_five_for_each_subject(api: House) -> None:
    anna, bert = api.person(), api.person()
    for remaining in (4, 3, 2, 1, 0):
        answer = api.request(anna)
        assert answer.status_code == 202
        assert answer.headers["ratelimit-remaining"] == str(remaining)
        assert answer.headers["ratelimit-limit"] == "5"
        assert answer.headers["ratelimit-policy"] == '"default";q=5;w=900'
        api.pass_time(timedelta(minutes=1))
    sixth = api.request(anna, address="198.51.100.7")
    problem(sixth, 429, "rate-limited")
    assert sixth.headers["retry-after"] == "600"
    assert sixth.headers["ratelimit-remaining"] == "0"
    problem(api.request(bert), 429, "rate-limited")
    problem(api.send("DELETE", "/api/gdpr/request/x", headers=api.bearer(bert)), 429, "rate-limited")
    problem(api.verify("x", "y"), 429, "rate-limited")
    problem(api.send("POST", "/api/gdpr/request"), 429, "rate-limited")
    assert api.send("GET", "/api/gdpr/requests", headers=api.bearer(bert)).status_code == 200
    api.pass_time(timedelta(minutes=10))
    assert api.request(anna).status_code == 202
    problem(api.request(anna), 429, "rate-limited")
    assert api.metric("gdpr_api_responses_total", operation="request", status="429") == 4


def test_concurrent_requests_over_http(api: House) -> None:
    anna = api.person()
    statuses: list[int] = []

    async def one(number: int) -> None:
        async with api.client(f"198.51.100.{number}") as client:
            answer = await client.post(
                "/api/gdpr/request", json={"request_type": "erasure"}, headers=api.bearer(anna)
            )
            statuses.append(answer.status_code)

    async def all_at_once() -> None:
        async with anyio.create_task_group() as group:
            for number in range(30):
                group.start_soon(one, number)

    anyio.run(all_at_once)
    assert sorted(statuses) == [202] * 5 + [429] * 25


def test_forged_tokens_and_ids_are_limited_too(api: House) -> None:
    for _ in range(5):
        problem(api.send("POST", "/api/gdpr/request"), 401, "unauthorized")
    problem(api.send("POST", "/api/gdpr/request"), 429, "rate-limited")
    for number in range(5):
        problem(api.verify("same-request", "guess", address=f"203.0.113.{number}"), 404, "not-found")
    problem(api.verify("same-request", "guess", address="203.0.113.9"), 429, "rate-limited")


def test_a_forged_forwarded_address_changes_nothing(api: House) -> None:
    for number in range(5):
        api.send("POST", "/api/gdpr/request", headers={"X-Forwarded-For": f"10.0.0.{number}"})
    forged = {"X-Forwarded-For": "10.0.0.99, 192.0.2.1"}
    problem(api.send("POST", "/api/gdpr/request", headers=forged), 429, "rate-limited")
    api.change(trusted_proxies=addresses.networks(["192.0.2.0/24"]))
    through = {"X-Forwarded-For": "1.2.3.4, 203.0.113.5"}
    for _ in range(5):
        problem(api.send("POST", "/api/gdpr/request", headers=through), 401, "unauthorized")
    through = {"X-Forwarded-For": "9.9.9.9, 203.0.113.5, 192.0.2.77"}
    problem(api.send("POST", "/api/gdpr/request", headers=through), 429, "rate-limited")


def test_without_redis_nothing_is_changed_and_reading_goes_on(services: Services, api: House) -> None:
    anna = api.person()
    with running_redis(services) as dying:
        gone = cache.from_settings(load_settings(dying.environ))
    api.change(window=replace(api.service.window, cache=gone))
    answer = api.request(anna)
    problem(answer, 503, "unavailable")
    assert answer.headers["retry-after"]
    assert "127.0.0.1" not in answer.text
    problem(api.verify("x", "y"), 503, "unavailable")
    assert api.table.count("gdpr_requests") == 0
    assert api.send("GET", "/api/gdpr/requests", headers=api.bearer(anna)).status_code == 200
    assert "Redis" in problem(api.send("GET", "/readyz"), 503, "not-ready")["detail"]
    gone.close()
