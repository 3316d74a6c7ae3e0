"""A backed-up cluster with an ops cluster of its own that tests may stop, and a real agent beside it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from ops_platform import files
from ops_platform.audit.keys import generate
from ops_platform.backup.stanza.context import BackupContext, open_context
from ops_platform.backup.stanza.model import Kind
from ops_platform.backup.taking import execution
from ops_platform.backup.taking.report import BackupReport, BackupRequest
from ops_platform.local.host.secrets import SecretStore
from ops_platform.local.servers.postgres_cluster import PostgresCluster
from ops_platform_tests.agent.process import AgentProcess
from ops_platform_tests.ports import free_ports
from ops_platform_tests.services import OpsDatabase, OpsDatabases, Services, state_dir


@dataclass(frozen=True)
class Scene:
    """One stanza, its ops database, the agent."""

    services: Services
    product: PostgresCluster
    ops: PostgresCluster
    database: OpsDatabase
    context: BackupContext
    agent: AgentProcess
    mail_port: int

    @property
    def stanza(self) -> tuple[tuple[str, str], ...]:
        """The labels of a sample of the stanza."""
        return (("stanza", self.product.name),)

    def kind(self, kind: str) -> tuple[tuple[str, str], ...]:
        return (("kind", kind), *self.stanza)

    def backup(self, kind: Kind) -> BackupReport:
        run = str(uuid4())
        request = BackupRequest(self.product.name, kind, run, run, "cli")
        return execution.run_backup(self.context, request, lambda _line: None, lambda _fraction: None)

    def switch_wal(self) -> datetime:
        """Have what was written so far archived; the moment."""
        with self.product.superuser() as superuser:
            superuser.execute("SELECT pg_switch_wal()")
        return datetime.now(UTC)


@contextmanager
def running_scene(services: Services, directory: Path) -> Iterator[Scene]:
    """Make the clusters, the first backup and an agent that logs to the directory and is not started yet."""
    product = services.cluster("product")
    ops = services.cluster("ops", archive=False, roles="ops")
    database = OpsDatabases(ops).create()
    context = open_context(services.settings_for(product, database=database), product.name)
    private, public = generate()
    mail_port = free_ports(1)[0]
    secrets = SecretStore(state_dir(product) / "secrets")
    settings = services.settings_for(
        product,
        database=database,
        role="ops_agent",
        environ={
            "OPS_AUDIT_SIGNING_KEY_FILE": str(secrets.write("signing-key", private)),
            "OPS_AUDIT_PUBLIC_KEY": public,
            "OPS_SMTP_PORT": str(mail_port),
        },
    )
    shutil.copytree(files.default_config_dir() / "objectives", settings.config_dir / "objectives")
    # Nobody answers there: asking costs nothing, and a refused connection is a wrong answer, too.
    (settings.config_dir / "probes.yaml").write_text("probes: [{name: nobody, url: 'http://127.0.0.1:9/'}]\n")
    log = directory / "agent.log"
    agent = AgentProcess(settings, log)
    made = Scene(services, product, ops, database, context, agent, mail_port)
    made.backup("full")
    yield made
    agent.close()
    product.kill()
    ops.kill()
