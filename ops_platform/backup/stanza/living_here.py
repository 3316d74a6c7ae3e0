"""The stanzas that live on this host: those of OPS_STANZAS, else all of backups.yaml.

The file is the same on all hosts of an installation. What is asked of stanzas elsewhere (how long their
backups hold an erased subject, how long the bucket's lock must be) is read without this restriction.
"""

from __future__ import annotations

from ops_platform.backup.stanza.config_file import load_backups
from ops_platform.backup.stanza.model import BackupConfig, choose_stanza, cluster_of
from ops_platform.errors import ConfigurationError
from ops_platform.settings import Settings


def load_living_here(settings: Settings) -> BackupConfig:
    """Read backups.yaml, and keep what lives here. Raises ConfigurationError."""
    return restrict(settings, load_backups(settings))


def restrict(settings: Settings, config: BackupConfig, *others: str) -> BackupConfig:
    """Keep the stanzas that live here, and the clusters ``others``. Raises ConfigurationError."""
    named = settings.host.stanzas
    if not named:
        return config
    for name in named:
        if name not in config.clusters:
            raise ConfigurationError(
                f"OPS_STANZAS: backups.yaml has no stanza {name!r}: name some of {', '.join(config.clusters)}"
            )
    return config.of_clusters({*named, *others})


def choose_here(settings: Settings, name: str | None, repository: str | None = None) -> str:
    """Choose a stanza that lives here, like ``choose_stanza``. Raises ConfigurationError."""
    config = load_backups(settings)
    here = restrict(settings, config)
    if name is not None and name in config.stanzas and cluster_of(name) not in here.clusters:
        raise ConfigurationError(
            f"the stanza {name} does not live on this host (OPS_STANZAS={','.join(settings.host.stanzas)}): "
            "run it where it does"
        )
    return choose_stanza(here, name, repository)
