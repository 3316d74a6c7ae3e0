"""Comparison of a restored cluster's objects and roles with those of the source, by name.

The queries are in ``schema_queries``; whether constraints hold and indexes are whole is checked in
``data_checks`` and ``page_checks``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence

from ops_platform.clients.postgres import Connection
from ops_platform.dr.inspection import schema_queries
from ops_platform.dr.inspection.check_result import Verification, named, unknown, verdict

Objects = Mapping[str, str]
"""Name of an object (with its kind) -> MD5 of its definition."""


def objects(connection: Connection) -> dict[str, str]:
    """Read all objects of the connected database; independent of the session's settings."""
    # regtype, regprocedure and the *def functions leave out schemas that are on the path.
    connection.execute("SET search_path = pg_catalog")
    return _pairs(connection, schema_queries.OBJECTS)


def cluster_objects(connection: Connection) -> dict[str, str]:
    """Read what belongs to no single database: the databases themselves, settings, tablespaces."""
    return _pairs(connection, schema_queries.CLUSTER)


def role_hashes(connection: Connection) -> dict[str, str]:
    """Read the roles of the cluster, each with a hash of its attributes and memberships."""
    connection.execute("SET TimeZone = 'UTC'")
    return _pairs(connection, schema_queries.ROLES)


def extension_versions(connection: Connection) -> dict[str, str]:
    """Read the extensions of the connected database, each with its version."""
    return _pairs(connection, schema_queries.EXTENSIONS)


def read_everywhere(
    connect: Callable[[str], Connection],
    database: str,
    others: Iterable[str],
    read: Callable[[Connection], dict[str, str]],
) -> dict[str, str]:
    """Read ``database`` and the ``others``, whose objects have their database's name before them."""
    with connect(database) as connection:
        objects_ = read(connection)
    for other in others:
        with connect(other) as connection:
            objects_ |= {f"{other}: {name}": hash_ for name, hash_ in read(connection).items()}
    return objects_


def without_databases(databases: Iterable[str], objects_: Objects) -> Objects:
    """Leave out what lies in these databases: that they are missing says it all."""
    prefixes = tuple(f"{database}: " for database in databases)
    if not prefixes:
        return objects_
    return {name: hash_ for name, hash_ in objects_.items() if not name.startswith(prefixes)}


def digest(objects_: Objects) -> str:
    """Return the SHA-256, in hexadecimal, of objects and their hashes."""
    return hashlib.sha256(json.dumps(objects_, sort_keys=True).encode()).hexdigest()


def compare(
    name: str, noun: str, restored: Objects, references: Sequence[Objects], *, enclosed: bool = True
) -> Verification:
    """Check that each object of ``restored`` is as in one of the references.

    With a reference before and one after the moment that was restored, an object may be as in
    either: it was changed between them. Unless ``enclosed`` by two, a difference may be a change
    after the reference: then the result is unknown, and names it.
    """
    if not references:
        return unknown(name, f"there is no reference of the source's {noun}: run the job dr_reference")
    missing = [object_ for object_ in set.intersection(*map(set, references)) if object_ not in restored]
    unexpected = {
        object_ for object_ in restored if not any(object_ in reference for reference in references)
    }
    changed = [
        object_
        for object_, hash_ in restored.items()
        if object_ not in unexpected
        and all(reference.get(object_, hash_) != hash_ for reference in references if object_ in reference)
    ]
    wrong = sorted(missing) + sorted(unexpected) + sorted(changed)
    if not wrong:
        return verdict(name, True, f"{len(restored)} {noun} are as at the source", objects=len(restored))
    parts = [
        f"{word}: {named(sorted(names))}"
        for word, names in (("missing", missing), ("unexpected", unexpected), ("changed", changed))
        if names
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
        missing=len(missing),
        unexpected=len(unexpected),
        changed=len(changed),
    )


def _pairs(connection: Connection, query: str) -> dict[str, str]:
    rows = connection.execute(query).fetchall()
    return {row["name"]: row["hash"] for row in rows}
