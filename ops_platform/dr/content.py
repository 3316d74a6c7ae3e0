"""Is what the restored database holds whole? Asked of one database, against what the source held.

Definitions of objects are compared in ``catalogue``; files and pages in ``physical``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from psycopg import sql

from ops_platform.clients.postgres import Connection
from ops_platform.dr import fingerprint
from ops_platform.dr.fingerprint import Live
from ops_platform.dr.ladder import Verification, unknown, verdict
from ops_platform.dr.reference import Reference, unvalidated

NAMED = 5
SLACK_ROWS = 50
SLACK_SHARE = 0.01
"""The source's statistics lag by up to ten seconds: what a count may be off by."""


@dataclass(frozen=True)
class Bounds:
    """How many rows a table can have had; ``high`` None: without limit."""

    low: int
    high: int | None

    def holds(self, rows: int) -> bool:
        return self.low <= rows and (self.high is None or rows <= self.high)


def bounds(before: Live, after: Live | None) -> Bounds | None:
    """Between two looks at a table: never less than the deletes allow, never more than the inserts.

    None when it cannot be told: not counted, or the statistics were reset in between.
    """
    if before.rows is None:
        return None
    slack = SLACK_ROWS + int(before.rows * SLACK_SHARE)
    if after is None:
        return None
    inserted, deleted = after.inserted - before.inserted, after.deleted - before.deleted
    if inserted < 0 or deleted < 0:
        return None
    return Bounds(max(0, before.rows - deleted - slack), before.rows + inserted + slack)


def live_tables(connection: Connection, before: Reference | None, after: Reference | None) -> Verification:
    """Every table has a number of rows that is possible between the two references."""
    name = "live_tables"
    if before is None or after is None:
        when = "before" if before is None else "after"
        return unknown(name, f"there is no reference of the source from {when} the moment restored")
    found = fingerprint.live(connection)
    outside, untold, checked = [], 0, 0
    for table, was in before.live.items():
        limits = bounds(was, after.live.get(table))
        here = found.get(table)
        if here is None:
            # Dropped since, or missing: the catalogue's question.
            continue
        if limits is None or here.rows is None:
            untold += 1
            continue
        checked += 1
        if not limits.holds(here.rows):
            outside.append(f"{table} has {here.rows}, possible are {limits.low} to {limits.high}")
    if checked == 0:
        return unknown(name, "no table could be compared: statistics were reset, or all are too large")
    numbers = {"tables": checked, "outside": len(outside), "not_compared": untold}
    if outside:
        return verdict(name, False, f"rows are missing or too many: {_named(outside)}", **numbers)
    more = f"; {untold} could not be compared" if untold else ""
    return verdict(name, True, f"{checked} tables have as many rows as they can have had{more}", **numbers)


def closed_rows(connection: Connection, reference: Reference | None, erased_since: bool) -> Verification:
    """The rows of append-only tables are, every one, what they were when the reference was signed."""
    name = "closed_rows"
    if reference is None:
        return unknown(name, "there is no reference of closed rows from before the moment restored")
    if not reference.closed:
        return verdict(name, True, "no table is declared append-only in backups.yaml", tables=0)
    fingerprint.fix_session(connection)
    wrong, rows = [], 0
    for table, was in reference.closed.items():
        is_ = fingerprint.closed(connection, table, was.column, reference.marker)
        rows += is_.rows
        if erased_since:
            # Erasure deletes or anonymises old rows: then only their number is bounded.
            if is_.rows > was.rows:
                wrong.append(f"{table} has {is_.rows} of {was.rows} rows")
        elif is_.rows != was.rows:
            wrong.append(f"{table} has {is_.rows} of {was.rows} rows")
        elif is_ != was:
            wrong.append(f"{table}: the contents of {was.rows} rows differ")
    numbers = {"tables": len(reference.closed), "rows": rows, "wrong": len(wrong)}
    if wrong:
        return verdict(name, False, f"closed rows are not what they were: {_named(wrong)}", **numbers)
    how = "bounded, since somebody was erased meanwhile" if erased_since else "equal"
    return verdict(
        name, True, f"{rows} rows older than {reference.marker:%Y-%m-%d %H:%M:%S} UTC are {how}", **numbers
    )


def sequences(connection: Connection) -> Verification:
    """No sequence is behind a column that it feeds: the next insert would collide."""
    rows = connection.execute(
        """
        SELECT DISTINCT n.nspname AS schema, t.relname AS table, a.attname AS column,
               sn.nspname AS sequence_schema, s.relname AS sequence, q.seqincrement AS step
        FROM pg_sequence q
        JOIN pg_class s ON s.oid = q.seqrelid JOIN pg_namespace sn ON sn.oid = s.relnamespace
        JOIN pg_depend d ON (d.refobjid = s.oid AND d.classid = 'pg_attrdef'::regclass)
                         OR (d.objid = s.oid AND d.classid = 'pg_class'::regclass AND d.deptype IN ('a', 'i'))
        LEFT JOIN pg_attrdef f ON d.classid = 'pg_attrdef'::regclass AND f.oid = d.objid
        JOIN pg_attribute a ON a.attrelid = coalesce(f.adrelid, d.refobjid)
                           AND a.attnum = coalesce(f.adnum, d.refobjsubid) AND a.attnum > 0
        JOIN pg_class t ON t.oid = a.attrelid JOIN pg_namespace n ON n.oid = t.relnamespace
        WHERE t.relkind IN ('r', 'p') AND s.relpersistence = 'p'
          AND a.atttypid IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype)
        """
    ).fetchall()
    behind = []
    for row in rows:
        query = sql.SQL(
            "SELECT s.last_value AS last, s.is_called AS called, {extreme}(t.{column}) AS reached "
            "FROM {sequence} AS s LEFT JOIN {table} AS t ON true GROUP BY 1, 2"
        ).format(
            extreme=sql.SQL("max" if row["step"] > 0 else "min"),
            column=sql.Identifier(row["column"]),
            sequence=sql.Identifier(row["sequence_schema"], row["sequence"]),
            table=sql.Identifier(row["schema"], row["table"]),
        )
        state = connection.execute(query).fetchone()
        if state is None or state["reached"] is None:
            continue
        if _is_behind(int(state["last"]), bool(state["called"]), int(state["reached"]), int(row["step"])):
            behind.append(f"{row['sequence_schema']}.{row['sequence']}")
    said = f"behind their column: {_named(behind)}" if behind else f"{len(rows)} sequences are ahead"
    return verdict("sequences", not behind, said, sequences=len(rows), behind=len(behind))


def _is_behind(last: int, called: bool, reached: int, step: int) -> bool:
    following = last + step if called else last
    return following <= reached if step > 0 else following >= reached


def indexes_valid(connection: Connection) -> Verification:
    rows = connection.execute(
        """
        SELECT i.indexrelid::regclass::text AS name, i.indisvalid AND i.indisready AND i.indislive AS valid
        FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE c.relkind = 'i'
        """
    ).fetchall()
    bad = [row["name"] for row in rows if not row["valid"]]
    said = f"invalid: {_named(bad)}; reindex them" if bad else f"{len(rows)} indexes are valid"
    return verdict("indexes_valid", not bad, said, indexes=len(rows), invalid=len(bad))


def constraints_validated(connection: Connection, references: Sequence[Reference]) -> Verification:
    """None is unvalidated that was validated at the source."""
    name = "constraints_validated"
    connection.execute("SET search_path = pg_catalog")
    here = unvalidated(connection)
    known = {one for reference in references for one in reference.unvalidated}
    bad = [one for one in here if one not in known]
    if bad and not references:
        return unknown(
            name, f"{len(bad)} constraints are not validated, and no reference says whether they were"
        )
    said = f"not validated: {_named(bad)}" if bad else "none is unvalidated that was validated at the source"
    return verdict(name, not bad, said, unvalidated=len(here), unexpected=len(bad))


def collations(connection: Connection) -> Verification:
    """Recorded and actual versions agree; else the order of text, and every index on it, may differ."""
    rows = connection.execute(
        """
        SELECT 'database ' || datname AS name, datcollversion AS recorded,
               pg_database_collation_actual_version(oid) AS actual
        FROM pg_database WHERE datname = current_database()
        UNION ALL
        SELECT 'collation ' || collname, collversion, pg_collation_actual_version(oid)
        FROM pg_collation WHERE collversion IS NOT NULL
        """
    ).fetchall()
    bad = [row["name"] for row in rows if row["recorded"] is not None and row["recorded"] != row["actual"]]
    said = (
        f"another version here: {_named(bad)}; reindex what depends on them"
        if bad
        else "the versions recorded are those of this machine"
    )
    return verdict("collations", not bad, said, collations=len(rows), differing=len(bad))


def orphans(connection: Connection) -> Verification:
    """Every foreign key that counts as validated holds, by one anti-join each."""
    keys = connection.execute(
        """
        SELECT c.conname AS name, n.nspname AS schema, t.relname AS table, fn.nspname AS other_schema,
               f.relname AS other,
               ARRAY(SELECT a.attname::text FROM unnest(c.conkey) WITH ORDINALITY AS k (num, pos)
                     JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.num
                     ORDER BY k.pos) AS columns,
               ARRAY(SELECT a.attname::text FROM unnest(c.confkey) WITH ORDINALITY AS k (num, pos)
                     JOIN pg_attribute a ON a.attrelid = c.confrelid AND a.attnum = k.num
                     ORDER BY k.pos) AS others
        FROM pg_constraint c
        JOIN pg_class t ON t.oid = c.conrelid JOIN pg_namespace n ON n.oid = t.relnamespace
        JOIN pg_class f ON f.oid = c.confrelid JOIN pg_namespace fn ON fn.oid = f.relnamespace
        WHERE c.contype = 'f' AND c.convalidated AND c.conparentid = 0
        """
    ).fetchall()
    bad = []
    for key in keys:
        pairs = list(zip(key["columns"], key["others"], strict=True))
        query = sql.SQL(
            "SELECT EXISTS (SELECT FROM {table} AS t WHERE {given} AND NOT EXISTS "
            "(SELECT FROM {other} AS o WHERE {same})) AS found"
        ).format(
            table=sql.Identifier(key["schema"], key["table"]),
            other=sql.Identifier(key["other_schema"], key["other"]),
            given=sql.SQL(" AND ").join(
                sql.SQL("t.{} IS NOT NULL").format(sql.Identifier(mine)) for mine, _ in pairs
            ),
            same=sql.SQL(" AND ").join(
                sql.SQL("o.{} = t.{}").format(sql.Identifier(other), sql.Identifier(mine))
                for mine, other in pairs
            ),
        )
        row = connection.execute(query).fetchone()
        if row and row["found"]:
            bad.append(f"{key['name']} of {key['schema']}.{key['table']}")
    said = f"rows without their parent: {_named(bad)}" if bad else f"{len(keys)} foreign keys hold"
    return verdict("orphans", not bad, said, foreign_keys=len(keys), broken=len(bad))


def _named(found: Sequence[str]) -> str:
    more = f" and {len(found) - NAMED} more" if len(found) > NAMED else ""
    return ", ".join(found[:NAMED]) + more


def merged(name: str, answers: Mapping[str, Verification]) -> Verification:
    """One answer for several databases: the worst counts, and says where."""
    order = {"fail": 0, "unknown": 1, "pass": 2}
    worst = min(answers.values(), key=lambda one: order[one.result])
    said = "; ".join(
        f"{database}: {one.summary}" for database, one in answers.items() if one.result == worst.result
    )
    numbers: dict[str, int | float | str] = {}
    for one in answers.values():
        for key, value in one.numbers.items():
            if isinstance(value, int):
                numbers[key] = int(numbers.get(key, 0)) + value
    return Verification(name, worst.result, said, numbers)
