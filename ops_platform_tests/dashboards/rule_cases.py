"""For every alert, series that make it fire and series that must not, by rule file."""

from __future__ import annotations

from collections.abc import Mapping

from ops_platform_tests.dashboards.backup_cases import BACKUPS
from ops_platform_tests.dashboards.dr_cases import DR
from ops_platform_tests.dashboards.gdpr_cases import GDPR
from ops_platform_tests.dashboards.rule_case import Case
from ops_platform_tests.dashboards.slo_cases import SLO
from ops_platform_tests.dashboards.system_cases import SYSTEM

CASES: Mapping[str, tuple[Case, ...]] = {
    "backups.yml": BACKUPS,
    "dr.yml": DR,
    "gdpr.yml": GDPR,
    "slo.yml": SLO,
    "system.yml": SYSTEM,
}

ALWAYS = frozenset({"Watchdog"})
"""Alerts that have no silent case."""
