"""Observations of a stanza's repository and server, and verdicts on whether it is protected now.

Nothing here changes anything. The agent makes metrics and alerts from these verdicts.
"""

from ops_platform.backup.monitoring.health import Verdict
from ops_platform.backup.monitoring.observation import Observation, observe

__all__ = ["Observation", "Verdict", "freshness", "health", "observe", "status"]
