"""Checks of the data in one restored database, against what the source held.

Definitions of objects are compared in ``schema_comparison``, files and pages checked in ``page_checks``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from psycopg import sql

from ops_platform.clients.postgres import Connection, one_row
from ops_platform.dr.inspection import (
    EXACT_ROWS,
    Defects,
    LiveTable,
    Verification,
    inherent_defects,
    named,
    row_fingerprints,
    unknown,
    verdict,
)
from ops_platform.dr.reference import Reference

SLACK_ROWS = 50
SLACK_SHARE = 0.01
"""The error allowed in a count: the source's statistics lag by up to ten seconds."""

_OPERATOR = re.compile(r"[-+*/<>=~!@#%^&|`?]+")

Accepted = Callable[[str], bool] | None
"""Tells whether the source has a defect too, by name; None: nothing is known of this database."""


@dataclass(frozen=True)
class Bounds:
    """The number of rows that a table can have had; ``high`` None: without limit."""

    low: int
    high: int | None

    def holds(self, rows: int | None) -> bool:
        """Tell whether ``rows`` is possible; None stands for more than EXACT_ROWS."""
        least = EXACT_ROWS + 1 if rows is None else rows
        return (rows is None or self.low <= rows) and (self.high is None or least <= self.high)


def bounds(before: LiveTable, after: LiveTable | None, restored: LiveTable) -> Bounds | None:
    """Bound the rows of a table restored to a moment between two counts at the source.

    Never fewer than the deletes allow, never more than the inserts. None when there are no bounds: the
    table was made anew or rewritten in between, or the statistics were reset.
    """
    if after is None or not before.oid == after.oid == restored.oid:
        return None
    inserted, deleted = after.inserted - before.inserted, after.deleted - before.deleted
    if inserted < 0 or deleted < 0:
        return None
    if restored.file != before.file:
        # By TRUNCATE, which counts no deletes, or VACUUM FULL; unless the source was rewritten too: damage.
        if before.file != after.file:
            return None
        counts = [before, after]
    else:
        # If the table was rewritten after the moment restored, the second count says nothing.
        counts = [before, after] if before.file == after.file else [before]
    least = [EXACT_ROWS + 1 if count.rows is None else count.rows for count in counts]
    lows = [least[0] - deleted, *(rows - inserted for rows in least[1:])]
    slack = SLACK_ROWS + int(max(least) * SLACK_SHARE)
    # Up-to-date statistics give the same bound from both sides; otherwise the wider one counts.
    low = max(0, min(lows) - slack)
    if any(count.rows is None for count in counts):
        return Bounds(low, None)
    return Bounds(low, max(least[0] + inserted, *(rows + deleted for rows in least[1:]), 0) + slack)


def live_tables(connection: Connection, before: Reference | None, after: Reference | None) -> Verification:
    """Check that every table has a number of rows that is possible between the two references."""
    name = "live_tables"
    if before is None or after is None:
        when = "before" if before is None else "after"
        return unknown(name, f"there is no reference of the source from {when} the moment restored")
    if not before.live and not before.unread:
        return verdict(name, True, "the source has no tables", tables=0, outside=0, not_compared=0)
    restored_tables = row_fingerprints.live_tables(connection).tables
    outside, not_compared, checked = [], len(before.unread), 0
    same_statistics = before.statistics == after.statistics
    for table, earlier in before.live.items():
        restored = restored_tables.get(table)
        if restored is None:
            # Dropped since, or missing: the check ``catalogue`` tells which.
            continue
        limits = bounds(earlier, after.live.get(table), restored) if same_statistics else None
        if limits is None:
            not_compared += 1
            continue
        checked += 1
        if not limits.holds(restored.rows):
            rows = f"more than {EXACT_ROWS}" if restored.rows is None else str(restored.rows)
            high = "any number" if limits.high is None else str(limits.high)
            outside.append(f"{table} has {rows}, possible are {limits.low} to {high}")
    if checked == 0:
        return unknown(
            name, "no table could be compared: statistics were reset, tables rewritten or not to be read"
        )
    numbers = {"tables": checked, "outside": len(outside), "not_compared": not_compared}
    if outside:
        return verdict(name, False, f"rows are missing or too many: {named(outside)}", **numbers)
    more = f"; {not_compared} could not be compared" if not_compared else ""
    return verdict(name, True, f"{checked} tables have as many rows as they can have had{more}", **numbers)


def closed_rows(connection: Connection, reference: Reference | None, erased_since: bool) -> Verification:
    """Check that the closed rows of append-only tables are those of the signed reference.

    When somebody was erased since the reference, only their number is bounded.
    """
    name = "closed_rows"
    if reference is None:
        return unknown(name, "there is no reference of the source from before the moment restored")
    if not reference.closed:
        return verdict(name, True, "no table is declared append-only in backups.yaml", tables=0)
    row_fingerprints.fix_session(connection)
    wrong, counted, rows = [], [], 0
    for table, signed in reference.closed.items():
        present = row_fingerprints.table_columns(connection, table)
        if signed.column not in dict(present):
            wrong.append(f"{table}.{signed.column} is missing")
            continue
        hashable = set(signed.columns) <= set(present)
        hashed = signed.columns if hashable and not erased_since else ((signed.column, ""),)
        restored = row_fingerprints.closed_rows(
            connection, table, signed.column, reference.marker, hashed=hashed
        )
        rows += restored.rows
        if erased_since:
            # Erasure deletes or anonymises old rows: then only their number is bounded.
            if restored.rows > signed.rows:
                wrong.append(f"{table} has {restored.rows} of {signed.rows} rows")
        elif restored.rows != signed.rows:
            late = f" (or some were written with an older {signed.column})"
            hint = late if restored.rows > signed.rows else ""
            wrong.append(f"{table} has {restored.rows} of {signed.rows} rows{hint}")
        elif not hashable:
            # The check ``catalogue`` tells whether the source changed the columns.
            counted.append(table)
        elif restored != signed:
            wrong.append(f"{table}: the contents of {signed.rows} rows differ")
    numbers = {"tables": len(reference.closed), "rows": rows, "wrong": len(wrong)}
    if wrong:
        return verdict(name, False, f"closed rows are not what they were: {named(wrong)}", **numbers)
    how = "bounded, since somebody was erased meanwhile" if erased_since else "equal"
    more = f"; their columns have changed since, so only counted: {named(counted)}" if counted else ""
    return verdict(
        name,
        True,
        f"{rows} rows older than {reference.marker:%Y-%m-%d %H:%M:%S} UTC are {how}{more}",
        **numbers,
    )


def sequences(connection: Connection, accepted: Accepted) -> Verification:
    """Check that no sequence is behind a column that it feeds: the next insert would collide."""
    return _defects(
        "sequences",
        inherent_defects.sequences_behind(connection),
        accepted,
        "behind their column",
        "are ahead",
    )


def indexes_valid(connection: Connection, accepted: Accepted) -> Verification:
    """Check that no index is invalid that was valid at the source."""
    return _defects(
        "indexes_valid", inherent_defects.invalid_indexes(connection), accepted, "invalid", "are valid"
    )


def constraints_validated(connection: Connection, accepted: Accepted) -> Verification:
    """Check that no constraint is unvalidated that was validated at the source."""
    unvalidated = inherent_defects.unvalidated_constraints(connection)
    return _defects("constraints_validated", unvalidated, accepted, "not validated", "are validated")


def _defects(name: str, defects: Defects, accepted: Accepted, wrong: str, right: str) -> Verification:
    bad = [object_ for object_ in defects.names if accepted is None or not accepted(object_)]
    defective = len(defects.names)
    numbers = {"looked_at": defects.total, "wrong": len(bad), "as_at_source": defective - len(bad)}
    if bad and accepted is None:
        return unknown(
            name, f"{wrong}: {named(bad)}; no reference says whether they were so at the source", **numbers
        )
    if bad:
        return verdict(name, False, f"{wrong}: {named(bad)}", **numbers)
    own = f", {defective} are not, as at the source" if defects.names else ""
    return verdict(name, True, f"{defects.total - defective} {right}{own}", **numbers)


def collations(connection: Connection) -> Verification:
    """Check that the recorded collation versions are those of this machine.

    Otherwise the order of text, and with it every index on text, may differ.
    """
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
        f"another version here: {named(bad)}; reindex what depends on them"
        if bad
        else "the versions recorded are those of this machine"
    )
    return verdict("collations", not bad, said, collations=len(rows), differing=len(bad))


def orphans(connection: Connection) -> Verification:
    """Check that every foreign key that counts as validated holds, by one anti-join each."""
    keys = connection.execute(
        """
        SELECT c.conname AS name, n.nspname AS schema, t.relname AS table, fn.nspname AS other_schema,
               f.relname AS other,
               ARRAY(SELECT a.attname::text FROM unnest(c.conkey) WITH ORDINALITY AS k (num, pos)
                     JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.num
                     ORDER BY k.pos) AS columns,
               ARRAY(SELECT a.attname::text FROM unnest(c.confkey) WITH ORDINALITY AS k (num, pos)
                     JOIN pg_attribute a ON a.attrelid = c.confrelid AND a.attnum = k.num
                     ORDER BY k.pos) AS others,
               ARRAY(SELECT o.oprname::text FROM unnest(c.conpfeqop) WITH ORDINALITY AS k (num, pos)
                     JOIN pg_operator o ON o.oid = k.num ORDER BY k.pos) AS operators,
               ARRAY(SELECT m.nspname::text FROM unnest(c.conpfeqop) WITH ORDINALITY AS k (num, pos)
                     JOIN pg_operator o ON o.oid = k.num JOIN pg_namespace m ON m.oid = o.oprnamespace
                     ORDER BY k.pos) AS operator_schemas
        FROM pg_constraint c
        JOIN pg_class t ON t.oid = c.conrelid JOIN pg_namespace n ON n.oid = t.relnamespace
        JOIN pg_class f ON f.oid = c.confrelid JOIN pg_namespace fn ON fn.oid = f.relnamespace
        WHERE c.contype = 'f' AND c.convalidated AND c.conparentid = 0
        """
    ).fetchall()
    bad = []
    for key in keys:
        pairs = list(zip(key["columns"], key["others"], strict=True))
        # The key's own operators: what "=" means depends on the search path.
        operators = [
            _operator(schema, operator)
            for schema, operator in zip(key["operator_schemas"], key["operators"], strict=True)
        ]
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
                sql.SQL("o.{} {} t.{}").format(sql.Identifier(other), equal, sql.Identifier(mine))
                for (mine, other), equal in zip(pairs, operators, strict=True)
            ),
        )
        if one_row(connection, query)["found"]:
            bad.append(f"{key['name']} of {key['schema']}.{key['table']}")
    said = f"rows without their parent: {named(bad)}" if bad else f"{len(keys)} foreign keys hold"
    return verdict("orphans", not bad, said, foreign_keys=len(keys), broken=len(bad))


def _operator(schema: str, name: str) -> sql.Composable:
    if not _OPERATOR.fullmatch(name):
        raise AssertionError(f"operator {name!r} has characters that PostgreSQL does not allow")
    return sql.SQL("OPERATOR({}." + name + ")").format(sql.Identifier(schema))


def merged(name: str, results: Mapping[str, Verification]) -> Verification:
    """Merge the results of one check in several databases: the worst counts, and says where it was.

    Whole numbers are added up.
    """
    order = {"fail": 0, "unknown": 1, "pass": 2}
    worst = min(results.values(), key=lambda result: order[result.result])
    said = "; ".join(
        f"{database}: {result.summary}"
        for database, result in results.items()
        if result.result == worst.result
    )
    numbers: dict[str, int | float | str] = {}
    for result in results.values():
        for key, value in result.numbers.items():
            if isinstance(value, int):
                numbers[key] = int(numbers.get(key, 0)) + value
    return Verification(name, worst.result, said, numbers)
