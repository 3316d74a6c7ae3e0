"""Dagster's code location: ``build_defs`` merges the Definitions of the host's duties, and does no more."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import dagster as dg

from ops_platform.backup.stanza import load_living_here
from ops_platform.defs.backup import backup_definitions
from ops_platform.defs.dr import dr_definitions
from ops_platform.defs.gdpr import gdpr_definitions
from ops_platform.defs.housekeeping import housekeeping_definitions
from ops_platform.defs.resources import PlatformResource, StanzaLockResource
from ops_platform.defs.run_retries import lost_retries
from ops_platform.defs.slo import slo_definitions
from ops_platform.settings import Duty, Settings, load_settings


def build_defs(settings: Settings, resource_overrides: Mapping[str, object] | None = None) -> dg.Definitions:
    """Assemble the Definitions of the host's duties and stanzas, for production and for tests.

    ``resource_overrides`` replaces resources. Reads configuration files only: no network, subprocess, write.
    """
    config = load_living_here(settings)
    of_duties: Mapping[Duty, Callable[[], dg.Definitions]] = {
        "backup": lambda: backup_definitions(config),
        "dr": lambda: dr_definitions(config),
        "slo": lambda: slo_definitions(settings),
        "gdpr": gdpr_definitions,
        "housekeeping": lambda: housekeeping_definitions(settings.config_dir),
    }
    resources: dict[str, object] = {"platform": PlatformResource(), "stanza_lock": StanzaLockResource()}
    of_host = [build() for duty, build in of_duties.items() if settings.host.has(duty)]
    return dg.Definitions.merge(
        dg.Definitions(
            resources={**resources, **(resource_overrides or {})},
            executor=dg.in_process_executor,
            # Each code location has its own: a sensor can only run the jobs beside it.
            sensors=[lost_retries([job for part in of_host for job in part.jobs or ()])],
        ),
        *of_host,
    )


defs = build_defs(load_settings())
