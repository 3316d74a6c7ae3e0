"""Registry of the agent's loops, made from the settings and backups.yaml. Their steps are elsewhere."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from ops_platform.agent import deliveries
from ops_platform.agent.loops.copy_watch import CopyWatch
from ops_platform.agent.loops.document_watch import DocumentWatch
from ops_platform.agent.loops.sealing import Sealing
from ops_platform.agent.loops.sessions import DATABASE_PATIENCE_SECONDS, Sessions, database_loop
from ops_platform.agent.loops.stanza_loops import StanzaLoops
from ops_platform.agent.metrics import Targets, begin_snapshot, read_in_one_snapshot
from ops_platform.agent.probes import certificates, dagster_health
from ops_platform.agent.probes.endpoint_answer import Prober
from ops_platform.agent.probes.endpoint_list import ProbeList
from ops_platform.agent.state import (
    CERTIFICATE_SECONDS,
    COPIES_SECONDS,
    PROBE_SECONDS,
    TICKS_SECONDS,
    AgentState,
    initial_state,
)
from ops_platform.agent.supervised_loop import Loop
from ops_platform.backup.monitoring import freshness
from ops_platform.backup.stanza import BackupConfig, load_backups, load_living_here
from ops_platform.backup.taking import report_store
from ops_platform.clients import dagster, object_store
from ops_platform.clients.json_http import JsonService
from ops_platform.clients.mail import outbox, smtp
from ops_platform.dr.verification import backup_expiry
from ops_platform.errors import OpsError, Unavailable
from ops_platform.gdpr import requests
from ops_platform.gdpr.export import archive_store
from ops_platform.housekeeping.calendar import CalendarFile
from ops_platform.settings import Settings

RECONCILE_SECONDS = 60.0
MAIL_SECONDS = 5.0
MAIL_PATIENCE_SECONDS = 300.0
"""Enough for a round of mails to a slow server."""
EXPIRE_SECONDS = 60.0
EXPORTS_SECONDS = 300.0
EXPORTS_PATIENCE_SECONDS = 600.0
"""Enough for a bucket with many exports, listed page by page."""
RECEIVE_SECONDS = 8.0
"""Less than the ten seconds that Alertmanager waits for an answer."""


class LoopRegistry:
    """All loops of the agent for one configuration, the sessions they keep and the state they write."""

    def __init__(self, settings: Settings) -> None:
        """Read backups.yaml and connect to nothing.

        Raises ConfigurationError when the settings or backups.yaml are wrong.
        """
        self._settings = settings
        self._config: BackupConfig = load_living_here(settings)
        self._sessions = Sessions(settings, self._config)
        # The product may live elsewhere, and so may stanzas that have duties.
        everywhere = load_backups(settings)
        product = backup_expiry.known_product_stanza(settings, everywhere)
        self.state: AgentState = initial_state(
            {
                name: Targets(
                    float(stanza.rpo_target_seconds),
                    float(stanza.rto_target_seconds),
                    dict[str, float](freshness.limits(stanza).items()),
                    stanza.retention_days * 86400.0,
                )
                for name, stanza in self._config.stanzas.items()
            },
            settings.agent.refresh_seconds,
            settings.config_dir / "data_map.yaml",
            product.cluster if product is not None else None,
            settings.host,
            CalendarFile(settings.config_dir),
            list(everywhere.stanzas),
        )
        self._receiving = threading.Lock()
        self._deliveries = self._sessions.of_ops("agent receiver")
        self._dagster: JsonService | None = None

    def loops(self) -> list[Loop]:
        """Make the loops of every agent, and those of the host's duties and stanzas."""
        host, loops = self._settings.host, [self._observe(), self._certificates()]
        if host.has("housekeeping"):
            loops += [self._seal(), self._copies()]
            if self._settings.dagster_url:
                loops += self._ask_dagster(self._settings.dagster_url)
        if host.has("slo"):
            loops += [self._objectives(), self._probe()]
        if host.has("gdpr"):
            loops += [self._mail(), self._expire_requests(), self._expire_exports()]
        if host.has("backup"):
            loops.append(self._reconcile())
            of_stanzas = StanzaLoops(self._settings, self._config, self._sessions, self.state.backup.stanzas)
            loops += of_stanzas.loops()
        return loops

    def receive(self, body: Mapping[str, Any]) -> int:
        """Record a notification of Alertmanager; return how many of its alerts were new.

        Raises CheckFailed for another body, Unavailable when it cannot be recorded within 8 s.
        """
        parsed = deliveries.parse(body)
        if not self._receiving.acquire(timeout=RECEIVE_SECONDS):
            raise Unavailable("an earlier notification is still being recorded: try again later")
        try:
            with self._deliveries.limited(RECEIVE_SECONDS), self._deliveries.use() as connection:
                return deliveries.record(connection, parsed)
        finally:
            self._receiving.release()

    def close(self) -> None:
        """Close all sessions."""
        self._sessions.close()
        if self._dagster is not None:
            self._dagster.close()

    # --- loops of the whole agent -------------------------------------------------------------------

    def _observe(self) -> Loop:
        session = self._sessions.of_ops("agent metrics")

        def step() -> None:
            try:
                with session.use() as connection:
                    read_in_one_snapshot(connection, self.state.readers)
            except OpsError:
                self.state.system.ops_up.put(False)
                raise
            self.state.system.ops_up.put(True)

        return database_loop("observe", self._settings.agent.refresh_seconds, step, session)

    def _objectives(self) -> Loop:
        session = self._sessions.of_ops("agent objectives")
        documents = DocumentWatch(self._settings.config_dir / "objectives")

        def step() -> None:
            # Not before: a wrong document fails this loop and does not keep the agent from starting.
            objectives = documents.objectives()
            with session.use() as connection:
                begin_snapshot(connection)
                self.state.slo.read(connection, objectives)

        return database_loop("objectives", self._settings.agent.refresh_seconds, step, session)

    def _mail(self) -> Loop:
        session = self._sessions.of_ops("agent mail")

        def step() -> None:
            server = smtp.mailer(self._settings)
            with session.use() as connection:
                outbox.send_due(connection, server, lambda: datetime.now(UTC))

        return Loop("mail", MAIL_SECONDS, step, patience=MAIL_PATIENCE_SECONDS, cut=session.cut)

    def _expire_requests(self) -> Loop:
        session = self._sessions.of_ops("agent gdpr requests")

        def step() -> None:
            with session.use() as connection:
                requests.expire(connection, datetime.now(UTC))

        return database_loop("gdpr-requests", EXPIRE_SECONDS, step, session)

    def _expire_exports(self) -> Loop:
        session = self._sessions.of_ops("agent gdpr exports")

        def step() -> None:
            with session.use() as connection:
                if self._settings.s3.identities["exports"].bucket is None and not archive_store.count_kept(
                    connection
                ):
                    return
                # Opened in the loop: a missing setting fails it, and exports are not silently kept for ever.
                store = object_store.from_settings(self._settings, "exports")
                archive_store.expire(connection, store, lambda: datetime.now(UTC))
                archive_store.sweep(connection, store, datetime.now(UTC))

        return Loop("gdpr-exports", EXPORTS_SECONDS, step, patience=EXPORTS_PATIENCE_SECONDS, cut=session.cut)

    def _reconcile(self) -> Loop:
        def step() -> None:
            for stanza in self._config.stanzas:
                report_store.reconcile_dead(self._sessions.ops_url, stanza)

        return Loop("reconcile", RECONCILE_SECONDS, step, patience=DATABASE_PATIENCE_SECONDS)

    def _seal(self) -> Loop:
        session = self._sessions.of_ops("agent sealer")
        every = self._settings.agent.seal_seconds
        # S3 may take its time: boto3 tries four times.
        return Loop("seal", every, Sealing(self._settings, session).step, patience=300.0, cut=session.cut)

    def _copies(self) -> Loop:
        session = self._sessions.of_ops("agent ledger copies")
        watch = CopyWatch(self._settings, self.state.audit, session)
        # The first look lists all copies: a second for ten thousand of them.
        return Loop("ledger-copies", COPIES_SECONDS, watch.step, patience=300.0, cut=session.cut)

    def _certificates(self) -> Loop:
        def step() -> None:
            settings, urls = self._settings, dict[str, str | None]()
            # What all hosts use is looked at by one.
            if settings.host.has("housekeeping"):
                urls |= {"object-store": settings.s3.endpoint_url, "ops-database": self._sessions.ops_url}
                if self._config.second is not None:
                    urls["second-object-store"] = settings.second_repository.endpoint_url
            if settings.host.has("gdpr"):
                urls |= {"redis": settings.redis_url, "api": settings.api_url}
            if settings.host.has("backup"):
                urls |= {
                    f"stanza-{name}": stanza.database_url(settings)
                    for name, stanza in self._config.clusters.items()
                }
            endpoints = [certificates.endpoint_of(name, url) for name, url in urls.items()]
            files = certificates.certificate_files(settings.state_dir, settings.ca_file)
            self.state.system.certificates.put(
                certificates.read_expiries(
                    files, [endpoint for endpoint in endpoints if endpoint is not None]
                )
            )

        return Loop("certificates", CERTIFICATE_SECONDS, step, patience=120.0)

    def _probe(self) -> Loop:
        endpoints, prober = ProbeList(self._settings), Prober(self._settings.ca_file)
        metrics = self.state.synthetic

        def step() -> None:
            now = time.monotonic()
            try:
                probes = endpoints.probes()
                metrics.begin(probes, now)
                prober.ask(probes, metrics.put)
            except OpsError:
                metrics.skip(now)
                raise

        return Loop("probes", PROBE_SECONDS, step)

    def _ask_dagster(self, url: str) -> list[Loop]:
        access = dagster.access(self._settings.dagster_token)
        service = JsonService("Dagster", url, ca_file=self._settings.ca_file, access=access)
        self._dagster = service

        def step() -> None:
            try:
                health = dagster_health.read_health(service)
            except OpsError:
                self.state.system.dagster_up.put(False)
                raise
            self.state.system.dagster_up.put(True)
            self.state.system.dagster.put(health)

        def look_at_ticks() -> None:
            self.state.system.ticks.put(dagster_health.read_ticks(service))

        return [
            Loop("dagster", self._settings.agent.refresh_seconds, step),
            Loop("dagster-ticks", TICKS_SECONDS, look_at_ticks),
        ]
