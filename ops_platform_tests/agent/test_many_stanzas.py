"""An agent of a hundred stanzas: each has its heartbeat, and threads and sessions stay few."""

from __future__ import annotations

from collections.abc import Iterator

import psutil
import pytest

from ops_platform_tests.agent.many_stanzas import Many, running_many
from ops_platform_tests.services import Services

pytestmark = [pytest.mark.services, pytest.mark.full]

STANZAS = 100
MOST_THREADS, MOST_SESSIONS = 40, 20


@pytest.fixture(scope="module")
def many(services: Services, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Many]:
    with running_many(services, tmp_path_factory.mktemp("many"), STANZAS) as made:
        yield made


def test_a_hundred_stanzas_share_threads_and_sessions(many: Many) -> None:
    many.wait_for_heartbeats()
    assert 10 < psutil.Process(many.agent.pid).num_threads() <= MOST_THREADS
    assert 1 < many.sessions() <= MOST_SESSIONS


def test_a_repository_that_is_away_holds_up_no_heartbeat(many: Many, services: Services) -> None:
    many.wait_for_heartbeats()
    services.kill_object_store()
    try:
        many.wait_for_heartbeats(many.agent.scrape())
    finally:
        services.restart_object_store()
    assert psutil.Process(many.agent.pid).num_threads() <= MOST_THREADS
