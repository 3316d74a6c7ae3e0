"""One server under many names of stanzas, and their agent: what it opens and starts goes by the names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from ops_platform_tests.agent.process import AgentProcess, Samples
from ops_platform_tests.services import OpsDatabase, OpsDatabases, Services

PACES = {"OPS_HEARTBEAT_SECONDS": "10", "OPS_AGENT_REFRESH_SECONDS": "15"}
"""Those of an installation."""


@dataclass(frozen=True)
class Many:
    stanzas: int
    agent: AgentProcess
    database: OpsDatabase

    def sessions(self) -> int:
        """The agent's sessions in the ops database."""
        with self.database.superuser() as superuser:
            row = superuser.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'ops-platform agent%'"
            ).fetchone()
        assert row is not None
        return int(str(row[0]))

    def wait_for_heartbeats(self, newer_than: Samples | None = None) -> None:
        """Wait until each stanza has a heartbeat, newer than these."""
        known = newer_than or {}
        self.agent.scrape_until(
            lambda found: (
                found.get(("ops_database_up", ())) == 1
                and sum(
                    name == "backup_heartbeat_timestamp_seconds" and at > known.get((name, labels), 0.0)
                    for (name, labels), at in found.items()
                )
                == self.stanzas
            ),
            "a heartbeat of each stanza",
            timeout=60,
        )


@contextmanager
def running_many(services: Services, directory: Path, stanzas: int) -> Iterator[Many]:
    product = services.cluster("many", archive=False, settings={"max_connections": "400"})
    ops = services.cluster("ops", archive=False, roles="ops")
    database = OpsDatabases(ops).create()
    settings = services.settings_for(
        product, database=database, role="ops_agent", environ={"OPS_DUTIES": "backup"}
    )
    file = settings.config_dir / "backups.yaml"
    config = yaml.safe_load(file.read_text(encoding="utf-8"))
    template = config["stanzas"].pop(product.name)
    config["stanzas"] = {f"many-{number:03}": template for number in range(stanzas)}
    file.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    agent = AgentProcess(settings, directory / "agent.log", PACES)
    agent.start()
    try:
        yield Many(stanzas, agent, database)
    finally:
        agent.close()
        product.kill()
        ops.kill()
