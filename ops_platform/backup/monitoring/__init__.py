"""Is a stanza protected now? One look at repository and server, and the verdicts drawn from it.

Nothing is changed here. Metrics and alerts are made from these verdicts by the agent.
"""

from ops_platform.backup.monitoring.health import Verdict
from ops_platform.backup.monitoring.observation import Observation, observe

__all__ = ["Observation", "Verdict", "freshness", "health", "observe", "status"]
