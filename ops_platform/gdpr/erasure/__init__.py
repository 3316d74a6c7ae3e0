"""An erasure from preflight to certificate, over rows, objects, cache and processors.

What happens to rows is in ``row_erasure``; whom it is about in ``subject``.
"""

from ops_platform.gdpr.erasure.checkpoints import At, Case
from ops_platform.gdpr.erasure.command_line import erase, erase_without_tombstone
from ops_platform.gdpr.erasure.context import ErasureContext, open_context, open_stores
from ops_platform.gdpr.erasure.data_stores import Log
from ops_platform.gdpr.erasure.pipeline import Outcome, outcome, run

__all__ = [
    "At",
    "Case",
    "ErasureContext",
    "Log",
    "Outcome",
    "completion_mail",
    "erase",
    "erase_without_tombstone",
    "inventory",
    "open_context",
    "open_stores",
    "outcome",
    "run",
]
