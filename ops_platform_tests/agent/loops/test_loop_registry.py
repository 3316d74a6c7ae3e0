"""Loops of several repositories, and of several hosts: each look is somebody's, and nobody else's."""

from __future__ import annotations

from collections import Counter
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
    assert of_server - elsewhere == {"heartbeat", "positions", "server", "prune"}
    assert elsewhere == {"recovery", "wal-hours", "files", "index", "lock", "place"}


def loops_and_sources(duties: str, stanzas: str) -> list[str]:
    """Name the loops of an agent, and the kinds of metrics that it exports."""
    registry = LoopRegistry(
        load_settings(
            {
                "OPS_DUTIES": duties,
                "OPS_STANZAS": stanzas,
                "OPS_DATABASE_URL": "postgresql:///",
                "OPS_DAGSTER_URL": "http://d:1",
            }
        )
    )
    try:
        state = registry.state
        names = [loop.name for loop in registry.loops()]
        names += [type(source).__name__ for source in state.sources if source not in (state.backup, state.dr)]
        names += [f"backup of {name}" for name in state.backup.stanzas if state.backup in state.sources]
        names += [f"dr of {name}" for name in state.dr.rto_targets if state.dr in state.sources]
    finally:
        registry.close()
    return names


def test_agents_of_several_hosts_do_and_export_everything_once() -> None:
    of_each = {"observe", "certificates", "reconcile", "SystemMetrics"}
    """They look at the host itself, or at its own stanzas."""
    split = [("backup,gdpr", "product"), ("backup,slo,housekeeping", "ops"), ("dr", "product,ops")]
    parts = [Counter(loops_and_sources(*host)) for host in split]
    together = sum(parts, Counter[str]())
    assert {name for name, times in together.items() if times > 1} <= of_each
    assert set(together) == set(loops_and_sources("", ""))
    assert set(parts[2]) == {"observe", "certificates", "SystemMetrics", "dr of product", "dr of ops"}
