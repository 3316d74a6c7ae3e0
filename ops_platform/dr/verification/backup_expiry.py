"""The time for which backups still hold an erased subject, from backups.yaml."""

from __future__ import annotations

from ops_platform.backup.retention import set_lifetime
from ops_platform.backup.stanza import BackupConfig, Stanza, load_backups
from ops_platform.errors import ConfigurationError
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


def product_backup_term(settings: Settings) -> BackupTerm:
    """Return how long backups of the product hold an erased subject. Raises ConfigurationError."""
    config = load_backups(settings)
    return backup_term(config, product_stanza(settings, config))


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
