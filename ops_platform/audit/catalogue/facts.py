"""Reading what the server's catalogue says about the ledger, as one text for each place.

Only tables of ``pg_catalog`` and built-in functions are asked, by their full names: a view of the catalogue
can be replaced, and a name that is looked up can be caught. The caller pins ``search_path``.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator

from ops_platform.clients.postgres import Connection

RELATIONS = ("audit_events", "audit_salts", "audit_seals", "audit_leaves", "audit_verifications")
LIBRARIES = frozenset(
    {"auth_delay", "auto_explain", "passwordcheck", "pg_cron", "pg_prewarm", "pg_qualstats",
     "pg_stat_kcache", "pg_stat_statements", "pg_wait_sampling", "pgaudit", "plpgsql", "timescaledb"}
)  # fmt: skip
"""Libraries that many servers load and that leave rows alone."""
_PRELOADING = ("shared_preload_libraries", "session_preload_libraries", "local_preload_libraries")
_SESSION_SETTINGS = (*_PRELOADING, "search_path", "row_security", "session_replication_role", "role")

_KINDS = {"r": "table", "p": "partitioned table", "v": "view", "m": "materialized view", "f": "foreign table"}
_RELATIONS = """
    SELECT c.oid, c.relname AS name, c.relkind::text AS kind, c.relpersistence::text AS persistence,
           pg_catalog.pg_get_userbyid(c.relowner)::text AS owner, c.relrowsecurity AS secured,
           c.relforcerowsecurity AS forced, coalesce(am.amname, '')::text AS method,
           coalesce(c.reloptions, '{}')::text AS options,
           CASE WHEN c.relkind = 'v' THEN pg_catalog.pg_get_viewdef(c.oid) END AS definition
    FROM pg_catalog.pg_class AS c LEFT JOIN pg_catalog.pg_am AS am ON am.oid = c.relam
    WHERE c.relnamespace = 'public'::pg_catalog.regnamespace AND c.relname = ANY (%s)
    ORDER BY c.relname
"""
_PARTS = """
    WITH ours AS (
        SELECT c.oid, c.relname FROM pg_catalog.pg_class AS c
        WHERE c.relnamespace = 'public'::pg_catalog.regnamespace AND c.relname = ANY (%(names)s)
    )
    SELECT 'column public.' || ours.relname || '.' || a.attname AS place,
           pg_catalog.format_type(a.atttypid, a.atttypmod)
           || CASE WHEN a.attnotnull THEN ' not null' ELSE '' END || ' identity=' || a.attidentity::text
           || ' generated=' || a.attgenerated::text
           || ' default=' || coalesce(pg_catalog.pg_get_expr(d.adbin, d.adrelid), '') AS fact
    FROM ours JOIN pg_catalog.pg_attribute AS a ON a.attrelid = ours.oid
    LEFT JOIN pg_catalog.pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE a.attnum > 0 AND NOT a.attisdropped
  UNION ALL
    SELECT 'constraint ' || c.conname || ' of public.' || ours.relname,
           c.contype::text || ' validated=' || c.convalidated::text || ' '
           || pg_catalog.pg_get_constraintdef(c.oid)
    FROM ours JOIN pg_catalog.pg_constraint AS c ON c.conrelid = ours.oid
    WHERE c.contype IN ('c', 'p', 'u', 'x', 'f')
  UNION ALL
    SELECT 'index ' || i.relname || ' of public.' || ours.relname,
           'valid=' || x.indisvalid::text || ' ready=' || x.indisready::text || ' live=' || x.indislive::text
           || ' ' || pg_catalog.pg_get_indexdef(x.indexrelid)
    FROM ours JOIN pg_catalog.pg_index AS x ON x.indrelid = ours.oid
    JOIN pg_catalog.pg_class AS i ON i.oid = x.indexrelid
  UNION ALL
    SELECT 'trigger ' || t.tgname || ' of public.' || ours.relname,
           'enabled=' || t.tgenabled::text || ' type=' || t.tgtype::text
           || ' when=' || (t.tgqual IS NOT NULL)::text || ' columns=' || t.tgattr::text
           || ' calls ' || n.nspname || '.' || p.proname
    FROM ours JOIN pg_catalog.pg_trigger AS t ON t.tgrelid = ours.oid
    JOIN pg_catalog.pg_proc AS p ON p.oid = t.tgfoid
    JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
  UNION ALL
    SELECT 'rule ' || r.rulename || ' of public.' || ours.relname, 'type ' || r.ev_type::text
    FROM ours JOIN pg_catalog.pg_rewrite AS r ON r.ev_class = ours.oid WHERE r.rulename <> '_RETURN'
  UNION ALL
    SELECT 'policy ' || p.polname || ' of public.' || ours.relname, 'command ' || p.polcmd::text
    FROM ours JOIN pg_catalog.pg_policy AS p ON p.polrelid = ours.oid
  UNION ALL
    SELECT 'public.' || ours.relname || ' as child of ' || i.inhparent::pg_catalog.regclass::text, 'inherits'
    FROM ours JOIN pg_catalog.pg_inherits AS i ON i.inhrelid = ours.oid
  UNION ALL
    SELECT 'child ' || i.inhrelid::pg_catalog.regclass::text || ' of public.' || ours.relname, 'inherits'
    FROM ours JOIN pg_catalog.pg_inherits AS i ON i.inhparent = ours.oid
"""
_GRANTS = """
    WITH ours AS (
        SELECT c.oid, c.relname, c.relacl, c.relowner FROM pg_catalog.pg_class AS c
        WHERE c.relnamespace = 'public'::pg_catalog.regnamespace AND c.relname = ANY (%s)
    ), granted AS (
        SELECT 'public.' || relname AS target, relowner, x.* FROM ours, pg_catalog.aclexplode(relacl) AS x
      UNION ALL
        SELECT 'public.' || ours.relname || '.' || a.attname, ours.relowner, x.*
        FROM ours JOIN pg_catalog.pg_attribute AS a ON a.attrelid = ours.oid,
             pg_catalog.aclexplode(a.attacl) AS x
        WHERE NOT a.attisdropped
      UNION ALL
        SELECT 'schema ' || n.nspname, n.nspowner, x.* FROM pg_catalog.pg_namespace AS n,
             pg_catalog.aclexplode(n.nspacl) AS x
        WHERE n.nspname = 'public'
    )
    SELECT 'grant on ' || target || ' to ' ||
           CASE grantee WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.pg_get_userbyid(grantee)::text END AS place,
           pg_catalog.string_agg(
               privilege_type || CASE WHEN is_grantable THEN ' with grant option' ELSE '' END,
               ', ' ORDER BY privilege_type) AS fact
    FROM granted WHERE grantee <> relowner AND privilege_type NOT IN ('SELECT', 'USAGE')
    GROUP BY 1
"""
_FUNCTIONS = """
    SELECT 'function ' || n.nspname || '.' || p.proname || '('
           || pg_catalog.pg_get_function_identity_arguments(p.oid) || ')' AS place,
           l.lanname::text AS language, p.prosrc AS body, p.prosecdef AS definer,
           p.provolatile::text AS volatility, coalesce(p.proconfig, '{}')::text AS settings,
           pg_catalog.pg_get_userbyid(p.proowner)::text AS owner
    FROM pg_catalog.pg_proc AS p JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
    JOIN pg_catalog.pg_language AS l ON l.oid = p.prolang
    WHERE n.nspname = 'public' AND (p.proname LIKE 'audit\\_%%' OR p.proname = 'refuse_change')
       OR p.oid IN (
            SELECT t.tgfoid FROM pg_catalog.pg_trigger AS t JOIN pg_catalog.pg_class AS c ON c.oid = t.tgrelid
            WHERE c.relnamespace = 'public'::pg_catalog.regnamespace AND c.relname = ANY (%s))
"""
_ELSEWHERE = """
    SELECT 'relation ' || n.nspname || '.' || c.relname AS place,
           'has the name of a table of the ledger' AS fact
    FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.relname = ANY (%(names)s) AND n.nspname <> 'public'
  UNION ALL
    SELECT 'event trigger ' || e.evtname, e.evtevent::text || ' enabled=' || e.evtenabled::text
    FROM pg_catalog.pg_event_trigger AS e JOIN pg_catalog.pg_proc AS p ON p.oid = e.evtfoid
    WHERE p.proname NOT IN ('pgaudit_ddl_command_end', 'pgaudit_sql_drop')
  UNION ALL
    SELECT 'function pg_catalog.' || p.proname, 'is not one of PostgreSQL''s own'
    FROM pg_catalog.pg_proc AS p JOIN pg_catalog.pg_language AS l ON l.oid = p.prolang
    WHERE p.pronamespace = 'pg_catalog'::pg_catalog.regnamespace
      AND (p.oid >= 16384 OR l.lanname NOT IN ('internal', 'c', 'sql'))
      AND NOT EXISTS (
          SELECT FROM pg_catalog.pg_depend AS d
          WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid = p.oid AND d.deptype = 'e')
  UNION ALL
    SELECT 'operator pg_catalog.' || o.oprname, 'is not one of PostgreSQL''s own'
    FROM pg_catalog.pg_operator AS o
    WHERE o.oprnamespace = 'pg_catalog'::pg_catalog.regnamespace AND o.oid >= 16384
  UNION ALL
    SELECT 'member ' || pg_catalog.pg_get_userbyid(m.member)::text || ' of '
           || pg_catalog.pg_get_userbyid(m.roleid)::text, 'may do what the owner may'
    FROM pg_catalog.pg_auth_members AS m
    WHERE m.roleid IN (
        SELECT c.relowner FROM pg_catalog.pg_class AS c
        WHERE c.relnamespace = 'public'::pg_catalog.regnamespace AND c.relname = 'audit_events')
  UNION ALL
    SELECT 'setting ' || pg_catalog.split_part(s.setting, '=', 1)
           || CASE WHEN d.setrole = 0 THEN ''
                   ELSE ' of role ' || pg_catalog.pg_get_userbyid(d.setrole)::text END
           || CASE WHEN d.setdatabase = 0 THEN '' ELSE ' in this database' END, s.setting
    FROM pg_catalog.pg_db_role_setting AS d, pg_catalog.unnest(d.setconfig) AS s (setting)
    WHERE d.setdatabase IN (0, (
              SELECT b.oid FROM pg_catalog.pg_database AS b WHERE b.datname = pg_catalog.current_database()))
      AND pg_catalog.split_part(s.setting, '=', 1) = ANY (%(settings)s)
"""


def read_facts(connection: Connection) -> dict[str, str]:
    """Read the facts by place, in the caller's transaction. Raises what psycopg raises."""
    names = list(RELATIONS)
    facts: dict[str, str] = {}
    for row in connection.execute(_RELATIONS, (names,)):
        facts[f"public.{row['name']}"] = (
            f"{_KINDS.get(row['kind'], row['kind'])} {row['method']} persistence={row['persistence']} "
            f"owner={row['owner']} row security={row['secured']}/{row['forced']} options={row['options']}"
        )
        if row["definition"] is not None:
            facts[f"definition of public.{row['name']}"] = _hashed(_plain(row["definition"]))
    for row in connection.execute(_PARTS, {"names": names}):
        facts[row["place"]] = " ".join(row["fact"].split())
    for row in connection.execute(_GRANTS, (names,)):
        facts[row["place"]] = row["fact"]
    for row in connection.execute(_FUNCTIONS, (names,)):
        facts[row["place"]] = (
            f"{row['language']} definer={row['definer']} volatility={row['volatility']} owner={row['owner']} "
            f"settings={row['settings']} body {_hashed(row['body'])}"
        )
    elsewhere = {"names": names, "settings": list(_SESSION_SETTINGS)}
    facts.update((row["place"], row["fact"]) for row in connection.execute(_ELSEWHERE, elsewhere))
    facts.update(_libraries(connection))
    return facts


def epoch_of_new_events(facts: dict[str, str]) -> str:
    """Return the default of ``audit_events.epoch``, which each opening of an epoch raises."""
    return facts.get("column public.audit_events.epoch", "").rpartition("default=")[2]


def _libraries(connection: Connection) -> Iterator[tuple[str, str]]:
    """Name the libraries that each session loads and that are not usual: they can hook a query."""
    query = """
        SELECT CASE WHEN pg_catalog.pg_has_role(current_user, 'pg_read_all_settings', 'USAGE')
                    THEN pg_catalog.current_setting(name) END AS value, name
        FROM pg_catalog.unnest(%s::pg_catalog.text[]) AS name
    """
    for row in connection.execute(query, (list(_PRELOADING),)):
        if row["value"] is None:
            yield f"setting {row['name']}", "cannot be read by this role: grant it pg_monitor"
            continue
        for library in filter(None, (name.strip(' "') for name in row["value"].split(","))):
            if library.rpartition("/")[2].removesuffix(".so") not in LIBRARIES:
                yield f"library {library} in {row['name']}", "can change what every query sees"


def _plain(text: str) -> str:
    """Drop what versions of PostgreSQL print differently: spaces, parentheses, qualifications."""
    return " ".join(re.sub(r"[()]|\b(?:audit_events|public)\.(?=\w)", " ", text).split())


def _hashed(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
