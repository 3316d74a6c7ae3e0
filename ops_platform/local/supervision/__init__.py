"""supervisord over the stack's programs: start, end, leftovers of a dead one, logs.

Not here: which programs there are (``local.start_order``), and the stack as a whole (``local.stack``).
"""

from ops_platform.local.supervision.service import Service, ServiceStatus
from ops_platform.local.supervision.supervisord import STACK_ID, Program, Supervisor, search_path

__all__ = [
    "STACK_ID",
    "Program",
    "Service",
    "ServiceStatus",
    "Supervisor",
    "leftovers",
    "log_files",
    "search_path",
]
