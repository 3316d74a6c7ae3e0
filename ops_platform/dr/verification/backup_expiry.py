"""The time for which backups still hold an erased subject, from backups.yaml."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import psycopg

from ops_platform.backup.retention import set_lifetime
from ops_platform.backup.stanza import BackupConfig, Stanza, load_backups
from ops_platform.clients import postgres
from ops_platform.errors import ConfigurationError, Unavailable
from ops_platform.gdpr import connections
from ops_platform.gdpr.data_map import Database, DataMap
from ops_platform.gdpr.tombstones import BackupTerm
from ops_platform.settings import Settings


def backup_term(config: BackupConfig, stanza: Stanza) -> BackupTerm:
    """Return how long backups of ``stanza`` hold an erased subject, versions under object lock included.

    That of the repository which holds it longest. Raises ConfigurationError when no full backup is
    scheduled: then no set would ever expire.
    """
    traces = []
    for sibling in config.siblings(stanza):
        if not sibling.crons("full"):
            raise ConfigurationError(
                f"{stanza.source}: stanzas.{sibling.name}.schedules.full is off: nobody can say when the "
                "last backup that holds an erased subject expires; schedule full backups"
            )
        repository = config.repository_of(sibling)
        locked = set_lifetime.lock_days(config.of_repository(repository).stanzas.values(), repository)
        traces.append(set_lifetime.longest_trace(sibling, locked, repository))
    return BackupTerm(stanza.cluster, max(traces))


def product_backup_term(settings: Settings, data_map: DataMap | None = None) -> BackupTerm:
    """Return how long backups of the product hold an erased subject, and those of the map's other databases.

    Raises ConfigurationError, also where the map names a stanza that backups.yaml does not have.
    """
    config = load_backups(settings)
    term = backup_term(config, product_stanza(settings, config))
    others = [part.database for part in (data_map.databases if data_map else ()) if part.database]
    return replace(term, elsewhere={other.name: _lifetime(config, other) for other in others})


def stanza_server(settings: Settings) -> Callable[[str], str | None]:
    """Return what asks a stanza's server, by the stanza's own connection, which one it is.

    It returns None where that server, or a variable of its URL, is not there.
    """

    def ask(stanza: str) -> str | None:
        known = load_backups(settings).clusters.get(stanza)
        if known is None:
            return None
        try:
            with postgres.session(known.database_url(settings), application="ops-platform erasure") as server:
                return connections.server_of(server)
        except (Unavailable, ConfigurationError, psycopg.Error):
            return None

    return ask


def _lifetime(config: BackupConfig, database: Database) -> timedelta | None:
    """Return how long backups of a further database hold a subject; None: they are not the platform's."""
    if database.stanza is None:
        return None
    stanza = config.clusters.get(database.stanza)
    if stanza is None:
        raise ConfigurationError(
            f"databases.{database.name}.stanza in the data map is {database.stanza}, which backups.yaml does "
            f"not have, but {', '.join(config.clusters)}: correct it, or leave it out"
        )
    return backup_term(config, stanza).set_lifetime


def product_stanza(settings: Settings, config: BackupConfig) -> Stanza:
    """Find the stanza whose connection is OPS_PRODUCT_DATABASE_URL. Raises ConfigurationError."""
    settings.require("product_database_url")
    stanza = known_product_stanza(settings, config)
    if stanza is not None:
        return stanza
    raise ConfigurationError(
        "no stanza of backups.yaml has the connection ${OPS_PRODUCT_DATABASE_URL}: add the product's, so "
        "that an erasure knows how long backups hold the data"
    )


def known_product_stanza(settings: Settings, config: BackupConfig) -> Stanza | None:
    """Find the stanza whose connection is OPS_PRODUCT_DATABASE_URL; None: it is not set, or no stanza's."""
    url = settings.product_database_url
    for stanza in config.clusters.values():
        try:
            if url and stanza.database_url(settings) == url:
                return stanza
        except ConfigurationError:
            continue  # variables of another stanza, which are not needed here
    return None
