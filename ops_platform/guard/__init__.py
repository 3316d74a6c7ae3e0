"""The guard in front of Dagster's webservers: who is there, what they may do, what they did.

A reverse proxy over HTTP and WebSocket. Dagster's own code is not here: the webservers listen on Unix
sockets behind it (``defs.webserver``). The API of data subjects, whose edge it shares, is ``api``.
"""

from ops_platform.guard.accounts import AccountsFile, Person, Program, fits, hash_password, hash_token

__all__ = ["AccountsFile", "Person", "Program", "fits", "hash_password", "hash_token"]
