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
_IS_PASSING = "(relpersistence = 't' OR relkind = 't' OR relnamespace = 'pg_toast'::regnamespace)"
# TRUNCATE, VACUUM and REFRESH MATERIALIZED VIEW rewrite rows of pg_class without changing a definition, so
# that its columns are hashed. Of the others the inserting transaction tells each change.
_CLASS = (
    "hashtextextended(concat_ws(' ', oid, relnamespace, relowner, relkind, relpersistence, relrowsecurity, "
    "relforcerowsecurity, relreplident, relispartition, relname), 0)::numeric"
)
# Seldom there: a row's own text for them costs three times as much as all the rest.
_RARE = "".join(
    f" + coalesce(hashtextextended({column}::text, oid::int8 * 4 + {number}), 0)"
    for number, column in enumerate(("relacl", "reloptions", "relpartbound"))
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
    "pg_constraint": "oid >= 16384 AND NOT EXISTS (SELECT FROM passing WHERE passing.oid = conrelid)",
    "pg_namespace": "(oid >= 16384 OR nspname = 'public') AND nspname !~ '^pg_(toast|temp)'",
    "pg_type": "oid >= 16384 AND NOT EXISTS (SELECT FROM passing WHERE passing.oid = typrelid) "
    "AND typnamespace NOT IN (SELECT oid FROM pg_namespace WHERE nspname ~ '^pg_(toast|temp)')",
}


def _sum(hashed: str, catalogue: str, condition: str) -> str:
    # A sum does not depend on the order, and the count sees rows that came and went in pairs.
    return f"(SELECT concat(count(*), ':', sum({hashed})) FROM {catalogue} WHERE {condition})"  # noqa: S608


def _row(key: str) -> str:
    # Numbers, since making a text of each of some hundred thousand rows costs most of the time.
    return f"hashint8extended({key}, xmin::text::int8)"


def _query() -> str:
    parts = [_sum(_CLASS + _RARE, "pg_class", f"oid >= 16384 AND NOT {_IS_PASSING}")]
    for catalogue, (relation, key) in _OF_RELATION.items():
        row = _row(f"({relation}::int8 << 32) + {key}::int8")
        # Columns of the system come and go with their table.
        shown = " AND attnum > 0" if key == "attnum" else ""
        # A join with the others instead was made row by row with an index, which took twice as long.
        passing = f"NOT EXISTS (SELECT FROM passing WHERE passing.oid = {relation})"
        parts.append(_sum(row, catalogue, f"{relation} >= 16384 AND {passing}{shown}"))
    for catalogue, key in _OF_DATABASE.items():
        parts.append(_sum(_row(f"{key}::int8"), catalogue, f"{key} >= 16384"))
    parts += [_sum(_row("oid::int8"), catalogue, condition) for catalogue, condition in _LISTED.items()]
    passing = f"SELECT oid FROM pg_class WHERE oid >= 16384 AND {_IS_PASSING}"  # noqa: S608
    return f"WITH passing AS MATERIALIZED ({passing}) SELECT md5(concat_ws(';', {', '.join(parts)})) AS mark"


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
