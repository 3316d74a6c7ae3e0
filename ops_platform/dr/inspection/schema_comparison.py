"""Are the objects of the databases and the roles of the cluster those of the source? Compared by name.

How they are read is in ``catalogue_sql``; whether constraints hold and indexes are whole is asked
in ``content`` and ``physical``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence

from ops_platform.clients.postgres import Connection
from ops_platform.dr.inspection import schema_queries as catalogue_sql
from ops_platform.dr.inspection.check_result import Verification, named, unknown, verdict

Objects = Mapping[str, str]
"""Name of an object (with its kind) -> MD5 of its definition."""


def objects(connection: Connection) -> dict[str, str]:
    """All objects of the connected database. The answer does not depend on the session's settings."""
    # regtype, regprocedure and the *def functions leave out schemas that are on the path.
    connection.execute("SET search_path = pg_catalog")
    return _pairs(connection, catalogue_sql.OBJECTS)


def cluster_objects(connection: Connection) -> dict[str, str]:
    """What belongs to no single database: the databases themselves, settings, tablespaces."""
    return _pairs(connection, catalogue_sql.CLUSTER)


def role_hashes(connection: Connection) -> dict[str, str]:
    """The roles of the cluster: attributes and memberships."""
    connection.execute("SET TimeZone = 'UTC'")
    return _pairs(connection, catalogue_sql.ROLES)


def extension_versions(connection: Connection) -> dict[str, str]:
    return _pairs(connection, catalogue_sql.EXTENSIONS)


def prefixed(database: str, found: Objects) -> dict[str, str]:
    """Those of a database beside the stanza's own."""
    return {f"{database}: {name}": hash_ for name, hash_ in found.items()}


def everywhere(
    connect: Callable[[str], Connection],
    database: str,
    others: Iterable[str],
    read: Callable[[Connection], dict[str, str]],
) -> dict[str, str]:
    """What ``read`` finds in ``database`` and, with their names before it, in the ``others``."""
    with connect(database) as connection:
        found = read(connection)
    for other in others:
        with connect(other) as connection:
            found |= prefixed(other, read(connection))
    return found


def without(databases: Iterable[str], found: Objects) -> Objects:
    """Leave out what lies in these databases: that they are gone says it all."""
    starts = tuple(f"{database}: " for database in databases)
    return {name: hash_ for name, hash_ in found.items() if not name.startswith(starts)} if starts else found


def digest(found: Objects) -> str:
    """SHA-256, hex, of what was found."""
    return hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()


def compare(
    name: str, noun: str, restored: Objects, references: Sequence[Objects], *, enclosed: bool = True
) -> Verification:
    """Whether ``restored`` is what one of the references was, object by object.

    With a reference before and one after the moment that was restored, an object may be as in
    either: it was changed between them. Not ``enclosed`` by two, a difference may be a change that
    nobody looked at: then it is unknown, and named.
    """
    if not references:
        return unknown(name, f"there is no reference of the source's {noun}: run the job dr_reference")
    gone = [one for one in set.intersection(*map(set, references)) if one not in restored]
    strange = {one for one in restored if not any(one in reference for reference in references)}
    changed = [
        one
        for one, hash_ in restored.items()
        if one not in strange
        and all(reference.get(one, hash_) != hash_ for reference in references if one in reference)
    ]
    wrong = sorted(gone) + sorted(strange) + sorted(changed)
    if not wrong:
        return verdict(name, True, f"{len(restored)} {noun} are as at the source", objects=len(restored))
    parts = [
        f"{what}: {named(sorted(found))}"
        for what, found in (("missing", gone), ("unexpected", strange), ("changed", changed))
        if found
    ]
    differ = f"{len(wrong)} {noun} differ from the source's; {'; '.join(parts)}"
    if not enclosed:
        return Verification(
            name, "unknown", f"{differ}; changed after the reference was taken, or damaged: look at them"
        )
    return verdict(
        name,
        False,
        differ,
        objects=len(restored),
        missing=len(gone),
        unexpected=len(strange),
        changed=len(changed),
    )


def _pairs(connection: Connection, query: str) -> dict[str, str]:
    rows = connection.execute(query).fetchall()
    return {row["name"]: row["hash"] for row in rows}
