"""A second repository is looked at by loops of its own; the server is asked once."""

from __future__ import annotations

from pathlib import Path

from ops_platform.agent.loops.loop_registry import LoopRegistry
from ops_platform.settings import load_settings
from ops_platform_tests.backup.shapes import write_two_repositories


def test_of_two_repositories_each_is_looked_at_and_the_server_asked_once(tmp_path: Path) -> None:
    write_two_repositories(tmp_path)
    registry = LoopRegistry(
        load_settings({"OPS_CONFIG_DIR": str(tmp_path), "OPS_DATABASE_URL": "postgresql:///"})
    )
    try:
        loops = [loop.name.partition("/") for loop in registry.loops()]
    finally:
        registry.close()
    of_server = {name for name, _, stanza in loops if stanza == "product"}
    elsewhere = {name for name, _, stanza in loops if stanza == "product@offsite"}
    assert of_server - elsewhere == {"heartbeat", "positions", "server"}
    assert elsewhere == {"recovery", "wal-hours", "files", "index", "lock", "place"}
