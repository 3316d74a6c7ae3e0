"""Safe text for errors of third-party code, for logs, Dagster, HTTP, metrics and the terminal.

Messages of third parties quote the values that they choke on: rows, addresses, keys of objects, passwords in
URLs. Nothing outside this package reads them. This package decides what may be shown: the kind of error, its
SQLSTATE or code, the database object, the server, the setting. Advice (what to do) does not live here: the
clients know their settings.
"""

from ops_platform.clients.safe_errors.frames import Note, frames
from ops_platform.clients.safe_errors.lines import code, describe, why
from ops_platform.clients.safe_errors.postgresql import LET_RUN
from ops_platform.clients.safe_errors.postgresql import advice as database_advice
from ops_platform.clients.safe_errors.process import guard
from ops_platform.clients.safe_errors.tls import TlsFault, tls_fault
from ops_platform.clients.safe_errors.words import (
    address,
    program_first_line,
    program_last_line,
    reason,
    scrub,
    service,
)

__all__ = [
    "LET_RUN",
    "Note",
    "TlsFault",
    "address",
    "code",
    "database_advice",
    "describe",
    "frames",
    "guard",
    "program_first_line",
    "program_last_line",
    "reason",
    "scrub",
    "service",
    "tls_fault",
    "why",
]
