"""Which loops the agent runs, from the settings and backups.yaml. What each does is elsewhere."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from ops_platform.agent import deliveries
from ops_platform.agent.loops.reconnecting_session import Link
from ops_platform.agent.loops.sealing import Sealing
from ops_platform.agent.loops.stanza_steps import Beats, Gaps, Heartbeat, Positions, Recovery, Server
from ops_platform.agent.loops.wal_hours import WalHours
from ops_platform.agent.metrics import Targets, one_moment, read_together
from ops_platform.agent.probes import certificates, dagster_health
from ops_platform.agent.state import CERTIFICATE_SECONDS, GAP_TURNS, Knowledge, knowledge
from ops_platform.agent.supervised_loop import Loop
from ops_platform.backup.monitoring import freshness
from ops_platform.backup.recovery_point import heartbeat
from ops_platform.backup.retention import set_lifetime
from ops_platform.backup.stanza import BackupConfig, BackupContext, load_backups, open_context
from ops_platform.backup.taking import report_store
from ops_platform.clients import object_store
from ops_platform.clients.json_http import JsonService
from ops_platform.clients.mail import outbox, smtp
from ops_platform.errors import OpsError, Unavailable
from ops_platform.gdpr import requests
from ops_platform.gdpr.export import archive_store
from ops_platform.settings import Settings
from ops_platform.slo.objectives import openslo

RECONCILE_SECONDS = 60.0
WAL_HOURS_SECONDS = 60.0
PRUNE_SECONDS = 300.0
MAIL_SECONDS = 5.0
MAIL_PATIENCE_SECONDS = 300.0
"""A round of mails to a slow server."""
EXPIRE_SECONDS = 60.0
EXPORTS_SECONDS = 300.0
EXPORTS_PATIENCE_SECONDS = 600.0
"""A bucket with many exports, listed page by page."""
REPOSITORY_PATIENCE_SECONDS = 240.0
"""pgBackRest itself gives a repository up after about two minutes."""
DATABASE_PATIENCE_SECONDS = 30.0
RECEIVE_SECONDS = 8.0
"""Alertmanager waits ten seconds for an answer."""


class Duties:
    """Everything the agent does for one configuration."""

    def __init__(self, settings: Settings) -> None:
        """Raises ConfigurationError when settings or backups.yaml are wrong; connects to nothing."""
        self._settings = settings
        self._config: BackupConfig = load_backups(settings)
        self._ops_url = settings.require("database_url")
        self._links: list[Link] = []
        self.known: Knowledge = knowledge(
            {
                name: Targets(
                    float(stanza.rpo_target_seconds),
                    float(stanza.rto_target_seconds),
                    dict[str, float](freshness.limits(stanza).items()),
                )
                for name, stanza in self._config.stanzas.items()
            },
            settings.agent.refresh_seconds,
        )
        self._receiving = threading.Lock()
        self._deliveries = self._ops("agent receiver")
        self._dagster: JsonService | None = None

    def loops(self) -> list[Loop]:
        found = [self._observe(), self._reconcile(), self._prune(), self._seal(), self._certificates()]
        found += [self._objectives(), self._mail(), self._expire_requests(), self._expire_exports()]
        if self._settings.dagster_url:
            found.append(self._ask_dagster(self._settings.dagster_url))
        for stanza in self._config.stanzas:
            found += self._stanza_loops(stanza)
        return found

    def receive(self, body: Mapping[str, Any]) -> int:
        """Record a notification of Alertmanager; the number of alerts that were new. Raises OpsError."""
        found = deliveries.parse(body)
        if not self._receiving.acquire(timeout=RECEIVE_SECONDS):
            raise Unavailable("an earlier notification is still being recorded: try again later")
        try:
            with self._deliveries.limited(RECEIVE_SECONDS), self._deliveries.use() as connection:
                return deliveries.record(connection, found)
        finally:
            self._receiving.release()

    def close(self) -> None:
        for link in self._links:
            link.close()
        if self._dagster is not None:
            self._dagster.close()

    # --- loops of the whole agent -------------------------------------------------------------------

    def _observe(self) -> Loop:
        link = self._ops("agent metrics")

        def step() -> None:
            try:
                with link.use() as connection:
                    read_together(connection, self.known.readers)
            except OpsError:
                self.known.system.ops_up.put(False)
                raise
            self.known.system.ops_up.put(True)

        return self._database_loop("observe", self._settings.agent.refresh_seconds, step, link)

    def _objectives(self) -> Loop:
        link, directory = self._ops("agent objectives"), self._settings.config_dir / "objectives"

        def step() -> None:
            # Read anew each time: a wrong document is a failing loop, and no agent that does not start.
            promised = openslo.load_files(directory)
            with link.use() as connection:
                one_moment(connection)
                self.known.slo.read(connection, promised)

        return self._database_loop("objectives", self._settings.agent.refresh_seconds, step, link)

    def _mail(self) -> Loop:
        link = self._ops("agent mail")

        def step() -> None:
            server = smtp.mailer(self._settings)
            with link.use() as connection:
                outbox.send_due(connection, server, lambda: datetime.now(UTC))

        return Loop("mail", MAIL_SECONDS, step, patience=MAIL_PATIENCE_SECONDS, cut=link.cut)

    def _expire_requests(self) -> Loop:
        link = self._ops("agent gdpr requests")

        def step() -> None:
            with link.use() as connection:
                requests.expire(connection, datetime.now(UTC))

        return self._database_loop("gdpr-requests", EXPIRE_SECONDS, step, link)

    def _expire_exports(self) -> Loop:
        link = self._ops("agent gdpr exports")

        def step() -> None:
            with link.use() as connection:
                if self._settings.s3.identities["exports"].bucket is None and not archive_store.count_kept(
                    connection
                ):
                    return
                # Opened in the loop: a missing setting is a failing loop, not exports that are kept for ever.
                store = object_store.from_settings(self._settings, "exports")
                archive_store.expire(connection, store, lambda: datetime.now(UTC))
                archive_store.sweep(connection, store, datetime.now(UTC))

        return Loop("gdpr-exports", EXPORTS_SECONDS, step, patience=EXPORTS_PATIENCE_SECONDS, cut=link.cut)

    def _reconcile(self) -> Loop:
        def step() -> None:
            for stanza in self._config.stanzas:
                report_store.reconcile_dead(self._ops_url, stanza)

        return Loop("reconcile", RECONCILE_SECONDS, step, patience=DATABASE_PATIENCE_SECONDS)

    def _prune(self) -> Loop:
        ops = self._ops("agent prune")
        servers = {stanza: self._server(stanza, "agent prune") for stanza in self._config.stanzas}
        terms = {name: set_lifetime.kept_beside(one) for name, one in self._config.stanzas.items()}

        def step() -> None:
            for stanza, server in servers.items():
                with server.use() as product, ops.use() as connection:
                    heartbeat.prune(product, connection, stanza, terms[stanza])

        return self._database_loop("prune", PRUNE_SECONDS, step, ops, *servers.values())

    def _seal(self) -> Loop:
        link = self._ops("agent sealer")
        every = self._settings.agent.seal_seconds
        # S3 may take its time: boto3 tries four times.
        return Loop("seal", every, Sealing(self._settings, link).step, patience=300.0, cut=link.cut)

    def _certificates(self) -> Loop:
        def step() -> None:
            settings = self._settings
            urls = {
                "object-store": settings.s3.endpoint_url,
                "redis": settings.redis_url,
                "ops-database": self._ops_url,
                "api": settings.api_url,
                **{
                    f"stanza-{name}": stanza.database_url(settings)
                    for name, stanza in self._config.stanzas.items()
                },
            }
            found = [certificates.endpoint(name, url) for name, url in urls.items()]
            files = certificates.files_below(settings.state_dir, settings.ca_file)
            self.known.system.certificates.put(
                certificates.survey(files, [one for one in found if one is not None])
            )

        return Loop("certificates", CERTIFICATE_SECONDS, step, patience=120.0)

    def _ask_dagster(self, url: str) -> Loop:
        service = JsonService("Dagster", url, ca_file=self._settings.ca_file)
        self._dagster = service

        def step() -> None:
            try:
                health = dagster_health.ask(service)
            except OpsError:
                self.known.system.dagster_up.put(False)
                raise
            self.known.system.dagster_up.put(True)
            self.known.system.dagster.put(health)

        return Loop("dagster", self._settings.agent.refresh_seconds, step)

    # --- loops of one stanza ------------------------------------------------------------------------

    def _stanza_loops(self, stanza: str) -> list[Loop]:
        agent, known, beats = self._settings.agent, self.known.backup.stanzas[stanza], Beats()
        context = self._context(stanza)
        beating, asking = self._server(stanza, "agent heartbeat"), self._server(stanza, "agent server")
        positions, recovery, hours = (self._ops(f"agent {name}") for name in ("positions", "recovery", "wal"))
        gaps = Gaps(context, known)
        database = self._database_loop
        return [
            database(
                f"heartbeat/{stanza}", agent.heartbeat_seconds, Heartbeat(beating, beats, known).step, beating
            ),
            database(
                f"positions/{stanza}",
                agent.heartbeat_seconds,
                Positions(positions, beats, stanza).step,
                positions,
            ),
            database(f"server/{stanza}", agent.refresh_seconds, Server(asking, known).step, asking),
            Loop(
                f"recovery/{stanza}",
                agent.refresh_seconds,
                Recovery(context, recovery, beats, known).step,
                patience=REPOSITORY_PATIENCE_SECONDS,
                cut=recovery.cut,
            ),
            Loop(
                f"gaps/{stanza}",
                GAP_TURNS * agent.refresh_seconds,
                gaps.step,
                patience=REPOSITORY_PATIENCE_SECONDS,
            ),
            database(
                f"wal-hours/{stanza}",
                WAL_HOURS_SECONDS,
                WalHours(stanza, hours, lambda: gaps.latest).step,
                hours,
            ),
        ]

    def _context(self, stanza: str) -> Callable[[], BackupContext]:
        opened: list[BackupContext] = []
        lock = threading.Lock()

        def context() -> BackupContext:
            # Opened in the loop: what is missing is a failing loop, not an agent that does not start.
            with lock:
                if not opened:
                    opened.append(open_context(self._settings, stanza))
                return opened[0]

        return context

    def _database_loop(self, name: str, every: float, step: Callable[[], None], *links: Link) -> Loop:
        def cut() -> None:
            for link in links:
                link.cut()

        return Loop(name, every, step, patience=DATABASE_PATIENCE_SECONDS, cut=cut)

    def _ops(self, application: str) -> Link:
        return self._link(lambda: self._ops_url, application)

    def _server(self, stanza: str, application: str) -> Link:
        return self._link(lambda: self._config.stanzas[stanza].database_url(self._settings), application)

    def _link(self, url: Callable[[], str], application: str) -> Link:
        link = Link(url, f"ops-platform {application}")
        self._links.append(link)
        return link
