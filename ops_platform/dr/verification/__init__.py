"""Checks of a restored server: recovery, data, pages, erasures and a negative control, as one suite.

A check that could not run counts as a failure.
"""

from ops_platform.dr.verification.erasure_replay import Tombstones
from ops_platform.dr.verification.recovery_checks import Expected, Source
from ops_platform.dr.verification.suite import References, is_referenced, refresh

__all__ = [
    "Expected",
    "References",
    "Source",
    "Tombstones",
    "backup_expiry",
    "erasure_replay",
    "is_referenced",
    "live_source",
    "recovery_checks",
    "refresh",
    "replay_places",
    "suite",
]
