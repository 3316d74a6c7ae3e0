"""The objects of a database by name and definition, and the roles of a cluster: read, and compared.

Definitions are PostgreSQL's own (``pg_get_*def``), so they do not depend on OIDs or on the order of
creation. Whether constraints hold and indexes are whole is asked in ``content`` and ``physical``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence

from ops_platform.clients.postgres import Connection
from ops_platform.dr.ladder import Verification, unknown, verdict

Objects = Mapping[str, str]
"""Name of an object (with its kind) -> MD5 of its definition."""

NAMED = 5

# Not an extension's, not a system's, not a session's.
_OURS = """
    n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp)'
"""
_NOT_OF_EXTENSION = """
    NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = {0}::regclass AND d.objid = {1} AND d.deptype = 'e')
"""

_OBJECTS = f"""
WITH relations AS (
    SELECT c.oid, c.relname, c.relkind, n.nspname, c.relowner, c.relpersistence, c.relacl, c.reloptions,
           c.relrowsecurity, c.relforcerowsecurity, c.relispartition, c.relpartbound,
           quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS name
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE {_OURS} AND c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
      AND {_NOT_OF_EXTENSION.format("'pg_class'", "c.oid")}
)
SELECT 'schema ' || quote_ident(n.nspname) AS name,
       md5(concat_ws('|', pg_get_userbyid(n.nspowner), n.nspacl::text)) AS hash
FROM pg_namespace n
WHERE {_OURS} AND {_NOT_OF_EXTENSION.format("'pg_namespace'", "n.oid")}
UNION ALL
SELECT CASE relkind WHEN 'S' THEN 'sequence ' WHEN 'v' THEN 'view ' WHEN 'm' THEN 'materialized view '
                    ELSE 'table ' END || name,
       md5(concat_ws('|', relkind, pg_get_userbyid(relowner), relpersistence, relacl::text, reloptions::text,
                     relrowsecurity, relforcerowsecurity, relispartition, pg_get_expr(relpartbound, oid),
                     CASE WHEN relkind IN ('v', 'm') THEN pg_get_viewdef(oid) END,
                     CASE WHEN relkind = 'p' THEN pg_get_partkeydef(oid) END))
FROM relations
UNION ALL
SELECT 'column ' || r.name || '.' || quote_ident(a.attname),
       md5(concat_ws('|', format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, a.attgenerated,
                     a.attcollation::regcollation::text, a.attacl::text, pg_get_expr(d.adbin, d.adrelid)))
FROM relations r JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE r.relkind <> 'S'
UNION ALL
SELECT 'sequence options ' || r.name,
       md5(concat_ws('|', s.seqtypid::regtype::text, s.seqstart, s.seqincrement, s.seqmax, s.seqmin,
                     s.seqcycle))
FROM relations r JOIN pg_sequence s ON s.seqrelid = r.oid
UNION ALL
-- Whether it was validated is asked apart.
SELECT 'constraint ' || quote_ident(c.conname) || ' of ' || r.name,
       md5(replace(pg_get_constraintdef(c.oid), ' NOT VALID', ''))
FROM pg_constraint c JOIN relations r ON r.oid = c.conrelid
UNION ALL
SELECT 'index ' || quote_ident(i.relname) || ' of ' || r.name, md5(pg_get_indexdef(x.indexrelid))
FROM pg_index x JOIN relations r ON r.oid = x.indrelid JOIN pg_class i ON i.oid = x.indexrelid
UNION ALL
SELECT 'trigger ' || quote_ident(t.tgname) || ' of ' || r.name,
       md5(concat_ws('|', pg_get_triggerdef(t.oid), t.tgenabled))
FROM pg_trigger t JOIN relations r ON r.oid = t.tgrelid WHERE NOT t.tgisinternal
UNION ALL
SELECT 'policy ' || quote_ident(p.polname) || ' of ' || r.name,
       md5(concat_ws('|', p.polcmd, p.polpermissive, pg_get_expr(p.polqual, p.polrelid),
                     pg_get_expr(p.polwithcheck, p.polrelid)))
FROM pg_policy p JOIN relations r ON r.oid = p.polrelid
UNION ALL
SELECT 'function ' || p.oid::regprocedure::text,
       md5(concat_ws('|', pg_get_userbyid(p.proowner), p.proacl::text,
                     CASE WHEN p.prokind IN ('f', 'p', 'w') THEN pg_get_functiondef(p.oid) END))
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE {_OURS} AND {_NOT_OF_EXTENSION.format("'pg_proc'", "p.oid")}
UNION ALL
SELECT 'type ' || t.oid::regtype::text,
       md5(concat_ws('|', t.typtype, t.typnotnull, format_type(t.typbasetype, t.typtypmod), t.typdefault,
                     (SELECT string_agg(e.enumlabel, '|' ORDER BY e.enumsortorder) FROM pg_enum e
                      WHERE e.enumtypid = t.oid)))
FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
WHERE {_OURS} AND t.typtype IN ('e', 'd', 'r') AND {_NOT_OF_EXTENSION.format("'pg_type'", "t.oid")}
"""  # noqa: S608 - put together from constants

# Attributes and memberships, no passwords: pg_authid is not for everybody, and a hash is a secret.
_ROLES = """
SELECT r.rolname AS name,
       md5(concat_ws('|', r.rolsuper, r.rolinherit, r.rolcreaterole, r.rolcreatedb, r.rolcanlogin,
                     r.rolreplication, r.rolbypassrls, r.rolconnlimit, r.rolvaliduntil,
                     (SELECT string_agg(g.rolname, '|' ORDER BY g.rolname) FROM pg_auth_members m
                      JOIN pg_roles g ON g.oid = m.roleid WHERE m.member = r.oid))) AS hash
FROM pg_roles r WHERE r.rolname !~ '^pg_'
"""

_EXTENSIONS = "SELECT extname AS name, extversion AS hash FROM pg_extension"


def objects(connection: Connection) -> dict[str, str]:
    """All objects of the connected database. The answer does not depend on the session's settings."""
    # regtype, regprocedure and the *def functions leave out schemas that are on the path.
    connection.execute("SET search_path = pg_catalog")
    return _pairs(connection, _OBJECTS)


def role_hashes(connection: Connection) -> dict[str, str]:
    """The roles of the cluster."""
    connection.execute("SET TimeZone = 'UTC'")
    return _pairs(connection, _ROLES)


def extension_versions(connection: Connection) -> dict[str, str]:
    return _pairs(connection, _EXTENSIONS)


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
    strange = [one for one in restored if not any(one in reference for reference in references)]
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
        f"{what}: {_named(found)}"
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


def _named(found: Iterable[str]) -> str:
    ordered = sorted(found)
    more = f" and {len(ordered) - NAMED} more" if len(ordered) > NAMED else ""
    return ", ".join(ordered[:NAMED]) + more


def _pairs(connection: Connection, query: str) -> dict[str, str]:
    rows = connection.execute(query).fetchall()
    return {row["name"]: row["hash"] for row in rows}
