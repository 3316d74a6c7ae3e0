"""Dagster resources: thin ConfigurableResources over the duties' contexts and clients.

No logic lives here. A resource reads the settings when a run starts, in the run's own process,
so definitions load with nothing configured.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import PrivateAttr

from ops_platform.backup.stanza import BackupContext, load_living_here, locks, open_context
from ops_platform.clients import prometheus_access
from ops_platform.clients.alertmanager import Alertmanager
from ops_platform.clients.prometheus import Prometheus
from ops_platform.settings import Settings, load_settings
from ops_platform.slo.objectives import Objective, openslo

# Modules that only a run needs are imported where the run uses them: the definitions load in less time.
if TYPE_CHECKING:
    from ops_platform.gdpr.data_map import DataMap
    from ops_platform.gdpr.erasure.context import ErasureContext
    from ops_platform.gdpr.export import ExportContext


class PlatformResource(dg.ConfigurableResource[Any]):
    """Settings of this process, and the contexts and clients opened from them."""

    def settings(self) -> Settings:
        """Load the settings from the environment. Raises ConfigurationError."""
        return load_settings()

    def backup(self, stanza: str) -> BackupContext:
        """Open the context of one stanza. Raises ConfigurationError that names a missing setting."""
        return open_context(self.settings(), stanza)

    def stanzas(self) -> list[str]:
        """List the stanzas that live on this host, in each repository. Raises ConfigurationError."""
        return list(load_living_here(self.settings()).stanzas)

    def clusters(self) -> list[str]:
        """List them without those in a second repository. Raises ConfigurationError."""
        return list(load_living_here(self.settings()).clusters)

    def prometheus(self) -> Prometheus:
        """Make a client that waits up to 120 s: queries may read a day of raw samples."""
        return prometheus_access.connect(self.settings(), timeout_seconds=120)

    def has_objectives(self) -> bool:
        """Tell whether there is any document of an objective."""
        return any((self.settings().config_dir / "objectives").glob("*.y*ml"))

    def objectives(self) -> list[Objective]:
        """Load the objectives of the OpenSLO documents. Raises ConfigurationError."""
        return openslo.load_directory(self.settings().config_dir / "objectives")

    def erasure(self) -> "ErasureContext":
        """Open the context of an erasure. Raises ConfigurationError that names a missing setting."""
        from ops_platform.dr.verification import backup_expiry
        from ops_platform.gdpr.erasure import context as erasure_context

        settings = self.settings()
        term = backup_expiry.product_backup_term(settings, self.data_map())
        return erasure_context.open_context(
            settings, term, stanza_server=backup_expiry.stanza_server(settings)
        )

    def export(self) -> "ExportContext":
        """Open the context of an export. Raises ConfigurationError that names a missing setting."""
        from ops_platform.gdpr import export

        return export.open_context(self.settings())

    def data_map(self) -> "DataMap":
        """Load data_map.yaml. Raises ConfigurationError that names the wrong line."""
        from ops_platform.gdpr.data_map import parser

        return parser.load(self.settings().config_dir / "data_map.yaml")

    def alertmanager(self) -> Alertmanager:
        """Make a client of Alertmanager. Raises ConfigurationError when its URL is not set."""
        settings = self.settings()
        return Alertmanager(settings.require("alertmanager_url"), ca_file=settings.ca_file)


class StanzaLockResource(dg.ConfigurableResource[Any]):
    """Holder of a stanza's backup lock, from the first op that asks for it to the end of the run.

    The in-process executor makes one instance a run, so preflight, run, verify and record
    share one lock; a process that dies drops its database session and with it the lock.
    """

    wait_seconds: float = 6 * 3600.0
    turn_seconds: float = 48 * 3600.0
    """Wait of a scheduled backup for the one into the cluster's other repository: a full may take days."""

    _stack: ExitStack = PrivateAttr(default_factory=ExitStack)
    _held: set[str] = PrivateAttr(default_factory=set)

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator["StanzaLockResource"]:
        """Free all locks at the end of the run."""
        try:
            yield self
        finally:
            self._stack.close()
            self._held.clear()

    def hold(
        self,
        backup: BackupContext,
        log: Callable[[str], None],
        while_waiting: Callable[[], None] | None = None,
    ) -> None:
        """Take the lock unless this run holds it.

        Raises Unavailable after ``wait_seconds``, and what ``while_waiting`` raises, which is called each
        minute of the wait.
        """
        name = backup.stanza.name
        if name not in self._held:
            url = backup.settings.require("database_url")
            lock = locks.stanza_lock(url, name, self.wait_seconds, log, while_waiting=while_waiting)
            self._stack.enter_context(lock)
            self._held.add(name)
