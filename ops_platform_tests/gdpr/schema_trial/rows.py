"""Rows for any schema, of several people, whose ids collide across types; and whose rows they are.

What refers to what is told by foreign keys, by names of tables, and by the caller for what names do not tell:
never by what is under test.
"""

from __future__ import annotations

import json
import re
import zlib
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import NAMESPACE_DNS, uuid5

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

COLUMNS = """
SELECT c.relname AS table, a.attname AS column, format_type(t.oid, NULL) AS type, t.typcategory AS category,
       a.attgenerated <> '' AS generated, a.attnotnull AS required, a.attidentity = 'a' AS always,
       a.atttypmod AS modifier, t.typtype AS kind, t.oid AS type_oid,
       (SELECT e.enumlabel FROM pg_enum AS e WHERE e.enumtypid = t.oid
        ORDER BY e.enumsortorder LIMIT 1) AS label
FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid JOIN pg_namespace AS n ON n.oid = relnamespace
JOIN pg_type AS t ON t.oid = a.atttypid
WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND a.attnum > 0
  AND NOT a.attisdropped ORDER BY 1, a.attnum
"""
REFERENCES = """
SELECT c.relname AS table, a.attname AS column, t.relname AS target, ta.attname AS target_column
FROM pg_constraint AS f JOIN pg_class AS c ON c.oid = f.conrelid JOIN pg_class AS t ON t.oid = f.confrelid
JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = f.conkey[1]
JOIN pg_attribute AS ta ON ta.attrelid = t.oid AND ta.attnum = f.confkey[1]
WHERE f.contype = 'f' AND cardinality(f.conkey) = 1
"""
KEYS = """
SELECT c.relname AS table, array_agg(a.attname::text) AS columns
FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = ANY (i.indkey)
WHERE i.indisprimary AND n.nspname = 'public' GROUP BY 1
"""
Value = Any
RowId = tuple[str, int]
"""The table and the number of a generated row."""


@dataclass
class Truth:
    """What the generator knows: of each row its place, and the rows that it refers to.

    ``links``: columns, with the table whose keys they hold.
    """

    links: dict[tuple[str, str], str] = field(default_factory=dict)
    refers: dict[RowId, set[RowId]] = field(default_factory=lambda: defaultdict(set))
    keys: dict[RowId, str] = field(default_factory=dict)
    """The physical place of each row: its text before the erasure."""

    def touching(self, start: RowId) -> set[RowId]:
        """Collect the rows that refer to ``start``, directly or by way of others."""
        referring: dict[RowId, set[RowId]] = defaultdict(set)
        for row, targets in self.refers.items():
            for target in targets:
                referring[target].add(row)
        reached, level = {start}, [start]
        while level:
            level = [row for target in level for row in referring[target] if row not in reached]
            reached.update(level)
        return reached


@dataclass
class Generator:
    """Fills every table with ``count`` rows. ``links``: targets by column, or by table and column."""

    connection: psycopg.Connection[Any]
    subject: str
    links: Mapping[str, str | None]
    other: str
    """A table that pairs of a type and an id refer to, as to the subject's."""
    count: int = 8
    truth: Truth = field(default_factory=Truth)
    skipped: dict[str, str] = field(default_factory=dict)

    def fill(self) -> Truth:
        with self.connection.cursor(row_factory=dict_row) as cursor:
            columns: dict[str, list[dict[str, Any]]] = defaultdict(list)
            for row in cursor.execute(COLUMNS).fetchall():
                columns[row["table"]].append(row)
            declared = {
                (row["table"], row["column"]): row["target"] for row in cursor.execute(REFERENCES).fetchall()
            }
            keys = {row["table"]: row["columns"] for row in cursor.execute(KEYS).fetchall()}
        # Foreign keys and triggers hold no row up: what the rows say is consistent all the same.
        self.connection.execute("SET session_replication_role = replica")
        types = {(row["table"], row["column"]): row["type"] for rows in columns.values() for row in rows}
        for table, described in columns.items():
            for column in described:
                target = declared.get((table, column["column"])) or self._target(
                    table, column, columns, keys, types
                )
                if target is not None:
                    self.truth.links[table, column["column"]] = target
        for table, described in columns.items():
            for number in range(1, self.count + 1):
                self._row(table, described, keys.get(table, []), number, types)
        self.connection.execute("SET session_replication_role = origin")
        return self.truth

    def _target(
        self,
        table: str,
        column: Mapping[str, Any],
        columns: Mapping[str, Any],
        keys: Mapping[str, list[str]],
        types: Mapping[tuple[str, str], str],
    ) -> str | None:
        name = column["column"]
        for place in (f"{table}.{name}", name):
            if place in self.links:
                return self.links[place]
        match = re.fullmatch(r"(.+)_ids?", name)
        if match is None or name in keys.get(table, []) == [name]:
            return None
        stem = match[1]
        for plural in (f"{stem}s", f"{stem}es", re.sub("y$", "ies", stem), stem):
            if plural in columns and len(keys.get(plural, [])) == 1:
                kind = types[plural, keys[plural][0]]
                return plural if column["type"].removesuffix("[]") in (kind, "bigint", "integer") else None
        return None

    def _row(
        self,
        table: str,
        described: list[dict[str, Any]],
        key: list[str],
        number: int,
        types: Mapping[tuple[str, str], str],
    ) -> None:
        given: dict[str, Value] = {}
        targets: dict[str, set[RowId]] = {}
        names = {column["column"] for column in described}
        for column in described:
            name = column["column"]
            if column["generated"]:
                continue
            target = self.truth.links.get((table, name))
            if target is None and name.endswith("_id") and f"{name[:-3]}_type" in names:
                # Of a person, and of something else with the same id.
                target = self.subject if number % 2 else self.other
            if name.endswith("_type") and f"{name[:-5]}_id" in names and column["category"] == "S":
                given[name] = class_name(self.subject if number % 2 else self.other)
                continue
            if target is not None and [name] != key:
                chosen = [self._choice(table, name, number)]
                if column["category"] == "A":
                    chosen.append(chosen[0] % self.count + 1)
                    given[name] = [
                        key_value(column["type"].removesuffix("[]"), one, target) for one in chosen
                    ]
                else:
                    given[name] = key_value(column["type"], chosen[0], target)
                targets[name] = {(target, one) for one in chosen}
            else:
                given[name] = self._value(table, column, number, [name] == key)
                if target is not None:
                    targets[name] = {(target, number)}
        # A row of a person's has their address, where it has one.
        person = next(
            (one for row in targets.values() for target, one in row if target == self.subject), None
        )
        if person is not None and table != self.subject:
            for column in described:
                if re.search("mail$", column["column"]) and column["type"] in ("text", "character varying"):
                    given[column["column"]] = f"person{person}@example.org"
        required = {column["column"] for column in described if column["required"]}
        linking = [name for name in given if (table, name) in self.truth.links and name not in required]
        # Where a constraint allows one of several references only, try each alone.
        for kept in (linking, *([name] for name in linking), []):
            tried = {name: value for name, value in given.items() if name not in linking or name in kept}
            if self._insert(table, tried, number):
                mine = {target for name in tried for target in targets.get(name, ())}
                self.truth.refers[table, number] |= mine - {(table, number)}
                return

    def _choice(self, table: str, column: str, number: int) -> int:
        """Choose one row of the target; two columns of a row mostly differ, and people share rows."""
        return (number + zlib.crc32(f"{table}.{column}".encode())) % self.count + 1

    def _insert(self, table: str, given: dict[str, Value], number: int) -> bool:
        query = sql.SQL("INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE VALUES ({})").format(
            sql.Identifier(table),
            sql.SQL(", ").join(map(sql.Identifier, given)),
            sql.SQL(", ").join(sql.SQL("%s") for _ in given),
        )
        try:
            self.connection.execute(query, list(given.values()))
        except psycopg.Error as error:
            self.skipped.setdefault(table, f"row {number}: {error.sqlstate} {str(error).splitlines()[0]}")
            return False
        return True

    def _value(self, table: str, column: Mapping[str, Any], number: int, is_key: bool) -> Value:
        type_ = column["type"]
        if is_key or type_ == "uuid":
            return (
                key_value(type_, number, table if is_key else f"{table}.{column['column']}")
                if type_ in KEY_TYPES
                else f"{table}-{number}"
            )
        if column["category"] == "A":
            return []
        if column["kind"] == "e":
            return column["label"]
        if type_ in ("text", "character varying", "citext", "character"):
            return self._text(table, column, number)
        if type_ in ("json", "jsonb"):
            return json.dumps({"note": f"of {table} {number}"})
        if type_ in ("integer", "bigint", "smallint", "numeric", "real", "double precision"):
            return number
        if type_.startswith("timestamp") or type_ == "date":
            return f"2026-01-{number:02d}"
        return {
            "boolean": number % 2 == 0,
            "inet": f"192.0.2.{number}",
            "cidr": f"192.0.2.{number}/32",
            "bytea": f"{table}-{number}".encode(),
            "tsvector": f"'{table}':1",
            "hstore": f'"t"=>"{table}"',
            "time without time zone": "12:00",
            "interval": "1 hour",
            "xml": "<a/>",
            "macaddr": "08:00:2b:01:02:03",
            "daterange": "[2026-01-01,2026-02-01)",
            "tstzrange": "[2026-01-01,2026-02-01)",
            "int4range": "[1,5)",
        }.get(type_)

    def _text(self, table: str, column: Mapping[str, Any], number: int) -> str:
        name = column["column"]
        text = f"{name} {table} {number}"
        if table == self.subject:
            if re.search("mail", name):
                text = f"person{number}@example.org"
            elif re.search("user_?name|handle|slug", name):
                text = f"person_{number}x"
            elif re.search("name", name):
                text = f"Anna Number{number}"
        elif re.search("mail", name):
            text = f"other.{table}.{number}@example.net"
        return text[: column["modifier"] - 4] if column["modifier"] > 4 else text


def class_name(table: str) -> str:
    """Name the class of a table, as Rails does."""
    singular = re.sub("ies$", "y", table) if table.endswith("ies") else table.removesuffix("s")
    return "".join(word.capitalize() for word in singular.split("_"))


KEY_TYPES = ("integer", "bigint", "smallint", "uuid", "numeric")


def key_value(type_: str, number: int, table: str) -> Value:
    """Make the key of a row: numbers are the same in every table, UUIDs are not."""
    if type_ == "uuid":
        return uuid5(NAMESPACE_DNS, f"{table}.{number}")
    return str(number) if "char" in type_ else number
