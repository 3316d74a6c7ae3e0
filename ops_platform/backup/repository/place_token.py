"""Token of a repository's place: a random text of ours in it, by which two names of one place are told.

Two endpoints may lead to one store, and a bucket may have several names: by their settings they are two
repositories, and one deletion takes both. The token lies in the repository's path: two paths of one bucket
are two places here.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from contextlib import suppress

from ops_platform.backup.repository.stored_files import StoredFiles
from ops_platform.backup.stanza import BackupContext
from ops_platform.clients.object_store import ObjectExists
from ops_platform.clients.safe_errors import describe
from ops_platform.errors import ConfigurationError, OpsError

FILE = "ops-platform/place"
"""Path in the repository, beside the folders of pgBackRest."""


def read_or_write(stored: StoredFiles) -> bytes:
    """Return the token of a place, which gets one if it has none. Raises the store's errors.

    An empty one, of somebody's copy that broke off, is returned as it is: it tells no places apart.
    """
    token = stored.get(FILE)
    if token is None:
        with suppress(ObjectExists):  # of another process, a moment ago
            stored.put_new(FILE, secrets.token_hex(16).encode())
        token = stored.get(FILE)
    return token or b""


def require_own(ctx: BackupContext, *, is_in_use: bool, log: Callable[[str], None]) -> bool:
    """Check that a second repository is another place than the first one; False when that is not known.

    Into one that is in use backups go on while the first one does not tell, which is what it is for: it may
    be away or its account closed for good. Raises ConfigurationError when both are one place or a token is
    empty, and the store's errors when one of them does not tell.
    """
    if ctx.stanza.repository == 1:
        return True
    try:
        reason = _shared(ctx)
    except OpsError as error:
        if not is_in_use:
            raise
        log(f"WARNING: whether the two repositories are two places could not be asked: {describe(error)}")
        return False
    if reason is not None:
        raise ConfigurationError(reason)
    return True


def _shared(ctx: BackupContext) -> str | None:
    """Say why this is not known to be another place than the cluster's others; None when it is one."""
    own = StoredFiles.open(ctx)
    for other in ctx.in_other_repositories():
        theirs = StoredFiles.open(other)
        theirs_token, own_token = tokens = read_or_write(theirs), read_or_write(own)
        for stored, token in zip((theirs, own), tokens, strict=True):
            if not token:
                return (
                    f"repositories: {FILE} in {stored.uri} is empty: delete it there, and it is written anew"
                )
        if theirs_token == own_token:
            first, second = (where.config.repository.name for where in (other, ctx))
            return (
                f"repositories: {first} and {second} are one place by two names ({theirs.uri} and {own.uri} "
                f"hold the same {FILE}), so one deletion takes both: give {second} a bucket of its own; if "
                f"it was filled with a copy of {first}, delete that file there"
            )
    return None
