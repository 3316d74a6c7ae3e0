"""Supervision of the stack's programs by supervisord: start, stop, leftovers of a dead one, logs."""

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
