"""A cheap mark of a catalogue: it changes when an object of a database, or of the cluster, was changed.

It may change without such a change. It reads rows of the catalogue, no definition; what the objects are is
read in ``schema_comparison``.
"""

from __future__ import annotations

import hashlib

from ops_platform.clients.postgres import Connection, one_row
from ops_platform.dr.inspection import schema_comparison

# 16384 is the first OID that PostgreSQL gives to objects of users. Temporary tables come and go; those of
# TOAST follow their table's.
_RELATIONS = (
    "SELECT oid FROM pg_class WHERE oid >= 16384 AND relpersistence <> 't' AND relkind <> 't' "
    "AND relnamespace <> 'pg_toast'::regnamespace"
)
# TRUNCATE, VACUUM and REFRESH MATERIALIZED VIEW rewrite rows of pg_class without changing a definition, so
# that its columns are hashed. Of the others the inserting transaction tells each change.
_CLASS = (
    "ROW(oid, relname, relnamespace, relowner, relkind, relpersistence, relacl, reloptions, relrowsecurity, "
    "relforcerowsecurity, relreplident, relispartition, relpartbound)"
)
_OF_RELATION = {
    "pg_attribute": ("attrelid", "attnum"),
    "pg_attrdef": ("adrelid", "oid"),
    "pg_index": ("indrelid", "indexrelid"),
    "pg_inherits": ("inhrelid", "inhparent"),
    "pg_policy": ("polrelid", "oid"),
    "pg_publication_rel": ("prrelid", "oid"),
    "pg_rewrite": ("ev_class", "oid"),
    "pg_sequence": ("seqrelid", "seqrelid"),
    "pg_statistic_ext": ("stxrelid", "oid"),
    "pg_trigger": ("tgrelid", "oid"),
}
_OF_DATABASE = {
    "pg_collation": "oid",
    "pg_default_acl": "oid",
    "pg_enum": "enumtypid",
    "pg_event_trigger": "oid",
    "pg_extension": "oid",
    "pg_foreign_server": "oid",
    "pg_operator": "oid",
    "pg_proc": "oid",
    "pg_publication": "oid",
    "pg_range": "rngtypid",
    "pg_ts_config": "oid",
    "pg_ts_config_map": "mapcfg",
}
_LISTED = {
    "pg_constraint": "(conrelid = 0 OR conrelid IN (SELECT oid FROM relations)) AND oid >= 16384",
    "pg_namespace": "(oid >= 16384 OR nspname = 'public') AND nspname !~ '^pg_(toast|temp)'",
    "pg_type": "(typrelid = 0 OR typrelid IN (SELECT oid FROM relations)) AND oid >= 16384 "
    "AND typnamespace NOT IN (SELECT oid FROM pg_namespace WHERE nspname ~ '^pg_(toast|temp)')",
}


def _sum(row: str, catalogue: str, condition: str) -> str:
    # A sum does not depend on the order, and the count sees rows that came and went in pairs.
    return (
        f"(SELECT concat(count(*), ':', sum(hashtextextended({row}::text, 0)::numeric)) "  # noqa: S608
        f"FROM {catalogue} WHERE {condition})"
    )


def _query() -> str:
    parts = [_sum(_CLASS, "pg_class", "oid IN (SELECT oid FROM relations)")]
    for catalogue, (relation, key) in _OF_RELATION.items():
        row = f"ROW(xmin, {relation}, {key})"
        parts.append(_sum(row, catalogue, f"{relation} IN (SELECT oid FROM relations)"))  # noqa: S608
    for catalogue, key in _OF_DATABASE.items():
        parts.append(_sum(f"ROW(xmin, {key})", catalogue, f"{key} >= 16384"))
    parts += [_sum("ROW(xmin, oid)", catalogue, condition) for catalogue, condition in _LISTED.items()]
    return (
        f"WITH relations AS MATERIALIZED ({_RELATIONS}) "
        f"SELECT md5(concat_ws(';', {', '.join(parts)})) AS mark"
    )


_MARK = _query()


def of_database(connection: Connection) -> str:
    """Return the mark of the connected database's objects: 32 hexadecimal digits."""
    # The hashed texts hold no name that depends on the search path, and arrays of roles by their name.
    return str(one_row(connection, _MARK)["mark"])


def of_cluster(connection: Connection) -> str:
    """Return the mark of what belongs to no single database: databases, settings, tablespaces, roles."""
    parts = {
        **schema_comparison.cluster_objects(connection),
        "roles": schema_comparison.digest(schema_comparison.role_hashes(connection)),
    }
    return hashlib.md5(schema_comparison.digest(parts).encode(), usedforsecurity=False).hexdigest()
