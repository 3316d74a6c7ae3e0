"""Dagster's code location: ``build_defs`` merges the Definitions of the duties, and does nothing else."""

from __future__ import annotations

from collections.abc import Mapping

import dagster as dg

from ops_platform.backup.stanza import load_backups
from ops_platform.defs.backup import backup_definitions
from ops_platform.defs.dr import dr_definitions
from ops_platform.defs.gdpr import gdpr_definitions
from ops_platform.defs.housekeeping import housekeeping_definitions
from ops_platform.defs.resources import PlatformResource, StanzaLockResource
from ops_platform.defs.slo import slo_definitions
from ops_platform.settings import Settings, load_settings


def build_defs(settings: Settings, resource_overrides: Mapping[str, object] | None = None) -> dg.Definitions:
    """Assemble the Definitions, for production and for tests; ``resource_overrides`` replaces resources.

    Reads configuration files only: no network, subprocess or write.
    """
    config = load_backups(settings)
    resources: dict[str, object] = {"platform": PlatformResource(), "stanza_lock": StanzaLockResource()}
    return dg.Definitions.merge(
        dg.Definitions(
            resources={**resources, **(resource_overrides or {})},
            executor=dg.in_process_executor,
        ),
        backup_definitions(config),
        dr_definitions(config),
        slo_definitions(settings),
        gdpr_definitions(),
        housekeeping_definitions(),
    )


defs = build_defs(load_settings())
