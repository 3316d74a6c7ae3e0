"""The machine itself: accounts, programs, ports, directories, secrets, certificates, templates.

Not here: the servers that use them (``local.servers``).
"""

from ops_platform.local.host.accounts import Account, account
from ops_platform.local.host.certificates import Certificates, ServerCertificate
from ops_platform.local.host.layout import Layout
from ops_platform.local.host.programs import PostgresPrograms
from ops_platform.local.host.secrets import SecretStore, write_private
from ops_platform.local.host.templates import render

__all__ = [
    "Account",
    "Certificates",
    "Layout",
    "PostgresPrograms",
    "SecretStore",
    "ServerCertificate",
    "account",
    "ports",
    "programs",
    "render",
    "write_private",
]
