"""Probes of what the agent watches from outside: certificates and Dagster's own health.

They ask and answer with facts. Loops decide when, metrics say what is told.
"""

from ops_platform.agent.probes.certificates import Expiry
from ops_platform.agent.probes.dagster_health import DagsterHealth

__all__ = ["DagsterHealth", "Expiry", "certificates", "dagster_health"]
