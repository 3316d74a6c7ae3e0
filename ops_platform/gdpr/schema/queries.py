"""The SQL queries of ``schema.reader``.

Parameters: ``ours``, the schema of the platform's own tables; ``small``, the bytes of a small table at most.
"""

from __future__ import annotations

from psycopg import sql

_VISIBLE = sql.SQL("""
    n.nspname NOT IN ('pg_catalog', 'information_schema', %(ours)s)
    AND n.nspname NOT LIKE 'pg\\_toast%%' AND n.nspname NOT LIKE 'pg\\_temp%%'
    -- Relations of an extension are not the product's.
    AND NOT EXISTS (SELECT FROM pg_depend AS d
                    WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
""")

RELATIONS = sql.SQL("""
SELECT n.nspname AS schema, c.relname AS relation, row_security_active(c.oid) AS row_security,
       CASE WHEN c.relispartition THEN 'partition'
            WHEN p.oid IS NOT NULL THEN 'child'
            ELSE CASE c.relkind WHEN 'r' THEN 'table' WHEN 'p' THEN 'partitioned' WHEN 'f' THEN 'foreign'
                                WHEN 'v' THEN 'view' WHEN 'm' THEN 'matview' END END AS kind,
       pn.nspname AS parent_schema, p.relname AS parent,
       (SELECT coalesce(sum(pg_relation_size(t.relid)), 0) FROM pg_partition_tree(c.oid) AS t
        WHERE t.isleaf) <= %(small)s AS small,
       -- From version 17 on, the right to refresh can be granted.
       pg_has_role(c.relowner, 'USAGE')
           OR CASE WHEN current_setting('server_version_num')::int >= 170000
                   THEN has_table_privilege(c.oid, 'MAINTAIN') ELSE false END AS refreshable
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
LEFT JOIN LATERAL (
    SELECT inhparent FROM pg_inherits WHERE inhrelid = c.oid ORDER BY inhseqno LIMIT 1) AS i ON true
LEFT JOIN pg_class AS p ON p.oid = i.inhparent
LEFT JOIN pg_namespace AS pn ON pn.oid = p.relnamespace
WHERE c.relkind IN ('r', 'p', 'f', 'v', 'm') AND {visible}
ORDER BY 1, 2
""").format(visible=_VISIBLE)

COLUMNS = sql.SQL("""
SELECT n.nspname AS schema, c.relname AS relation, a.attname AS column,
       format_type(a.atttypid, a.atttypmod) AS type,
       -- The name without the schema: an extension can be installed into any.
       CASE WHEN b.typname IN ('citext', 'hstore') THEN b.typname::text
            ELSE format_type(b.oid, NULL) END AS base,
       t.typcategory = 'A' AS array, a.attnotnull OR t.typnotnull AS not_null,
       a.attgenerated <> '' AS generated, a.attidentity <> '' AS identity, a.atthasdef AS has_default,
       CASE WHEN a.attgenerated <> '' THEN pg_get_expr(d.adbin, d.adrelid) ELSE '' END AS expression,
       b.typtype = 'c' AS composite, b.typname = 'citext' OR l.collisdeterministic IS FALSE AS alike
FROM pg_attribute AS a
JOIN pg_class AS c ON c.oid = a.attrelid
JOIN pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_type AS t ON t.oid = a.atttypid
LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
LEFT JOIN pg_collation AS l ON l.oid = a.attcollation
-- Domains of domains, arrays of domains, domains of arrays: down to the type that holds the values.
CROSS JOIN LATERAL (
    WITH RECURSIVE down AS (
        SELECT t.oid, 0 AS depth
        UNION ALL
        SELECT CASE u.typtype WHEN 'd' THEN u.typbasetype ELSE u.typelem END, down.depth + 1
        FROM down JOIN pg_type AS u ON u.oid = down.oid
        WHERE u.typtype = 'd' OR (u.typcategory = 'A' AND u.typelem <> 0))
    SELECT u.oid, u.typname, u.typtype FROM down JOIN pg_type AS u ON u.oid = down.oid
    ORDER BY down.depth DESC LIMIT 1) AS b
WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'f', 'v', 'm') AND {visible}
ORDER BY 1, 2, a.attnum
""").format(visible=_VISIBLE)

INDEXES = sql.SQL("""
SELECT n.nspname AS schema, c.relname AS relation,
       i.indisunique AND i.indpred IS NULL AND i.indexprs IS NULL AND i.indisvalid AND i.indimmediate
           -- From version 15 on, NULLs can be equal to each other.
           AND (bool_and(k.attnotnull) OR coalesce((to_jsonb(i) ->> 'indnullsnotdistinct')::boolean, false))
           AS identifies,
       -- What differs in its small letters differs.
       CASE WHEN i.indisunique AND i.indpred IS NULL AND i.indisvalid AND bool_and(k.said IS NOT NULL)
            THEN array_agg(k.said::text ORDER BY k.place) END AS distinct_,
       i.indisvalid AS valid, pg_get_expr(i.indpred, i.indrelid) AS predicate,
       m.amname IN ('btree', 'hash') AS ordered,
       -- Up to the first expression: an index on (lower(a), b) finds no b.
       (array_agg(k.found::text ORDER BY k.place))[
           :coalesce(array_position(array_agg(k.found::text ORDER BY k.place), NULL) - 1, count(*)::int)
       ] AS columns
FROM pg_index AS i
JOIN pg_class AS c ON c.oid = i.indrelid
JOIN pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_class AS x ON x.oid = i.indexrelid
JOIN pg_am AS m ON m.oid = x.relam
CROSS JOIN LATERAL (
    SELECT a.attname, coalesce(a.attnotnull, false) AS attnotnull, u.place,
           coalesce(a.attname, e.attname) AS said, coalesce(a.attname, d.attname) AS found
    FROM unnest(i.indkey::smallint[]) WITH ORDINALITY AS u (attnum, place)
    LEFT JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = u.attnum AND u.attnum > 0
    LEFT JOIN pg_attribute AS e
        ON u.attnum = 0 AND e.attrelid = c.oid AND e.attnum > 0 AND NOT e.attisdropped
        AND pg_get_indexdef(i.indexrelid, u.place::int, true)
            IN (format('lower(%%I)', e.attname), format('lower(%%I::text)', e.attname),
                format('upper(%%I)', e.attname), format('upper(%%I::text)', e.attname))
    -- A json document is searched as jsonb.
    LEFT JOIN pg_attribute AS d
        ON u.attnum = 0 AND d.attrelid = c.oid AND d.attnum > 0 AND NOT d.attisdropped
        AND d.atttypid = 'json'::regtype
        AND pg_get_indexdef(i.indexrelid, u.place::int, true) IN (format('(%%I::jsonb)', d.attname),
                                                                  format('((%%I)::jsonb)', d.attname))
    WHERE u.place <= i.indnkeyatts) AS k
WHERE {visible}
GROUP BY 1, 2, i.indexrelid, i.indrelid, i.indisunique, i.indisprimary, i.indpred, i.indexprs, i.indisvalid,
         i.indimmediate, m.amname, to_jsonb(i)
ORDER BY 1, 2, i.indisprimary DESC, count(*), i.indexrelid
""").format(visible=_VISIBLE)

# A function in a language other than SQL and PL/pgSQL cannot be read: it may do anything.
TRIGGERS = sql.SQL("""
SELECT n.nspname AS schema, c.relname AS relation, t.tgname AS name, p.proname AS function,
       CASE WHEN l.lanname IN ('plpgsql', 'sql')
            THEN p.prosrc ~* ('\\m(insert\\s+into|merge\\s+into|copy|execute|notify|pg_notify|dblink|'
                              || 'update\\s|lo_)')
            ELSE p.proname NOT IN ('suppress_redundant_updates_trigger', 'tsvector_update_trigger',
                                   'tsvector_update_trigger_column') END AS writes,
       -- Before each row's update.
       t.tgtype & 19 = 19 AND (p.proname ~ '^tsvector_update_trigger' OR p.prosrc ~* 'tsvector') AS vectors,
       t.tgtype & 17 = 17 AS updates, t.tgtype & 2 = 2 AS before, l.lanname AS language, p.prosrc AS source,
       encode(t.tgargs, 'escape') AS arguments,
       CASE WHEN t.tgqual IS NOT NULL THEN pg_get_triggerdef(t.oid) ELSE '' END AS definition,
       ARRAY(SELECT a.attname::text FROM unnest(t.tgattr::smallint[]) AS u (attnum)
             JOIN pg_attribute AS a ON a.attrelid = t.tgrelid AND a.attnum = u.attnum) AS update_of
FROM pg_trigger AS t
JOIN pg_class AS c ON c.oid = t.tgrelid
JOIN pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_proc AS p ON p.oid = t.tgfoid
JOIN pg_language AS l ON l.oid = p.prolang
WHERE NOT t.tgisinternal AND t.tgparentid = 0 AND t.tgenabled <> 'D' AND {visible}
UNION ALL
SELECT n.nspname, c.relname, r.rulename, 'rule', true, false, false, false, '', '', '', '', '{{}}'
FROM pg_rewrite AS r
JOIN pg_class AS c ON c.oid = r.ev_class
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE r.ev_type <> '1' AND r.rulename <> '_RETURN' AND {visible}
ORDER BY 1, 2, 3
""").format(visible=_VISIBLE)

REFERENCES = sql.SQL("""
SELECT f.conname AS name, n.nspname AS schema, c.relname AS relation,
       tn.nspname AS target_schema, t.relname AS target, f.condeferrable AS deferrable,
       CASE WHEN d.relispartition THEN dn.nspname END AS within_schema,
       CASE WHEN d.relispartition THEN d.relname END AS within,
       CASE f.confdeltype WHEN 'a' THEN 'no action' WHEN 'r' THEN 'restrict' WHEN 'c' THEN 'cascade'
                          WHEN 'n' THEN 'set null' ELSE 'set default' END AS on_delete,
       (SELECT array_agg(a.attname::text ORDER BY u.place)
        FROM unnest(f.conkey) WITH ORDINALITY AS u (attnum, place)
        JOIN pg_attribute AS a ON a.attrelid = f.conrelid AND a.attnum = u.attnum) AS columns,
       (SELECT array_agg(a.attname::text ORDER BY u.place)
        FROM unnest(f.confkey) WITH ORDINALITY AS u (attnum, place)
        JOIN pg_attribute AS a ON a.attrelid = f.confrelid AND a.attnum = u.attnum) AS target_columns
FROM pg_constraint AS f
-- A foreign key that a partition alone has, or that refers to one alone, counts as the whole table's.
JOIN pg_class AS p ON p.oid = f.conrelid
JOIN pg_class AS c ON c.oid = CASE WHEN p.relispartition THEN pg_partition_root(p.oid) ELSE p.oid END
JOIN pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_class AS d ON d.oid = f.confrelid
JOIN pg_namespace AS dn ON dn.oid = d.relnamespace
JOIN pg_class AS t ON t.oid = CASE WHEN d.relispartition THEN pg_partition_root(d.oid) ELSE d.oid END
JOIN pg_namespace AS tn ON tn.oid = t.relnamespace
WHERE f.contype = 'f' AND f.conparentid = 0 AND {visible}
ORDER BY 2, 3, 1
""").format(visible=_VISIBLE)

FUNCTIONS = sql.SQL("""
SELECT n.nspname AS schema, p.proname AS relation, has_function_privilege(p.oid, 'EXECUTE') AS callable
FROM pg_proc AS p
JOIN pg_namespace AS n ON n.oid = p.pronamespace
WHERE p.pronargs = 0 AND p.prokind = 'f' AND p.prorettype <> 'trigger'::regtype
  AND n.nspname NOT IN ('pg_catalog', 'information_schema', %(ours)s)
  AND NOT EXISTS (SELECT FROM pg_depend AS d
                  WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
""")
