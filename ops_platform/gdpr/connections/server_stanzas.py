"""The check that each database is in the cluster whose stanza the data map says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations

from ops_platform.errors import CheckFailed
from ops_platform.gdpr.connections.open_database import OpenDatabase, server_of

StanzaServer = Callable[[str], str | None]
"""Tells which server a stanza is of, as ``server_of`` says it; None: it does not answer."""


def refuse_untrue(databases: Sequence[OpenDatabase], own: str) -> None:
    """Raise CheckFailed where two databases are of one stanza for sure, or not, and the map says otherwise.

    ``own``: the stanza of the home database, which is the first. The certificate says until when backups
    hold the data, and a restore of a cluster erases again what comes back in all its databases.
    """
    for one, other in combinations(databases, 2):
        first = _stanza(one) if one.name else own
        said, together = _stanza(other), one.server == other.server
        if said == first if together else said is None or said != first:
            continue
        name = f"the database {one.name}'s" if one.name else "the product database's"
        raise CheckFailed(
            f"the database {other.name} is {'' if together else 'not '}in {name} "
            f"cluster, whose stanza is {first or 'not said'}, and the data map says of it "
            f"{f'stanza {said}' if said else 'no stanza'}: correct databases.{other.name}.stanza"
            + (f" or databases.{one.name}.stanza" if one.name else "")
        )


def refuse_elsewhere(
    databases: Sequence[OpenDatabase], own: str, stanza_server: StanzaServer, log: Callable[[str], None]
) -> None:
    """Raise CheckFailed where a database is not in the server that its stanza's own connection leads to.

    ``databases`` and ``own`` as in ``refuse_untrue``. Tells the log of what could not be compared.
    """
    for database in databases:
        stanza = _stanza(database) if database.name else own
        if stanza is None:
            continue
        name = f"the database {database.name}" if database.name else "the product database"
        backed_up = stanza_server(stanza)
        if backed_up is None:
            log(f"WARNING: whether the backups of stanza {stanza} are of {name} could not be asked")
        elif backed_up != (database.server or server_of(database.connection)):
            place = f" or databases.{database.name}.stanza in the data map" if database.name else ""
            raise CheckFailed(
                f"{name} is in another server than the one that stanza {stanza} backs up: correct its URL or "
                f"stanzas.{stanza}.connection in backups.yaml{place}"
            )


def _stanza(database: OpenDatabase) -> str | None:
    return database.data_map.database.stanza if database.data_map.database else None
