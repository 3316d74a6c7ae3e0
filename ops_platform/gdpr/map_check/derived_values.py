"""Notes on what is computed from erased values and kept: totals, counts, copies, by the catalogue.

Notes, not findings: whether a total gives a person away is for people to judge. What no generated column,
view, trigger or foreign key shows is not seen.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from psycopg import sql

from ops_platform.clients.postgres import Connection
from ops_platform.gdpr.data_map import ByParent, DataMap, Delete, Keep, Table
from ops_platform.gdpr.map_check.finding import Finding
from ops_platform.gdpr.schema import Catalogue, Name, Reference

_NUMBERS = ("smallint", "integer", "bigint", "numeric", "real", "double precision", "money")
_SUMS = re.compile(
    r"(^|_)(counts?|totals?|sums?|num|number|amount|balance|avg|average|rating|score)($|_)", re.I
)
_COPIES = re.compile(r"(^|_)(last|latest|first|newest)_", re.IGNORECASE)
_WRITES = re.compile(
    r"\b(?:insert\s+into|update(?:\s+only)?|merge\s+into)\s+((?:\"[^\"]+\"|\w+)(?:\.(?:\"[^\"]+\"|\w+))?)",
    re.IGNORECASE,
)
_DELETES, _UPDATES = 8, 16
"""Bits of ``pg_trigger.tgtype``."""

# Up to version 14 the column itself depends on others, later its expression does.
_GENERATED = sql.SQL("""
SELECT n.nspname AS schema, c.relname AS relation, g.attname AS column, s.attname AS source
FROM pg_attribute AS g
JOIN pg_class AS c ON c.oid = g.attrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
LEFT JOIN pg_attrdef AS e ON e.adrelid = g.attrelid AND e.adnum = g.attnum
JOIN pg_depend AS d ON (d.classid, d.objid, d.objsubid) = ('pg_class'::regclass, c.oid, g.attnum)
    OR (d.classid, d.objid) = ('pg_attrdef'::regclass, e.oid)
JOIN pg_attribute AS s ON d.refclassid = 'pg_class'::regclass AND s.attrelid = d.refobjid
    AND s.attnum = d.refobjsubid
WHERE g.attgenerated <> '' AND s.attrelid = g.attrelid AND s.attnum <> g.attnum AND s.attnum > 0
GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
""")
_VIEWS = sql.SQL("""
SELECT n.nspname AS schema, v.relname AS relation, tn.nspname AS table_schema, t.relname AS table,
       array_agg(DISTINCT a.attname::text ORDER BY a.attname::text) AS columns
FROM pg_rewrite AS r
JOIN pg_class AS v ON v.oid = r.ev_class JOIN pg_namespace AS n ON n.oid = v.relnamespace
JOIN pg_depend AS d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
    AND d.refclassid = 'pg_class'::regclass AND d.refobjid <> v.oid AND d.refobjsubid > 0
JOIN pg_class AS t ON t.oid = d.refobjid JOIN pg_namespace AS tn ON tn.oid = t.relnamespace
JOIN pg_attribute AS a ON a.attrelid = t.oid AND a.attnum = d.refobjsubid
WHERE v.relkind IN ('v', 'm')
GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
""")
_TRIGGERS = sql.SQL("""
SELECT n.nspname AS schema, c.relname AS relation, t.tgname AS name, t.tgtype::int AS events,
       p.prosrc AS source, pn.nspname AS function_schema
FROM pg_trigger AS t
JOIN pg_class AS c ON c.oid = t.tgrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_proc AS p ON p.oid = t.tgfoid JOIN pg_namespace AS pn ON pn.oid = p.pronamespace
JOIN pg_language AS l ON l.oid = p.prolang AND l.lanname IN ('plpgsql', 'sql')
WHERE NOT t.tgisinternal AND t.tgparentid = 0 AND t.tgenabled <> 'D' AND n.nspname <> 'ops_platform'
ORDER BY 1, 2, 3
""")


@dataclass(frozen=True)
class Writing:
    """A trigger of ``table`` whose function writes to ``target``; ``columns`` of it are named there."""

    table: Name
    name: str
    events: int
    target: Name
    columns: frozenset[str]


@dataclass(frozen=True)
class Dependencies:
    """What the catalogue says of computed values. ``generated``: sources, by table and column."""

    generated: Mapping[tuple[Name, str], frozenset[str]]
    views: Mapping[tuple[Name, Name], frozenset[str]]
    """Columns that a view reads, by the view and the table."""
    writings: tuple[Writing, ...]


def notes(connection: Connection, data_map: DataMap, catalogue: Catalogue) -> list[Finding]:
    """List kept columns that may give erased values away. Raises what psycopg raises."""
    return judge(data_map, catalogue, read(connection, catalogue))


def read(connection: Connection, catalogue: Catalogue) -> Dependencies:
    """Read the dependencies of the map's database. Raises what psycopg raises."""
    generated: dict[tuple[Name, str], set[str]] = {}
    for row in connection.execute(_GENERATED):
        place = Name(row["schema"], row["relation"]), row["column"]
        generated.setdefault(place, set()).add(row["source"])
    views = {
        (Name(row["schema"], row["relation"]), Name(row["table_schema"], row["table"])): frozenset(
            row["columns"]
        )
        for row in connection.execute(_VIEWS)
    }
    writings = [
        Writing(Name(row["schema"], row["relation"]), row["name"], row["events"], target, columns)
        for row in connection.execute(_TRIGGERS)
        for target, columns in _written(row["source"], row["function_schema"], catalogue)
    ]
    return Dependencies(
        {place: frozenset(sources) for place, sources in generated.items()}, views, tuple(writings)
    )


def judge(data_map: DataMap, catalogue: Catalogue, dependencies: Dependencies) -> list[Finding]:
    """List the notes on what ``dependencies`` says. Pure."""
    return sorted(
        {
            *_generated(data_map, dependencies),
            *_views(data_map, catalogue, dependencies),
            *_triggers(data_map, dependencies),
            *_references(data_map, catalogue, dependencies),
        }
    )


def _generated(data_map: DataMap, dependencies: Dependencies) -> Iterator[Finding]:
    for (name, column), sources in dependencies.generated.items():
        table = data_map.tables.get(name)
        if table is None or column not in table.plain:
            continue
        personal = sorted(sources & (table.personal | table.linking))
        if personal:
            yield Finding(
                f"{name}.{column}",
                "derived",
                f"is plain, and computed from {', '.join(personal)}, which name or describe people: is it "
                "personal, too?",
            )


def _views(data_map: DataMap, catalogue: Catalogue, dependencies: Dependencies) -> Iterator[Finding]:
    for (name, table_name), columns in dependencies.views.items():
        view, table, relation = (
            data_map.views.get(name),
            data_map.tables.get(table_name),
            catalogue.relations.get(name),
        )
        if view is None or table is None or relation is None or view.personal:
            continue
        personal = sorted(columns & (table.personal | table.linking))
        if personal:
            yield Finding(
                str(name),
                "derived",
                f"has no personal column by the map, and reads {', '.join(personal)} of {table_name}: can "
                "what is erased there be told from it?",
            )
        if relation.kind == "matview" and _erased(table) and not (view.refresh or relation.refreshable):
            yield Finding(
                str(name),
                "derived",
                f"keeps what it computed from rows of {table_name} that an erasure takes until it is "
                "refreshed, which this role may not do: name a function that does in refresh",
            )


def _triggers(data_map: DataMap, dependencies: Dependencies) -> Iterator[Finding]:
    for writing in dependencies.writings:
        table, target = data_map.tables.get(writing.table), data_map.tables.get(writing.target)
        if table is None or target is None or writing.table == writing.target or not _erased(table):
            continue
        for column in sorted(writing.columns & target.plain):
            if not _kept_up(table, writing.target, column, dependencies.writings):
                yield Finding(
                    f"{writing.target}.{column}",
                    "derived",
                    f"is written by the trigger {writing.name} of {writing.table}, which does nothing when "
                    "an erasure takes rows there: what is erased may be told from it",
                )


def _references(data_map: DataMap, catalogue: Catalogue, dependencies: Dependencies) -> Iterator[Finding]:
    for reference in catalogue.references:
        child, parent = data_map.tables.get(reference.table), data_map.tables.get(reference.target)
        relation = catalogue.relations.get(reference.target)
        if child is None or parent is None or relation is None or child.name == parent.name:
            continue
        if not _erased(child) or _goes_with(child, parent):
            continue
        for column in sorted(parent.plain):
            known = relation.columns.get(column)
            if known is None or known.generated or not _tells_of(column, known.base, reference):
                continue
            if not _kept_up(child, parent.name, column, dependencies.writings):
                yield Finding(
                    f"{parent.name}.{column}",
                    "derived",
                    f"sounds computed from rows of {child.name}, which refer to this table and which an "
                    "erasure takes, and no trigger there keeps it up: what is erased may be told from it",
                )


def _tells_of(column: str, base: str, reference: Reference) -> bool:
    """Tell whether a parent's column sounds like a sum over, or a copy of, the rows that refer to it."""
    stem = reference.table.relation.lower().removesuffix("s")
    if base in _NUMBERS and _SUMS.search(column):
        return not re.search(r"number$", column, re.IGNORECASE) or stem in column.lower()
    return bool(_COPIES.search(column)) and stem in column.lower()


def _erased(table: Table) -> bool:
    return any(not isinstance(belonging.erasure, Keep) for belonging in table.everyones)


def _goes_with(child: Table, parent: Table) -> bool:
    """Tell whether the child's rows are erased only with their parent's row."""
    return bool(parent.everyones) and all(
        isinstance(belonging.way, ByParent) and belonging.way.table == parent.name
        for belonging in child.everyones
    ) and all(belonging.erasure == Delete() for belonging in parent.everyones)  # fmt: skip


def _kept_up(table: Table, target: Name, column: str, writings: Collection[Writing]) -> bool:
    """Tell whether triggers of ``table`` write the column at each kind of change that an erasure makes."""
    events = 0
    for writing in writings:
        if writing.table == table.name and writing.target == target and column in writing.columns:
            events |= writing.events
    needed = {
        _DELETES if isinstance(belonging.erasure, Delete) else _UPDATES
        for belonging in table.everyones
        if not isinstance(belonging.erasure, Keep)
    }
    return all(events & event for event in needed)


def _written(source: str, schema: str, catalogue: Catalogue) -> Iterator[tuple[Name, frozenset[str]]]:
    """Name the relations that a function's source writes to, with their columns that it names."""
    words = set(re.findall(r"\w+", source.lower()))
    targets = set()
    for match in _WRITES.finditer(source):
        parts = [part.strip('"') if '"' in part else part.lower() for part in match.group(1).split(".")]
        names = [Name(*parts)] if len(parts) == 2 else [Name(schema, parts[0]), Name("public", parts[0])]
        targets |= {name for name in names if name in catalogue.relations}
    for target in sorted(targets):
        relation = catalogue.relations[target]
        # What a row is found by is not what is written.
        named = {column for column in relation.columns if column.lower() in words}
        yield target, frozenset(named - set(relation.key))
