"""Probes of what the agent watches from outside: certificates, Dagster's own health, endpoints.

They only return facts. Loops call them, ``agent.metrics`` exports the facts.
"""

from ops_platform.agent.probes.certificates import Expiry
from ops_platform.agent.probes.dagster_health import DagsterHealth, Ticker

__all__ = [
    "DagsterHealth",
    "Expiry",
    "Ticker",
    "certificates",
    "dagster_health",
    "endpoint_answer",
    "endpoint_list",
]
