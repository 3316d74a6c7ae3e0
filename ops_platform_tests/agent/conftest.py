"""The scene of the agent's tests, and its agent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from ops_platform_tests.agent.process import AgentProcess
    from ops_platform_tests.agent.scene import Scene
    from ops_platform_tests.services import Services


@pytest.fixture(scope="module")
def scene(services: Services, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    from ops_platform_tests.agent.scene import running_scene

    with running_scene(services, tmp_path_factory.mktemp("agent")) as made:
        yield made


@pytest.fixture
def agent(scene: Scene) -> AgentProcess:
    """The scene's agent, running, with the recovery point known."""
    if not scene.agent.is_running():
        scene.agent.start()
    scene.agent.scrape_until(
        lambda samples: ("backup_heartbeat_timestamp_seconds", scene.stanza) in samples, "a beat"
    )
    scene.switch_wal()
    scene.agent.scrape_until(lambda samples: ("backup_rpo_seconds", scene.stanza) in samples, "a known RPO")
    return scene.agent
