"""The recovery point of a stanza: heartbeat rows, and the newest of them that can be recovered.

The RPO is measured from rows, never from ages of files: an idle server archives nothing and loses nothing.
"""

from ops_platform.backup.recovery_point.rpo import Heartbeat, RecoveryPoint, best_state, sound_sets

__all__ = ["Heartbeat", "RecoveryPoint", "best_state", "heartbeat", "rpo", "sound_sets"]
