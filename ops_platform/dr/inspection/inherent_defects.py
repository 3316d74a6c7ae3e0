"""Defects that a database may have had at its source already, found and named.

A sequence behind its column, an index that is not valid, a constraint that was never validated:
none of it is damage by itself. ``reference.capture`` notes those of the source, ``data_checks`` looks
for others in a restored copy.
"""

from __future__ import annotations

from dataclasses import dataclass

from psycopg import sql

from ops_platform.clients.postgres import Connection


@dataclass(frozen=True)
class Defects:
    """The ``names`` of defective objects, as in the catalogue, out of ``total`` that were looked at."""

    names: tuple[str, ...]
    total: int


# A default that computes with the sequence's number (times ten, as text) does not show how far the
# sequence came; nor does a sequence that cycles.
_SEQUENCES = r"""
    SELECT DISTINCT n.nspname AS schema, t.relname AS table, a.attname AS column,
           sn.nspname AS sequence_schema, s.relname AS sequence, q.seqincrement AS step,
           'sequence ' || quote_ident(sn.nspname) || '.' || quote_ident(s.relname) AS name
    FROM pg_sequence q
    JOIN pg_class s ON s.oid = q.seqrelid JOIN pg_namespace sn ON sn.oid = s.relnamespace
    JOIN LATERAL (
        SELECT f.adrelid AS relation, f.adnum AS number
        FROM pg_depend d JOIN pg_attrdef f ON f.oid = d.objid
        WHERE d.classid = 'pg_attrdef'::regclass
          AND d.refclassid = 'pg_class'::regclass AND d.refobjid = s.oid
          AND pg_get_expr(f.adbin, f.adrelid) ~ '^nextval\(''[^()]+''::regclass\)(::[a-z]+)?$'
        UNION ALL
        SELECT d.refobjid, d.refobjsubid FROM pg_depend d
        WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.objid = s.oid
          AND d.deptype = 'i'
    ) AS fed ON true
    JOIN pg_attribute a ON a.attrelid = fed.relation AND a.attnum = fed.number
    JOIN pg_class t ON t.oid = a.attrelid JOIN pg_namespace n ON n.oid = t.relnamespace
    WHERE t.relkind IN ('r', 'p') AND s.relpersistence = 'p' AND t.relpersistence = 'p' AND NOT q.seqcycle
      AND a.atttypid IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype)
      AND has_table_privilege(t.oid, 'SELECT') AND has_schema_privilege(n.oid, 'USAGE')
      AND has_table_privilege(s.oid, 'SELECT') AND has_schema_privilege(sn.oid, 'USAGE')
      AND NOT row_security_active(t.oid)
    ORDER BY name
"""


def sequences_behind(connection: Connection) -> Defects:
    """Find sequences whose next number is not beyond the numbers in a column that they feed.

    With an index on the column it is one probe.
    """
    rows = connection.execute(_SEQUENCES).fetchall()
    behind = set()
    for row in rows:
        query = sql.SQL(
            "SELECT last_value AS last, is_called AS called, "
            "(SELECT {extreme}({column}) FROM {table}) AS reached FROM {sequence}"
        ).format(
            extreme=sql.SQL("max" if row["step"] > 0 else "min"),
            column=sql.Identifier(row["column"]),
            sequence=sql.Identifier(row["sequence_schema"], row["sequence"]),
            table=sql.Identifier(row["schema"], row["table"]),
        )
        state = connection.execute(query).fetchone()
        if state is None or state["reached"] is None:
            continue
        if is_behind(int(state["last"]), bool(state["called"]), int(state["reached"]), int(row["step"])):
            behind.add(row["name"])
    return Defects(tuple(sorted(behind)), len({row["name"] for row in rows}))


def is_behind(last: int, called: bool, reached: int, step: int) -> bool:
    """Tell whether the sequence's next number is not beyond ``reached``."""
    following = last + step if called else last
    return following <= reached if step > 0 else following >= reached


def invalid_indexes(connection: Connection) -> Defects:
    """Find invalid indexes, those of system catalogues and TOAST tables included.

    Indexes that REINDEX CONCURRENTLY is building, or left behind, do not count.
    """
    rows = connection.execute(
        """
        SELECT 'index ' || quote_ident(i.relname) || ' of ' || quote_ident(n.nspname) || '.'
                   || quote_ident(t.relname) AS name,
               x.indisvalid AND x.indisready AND x.indislive AS valid
        FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid
        JOIN pg_class t ON t.oid = x.indrelid JOIN pg_namespace n ON n.oid = t.relnamespace
        WHERE i.relkind = 'i' AND (x.indisvalid OR i.relname !~ '_cc(new|old)[0-9]*$') ORDER BY 1
        """
    ).fetchall()
    return Defects(tuple(row["name"] for row in rows if not row["valid"]), len(rows))


def unvalidated_constraints(connection: Connection) -> Defects:
    """Find constraints of tables that were never validated; those of domains are not looked at."""
    rows = connection.execute(
        """
        SELECT 'constraint ' || quote_ident(c.conname) || ' of ' || quote_ident(n.nspname) || '.'
                   || quote_ident(t.relname) AS name, c.convalidated AS valid
        FROM pg_constraint c
        JOIN pg_class t ON t.oid = c.conrelid JOIN pg_namespace n ON n.oid = t.relnamespace
        ORDER BY 1
        """
    ).fetchall()
    return Defects(tuple(row["name"] for row in rows if not row["valid"]), len(rows))
