"""The queries that read a catalogue as names with hashes of definitions, for ``schema_comparison``.

Definitions are PostgreSQL's own (``pg_get_*def``) or names, never OIDs, and lists are sorted, so
that they do not depend on the order of creation. They are compared within one major version.
"""

from __future__ import annotations

# Neither of the system nor of a session.
_OURS = "n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp)'"


def _own(catalogue: str, alias: str) -> str:
    """Return the condition that an object belongs to no extension."""
    return (
        f"NOT EXISTS (SELECT FROM pg_depend AS e WHERE e.classid = '{catalogue}'::regclass "
        f"AND e.objid = {alias}.oid AND e.deptype = 'e')"
    )


def _hash(*parts: str) -> str:
    # ROW tells NULL from an empty text, and one field from the next.
    return f"md5(ROW({', '.join(parts)})::text)"


def _sorted(array: str) -> str:
    """Return an array's elements as sorted text. NULL and an empty array differ."""
    return (
        f"{array} IS NULL, (SELECT string_agg(x::text, ',' ORDER BY x::text COLLATE \"C\") "  # noqa: S608
        f"FROM unnest({array}) AS x)"
    )


def _owner(column: str) -> str:
    return f"pg_get_userbyid({column})"


_RELATIONS = f"""
    SELECT c.*, quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS name
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE {_OURS} AND c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f', 'c') AND {_own("pg_class", "c")}
"""  # noqa: S608 - put together from constants

_OBJECTS = (
    (
        "'schema ' || quote_ident(n.nspname)",
        _hash(_owner("n.nspowner"), _sorted("n.nspacl")),
        f"FROM pg_namespace n WHERE {_OURS} AND {_own('pg_namespace', 'n')}",
    ),
    (
        "CASE r.relkind WHEN 'S' THEN 'sequence ' WHEN 'v' THEN 'view ' WHEN 'm' THEN 'materialized view ' "
        "WHEN 'c' THEN 'composite type ' ELSE 'table ' END || r.name",
        _hash(
            "r.relkind",
            _owner("r.relowner"),
            "r.relpersistence",
            _sorted("r.relacl"),
            _sorted("r.reloptions"),
            "r.relrowsecurity",
            "r.relforcerowsecurity",
            "r.relreplident",
            "r.relispartition",
            "pg_get_expr(r.relpartbound, r.oid)",
            "(SELECT string_agg(i.inhparent::regclass::text, ',' ORDER BY i.inhseqno) FROM pg_inherits i "
            "WHERE i.inhrelid = r.oid)",
            "CASE WHEN r.relkind IN ('v', 'm') THEN pg_get_viewdef(r.oid) END",
            "CASE WHEN r.relkind = 'p' THEN pg_get_partkeydef(r.oid) END",
        ),
        "FROM relations r",
    ),
    (
        "'column ' || r.name || '.' || quote_ident(a.attname)",
        _hash(
            "format_type(a.atttypid, a.atttypmod)",
            "a.attnotnull",
            "a.attidentity",
            "a.attgenerated",
            "CASE WHEN a.attcollation <> 0 THEN a.attcollation::regcollation END",
            _sorted("a.attacl"),
            "pg_get_expr(d.adbin, d.adrelid)",
        ),
        "FROM relations r JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped "
        "LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum WHERE r.relkind <> 'S'",
    ),
    (
        "'sequence options ' || r.name",
        _hash("s.seqtypid::regtype", "s.seqstart", "s.seqincrement", "s.seqmax", "s.seqmin", "s.seqcycle"),
        "FROM relations r JOIN pg_sequence s ON s.seqrelid = r.oid",
    ),
    (
        # Whether it was validated is another check. With its triggers off, a foreign key is not enforced.
        "'constraint ' || quote_ident(c.conname) || ' of ' || r.name",
        _hash(
            "replace(pg_get_constraintdef(c.oid), ' NOT VALID', '')",
            "(SELECT string_agg(t.tgenabled::text, '' ORDER BY t.tgenabled) FROM pg_trigger t "
            "WHERE t.tgconstraint = c.oid)",
        ),
        "FROM pg_constraint c JOIN relations r ON r.oid = c.conrelid",
    ),
    (
        "'constraint ' || quote_ident(c.conname) || ' of domain ' || c.contypid::regtype",
        _hash("replace(pg_get_constraintdef(c.oid), ' NOT VALID', '')"),
        "FROM pg_constraint c JOIN pg_type t ON t.oid = c.contypid "
        f"JOIN pg_namespace n ON n.oid = t.typnamespace WHERE {_OURS} AND {_own('pg_type', 't')}",
    ),
    (
        # Indexes that REINDEX CONCURRENTLY is building, or left behind, come and go.
        "'index ' || quote_ident(i.relname) || ' of ' || r.name",
        _hash("pg_get_indexdef(x.indexrelid)"),
        "FROM pg_index x JOIN relations r ON r.oid = x.indrelid JOIN pg_class i ON i.oid = x.indexrelid "
        "WHERE x.indisvalid OR i.relname !~ '_cc(new|old)[0-9]*$'",
    ),
    (
        "'trigger ' || quote_ident(t.tgname) || ' of ' || r.name",
        _hash("pg_get_triggerdef(t.oid)", "t.tgenabled"),
        "FROM pg_trigger t JOIN relations r ON r.oid = t.tgrelid WHERE NOT t.tgisinternal",
    ),
    (
        "'rule ' || quote_ident(w.rulename) || ' of ' || r.name",
        _hash("pg_get_ruledef(w.oid)", "w.ev_enabled"),
        "FROM pg_rewrite w JOIN relations r ON r.oid = w.ev_class WHERE w.rulename <> '_RETURN'",
    ),
    (
        "'policy ' || quote_ident(p.polname) || ' of ' || r.name",
        _hash(
            "p.polcmd",
            "p.polpermissive",
            "(SELECT string_agg(CASE x WHEN 0 THEN 'public' ELSE pg_get_userbyid(x) END, ',' "
            "ORDER BY pg_get_userbyid(x)) FROM unnest(p.polroles) AS x)",
            "pg_get_expr(p.polqual, p.polrelid)",
            "pg_get_expr(p.polwithcheck, p.polrelid)",
        ),
        "FROM pg_policy p JOIN relations r ON r.oid = p.polrelid",
    ),
    (
        "'statistics ' || quote_ident(n.nspname) || '.' || quote_ident(s.stxname)",
        _hash("pg_get_statisticsobjdef(s.oid)"),
        f"FROM pg_statistic_ext s JOIN pg_namespace n ON n.oid = s.stxnamespace WHERE {_OURS}",
    ),
    (
        "'function ' || p.oid::regprocedure",
        _hash(
            _owner("p.proowner"),
            _sorted("p.proacl"),
            "CASE WHEN p.prokind <> 'a' THEN pg_get_functiondef(p.oid) END",
            "(SELECT ROW(g.aggkind, g.aggtransfn, g.aggfinalfn, g.agginitval) FROM pg_aggregate g "
            "WHERE g.aggfnoid = p.oid)",
        ),
        "FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace "
        f"WHERE {_OURS} AND {_own('pg_proc', 'p')}",
    ),
    (
        "'operator ' || o.oid::regoperator",
        _hash(_owner("o.oprowner"), "o.oprcode"),
        "FROM pg_operator o JOIN pg_namespace n ON n.oid = o.oprnamespace "
        f"WHERE {_OURS} AND {_own('pg_operator', 'o')}",
    ),
    (
        "'type ' || t.oid::regtype",
        _hash(
            "t.typtype",
            _owner("t.typowner"),
            _sorted("t.typacl"),
            "t.typnotnull",
            "format_type(t.typbasetype, t.typtypmod)",
            "t.typdefault",
            "(SELECT string_agg(e.enumlabel, '|' ORDER BY e.enumsortorder) FROM pg_enum e "
            "WHERE e.enumtypid = t.oid)",
            "(SELECT format_type(g.rngsubtype, NULL) FROM pg_range g WHERE g.rngtypid = t.oid)",
        ),
        "FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace "
        f"WHERE {_OURS} AND (t.typtype IN ('e', 'd', 'r') OR t.typtype = 'b' AND t.typcategory <> 'A') "
        f"AND {_own('pg_type', 't')}",
    ),
    (
        "'collation ' || c.oid::regcollation",
        _hash(_owner("c.collowner"), "c.collprovider", "c.collisdeterministic", "c.collcollate"),
        "FROM pg_collation c JOIN pg_namespace n ON n.oid = c.collnamespace "
        f"WHERE {_OURS} AND {_own('pg_collation', 'c')}",
    ),
    (
        "'text search configuration ' || f.oid::regconfig",
        _hash(
            "(SELECT string_agg(ROW(m.maptokentype, m.mapdict::regdictionary)::text, ',' "
            "ORDER BY m.maptokentype, m.mapseqno) FROM pg_ts_config_map m WHERE m.mapcfg = f.oid)"
        ),
        "FROM pg_ts_config f JOIN pg_namespace n ON n.oid = f.cfgnamespace "
        f"WHERE {_OURS} AND {_own('pg_ts_config', 'f')}",
    ),
    (
        "'event trigger ' || quote_ident(v.evtname)",
        _hash(
            _owner("v.evtowner"),
            "v.evtevent",
            "v.evtfoid::regprocedure",
            "v.evtenabled",
            _sorted("v.evttags"),
        ),
        f"FROM pg_event_trigger v WHERE {_own('pg_event_trigger', 'v')}",
    ),
    (
        "'publication ' || quote_ident(b.pubname)",
        _hash(
            _owner("b.pubowner"),
            "b.puballtables",
            "b.pubinsert",
            "b.pubupdate",
            "b.pubdelete",
            "b.pubtruncate",
            "(SELECT string_agg(l.prrelid::regclass::text, ',' ORDER BY l.prrelid::regclass::text) "
            "FROM pg_publication_rel l WHERE l.prpubid = b.oid)",
        ),
        "FROM pg_publication b",
    ),
    (
        "'foreign server ' || quote_ident(s.srvname)",
        _hash(_owner("s.srvowner"), _sorted("s.srvacl")),
        "FROM pg_foreign_server s",
    ),
    (
        f"concat('default privileges of ', quote_ident({_owner('d.defaclrole')}), ' for ', d.defaclobjtype, "
        "' in ', coalesce(quote_ident(n.nspname), 'all schemas'))",
        _hash(_sorted("d.defaclacl")),
        "FROM pg_default_acl d LEFT JOIN pg_namespace n ON n.oid = d.defaclnamespace",
    ),
)

_CLUSTER = (
    (
        "'database ' || quote_ident(d.datname)",
        _hash(
            _owner("d.datdba"),
            "pg_encoding_to_char(d.encoding)",
            "d.datlocprovider",
            "d.datcollate",
            "d.datctype",
            "d.datistemplate",
            "d.datallowconn",
            "d.datconnlimit",
            _sorted("d.datacl"),
        ),
        "FROM pg_database d WHERE d.datname NOT IN ('template0', 'template1')",
    ),
    (
        "concat('settings of ', coalesce('role ' || quote_ident(r.rolname), 'all roles'), "
        "' in ', coalesce('database ' || quote_ident(d.datname), 'all databases'))",
        _hash(_sorted("s.setconfig")),
        "FROM pg_db_role_setting s LEFT JOIN pg_database d ON d.oid = s.setdatabase "
        "LEFT JOIN pg_roles r ON r.oid = s.setrole",
    ),
    (
        "'tablespace ' || quote_ident(t.spcname)",
        _hash(_owner("t.spcowner"), _sorted("t.spcacl")),
        "FROM pg_tablespace t WHERE t.spcname !~ '^pg_'",
    ),
)


def _all(parts: tuple[tuple[str, str, str], ...]) -> str:
    return "\nUNION ALL\n".join(
        f"SELECT {name} AS name, {hash_} AS hash {source}" for name, hash_, source in parts
    )


OBJECTS = f"WITH relations AS MATERIALIZED ({_RELATIONS})\n{_all(_OBJECTS)}"
CLUSTER = _all(_CLUSTER)

# No passwords: not every role may read pg_authid, and a password's hash is a secret.
ROLES = _all(
    (
        (
            "r.rolname",
            _hash(
                "r.rolsuper",
                "r.rolinherit",
                "r.rolcreaterole",
                "r.rolcreatedb",
                "r.rolcanlogin",
                "r.rolreplication",
                "r.rolbypassrls",
                "r.rolconnlimit",
                "r.rolvaliduntil",
                "(SELECT string_agg(ROW(g.rolname, m.admin_option)::text, '|' ORDER BY g.rolname) "
                "FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid WHERE m.member = r.oid)",
            ),
            "FROM pg_roles r WHERE r.rolname !~ '^pg_'",
        ),
    )
)

EXTENSIONS = "SELECT extname AS name, extversion AS hash FROM pg_extension"
