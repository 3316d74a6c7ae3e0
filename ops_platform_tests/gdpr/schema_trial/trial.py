"""The trial: load, fill, draft, edit as a reader would, check, preview, erase."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import yaml
from psycopg import sql

from ops_platform.clients.postgres import connection as postgres
from ops_platform.gdpr import map_check, schema
from ops_platform.gdpr.data_map import DataMap, parser
from ops_platform.gdpr.erasure.context import DataStores
from ops_platform.gdpr.map_check import draft
from ops_platform.gdpr.schema import Name
from ops_platform_tests.gdpr.erasing import Product, outlook_of
from ops_platform_tests.gdpr.schema_trial import proof
from ops_platform_tests.gdpr.schema_trial.proof import Judgement
from ops_platform_tests.gdpr.schema_trial.rows import Generator, Truth, key_value
from ops_platform_tests.gdpr.single_erasures import erase_without_tombstone

PERSON = 3
EXTENSIONS = ("citext", "hstore", "pgcrypto", "pg_trgm", "btree_gin", "btree_gist", "unaccent", "ltree")
Edit = Callable[[dict[str, Any]], None]
Leaves = dict[tuple[str, ...], str]


def confirm(document: dict[str, Any]) -> None:
    """Edit a draft as a reader does who finds every guess right, and nothing else."""
    for table in document["tables"].values():
        table["purpose"] = table["retention"] = "Trial."
        linking = {
            column
            for row in table.get("rows", ())
            for column in ([row["column"]] if isinstance(row.get("column"), str) else row.get("column", ()))
        }
        decided = linking | set(table.get("refers", ()))
        reasons = {name: "Nobody's." for name in table.pop("undecided", {}) if name not in decided}
        if reasons:
            table["reasons"] = {**table.get("reasons", {}), **reasons}
        for row in table.get("rows", ()):
            row.pop("undecided", None)
    for known in document["subject"].get("known_by", ()):
        known.pop("undecided", None)


@dataclass(frozen=True)
class Trial:
    """One schema. ``other``: a table whose ids pairs of type and id hold, too. ``statements``: for its rows.

    ``links``: what columns refer to where their names do not tell the generator.
    """

    sql: str
    subject: str
    other: str
    email: str = "email"
    edit: Edit = confirm
    links: Mapping[str, str | None] = field(default_factory=dict)
    statements: tuple[str, ...] = ()
    say: Callable[[str], None] = lambda line: None

    def run(self, product: Product, directory: Path) -> Judgement | None:
        """Carry it out; the drafted and the edited map go to ``directory``. None: it ended before erasing."""
        truth = self._fill(product)
        data_map = self._map(product, directory)
        with product.eraser() as eraser, eraser.transaction():
            findings = map_check.check(eraser, data_map)
        self.say(f"{len(findings)} findings: {dict(Counter(finding.code for finding in findings))}")
        for finding in findings:
            self.say(f"  {finding}")
        return None if findings else self._erase(product, data_map, truth)

    def _fill(self, product: Product) -> Truth:
        with product.cluster.superuser(product.name) as superuser:
            self._load(superuser)
            generator = Generator(superuser, self.subject, self.links, self.other)
            truth = generator.fill()
            for statement in self.statements:
                superuser.execute(statement.encode())
            self.say(f"{_index(superuser, truth)} indexes made")
            superuser.execute("ANALYZE")
            superuser.execute("GRANT USAGE ON SCHEMA public TO ops_eraser")
            superuser.execute("GRANT ALL ON ALL TABLES IN SCHEMA public TO ops_eraser")
            superuser.execute("GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO ops_eraser")
        for table, reason in sorted(generator.skipped.items()):
            self.say(f"  not all rows of {table}: {reason}")
        return truth

    def _load(self, superuser: psycopg.Connection[Any]) -> None:
        for extension in EXTENSIONS:
            superuser.execute(sql.SQL("CREATE EXTENSION IF NOT EXISTS {}").format(sql.Identifier(extension)))
        failed = Counter[str]()
        for statement in _statements(self.sql):
            try:
                superuser.execute(statement.encode())
            except psycopg.Error as error:
                failed[f"{error.sqlstate} {str(error).splitlines()[0]}"] += 1
        for reason, count in failed.most_common(10):
            self.say(f"  not loaded, {count} times: {reason}")

    def _map(self, product: Product, directory: Path) -> DataMap:
        started = time.monotonic()
        with product.eraser() as eraser:
            catalogue = schema.read(eraser)
            look = draft.ValueLook(eraser)
            text = draft.draft(catalogue, Name("public", self.subject), ["id"], self.email, look)
        seconds = time.monotonic() - started
        self.say(f"{len(catalogue.relations)} relations, drafted in {seconds:.1f} s, unseen {look.unseen}")
        document = yaml.safe_load(text)
        guesses = _leaves(document)
        self.edit(document)
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "drafted.yaml").write_text(text)
        file = directory / "edited.yaml"
        file.write_text(yaml.safe_dump(document, sort_keys=False, width=110, default_flow_style=None))
        changes = _changes(guesses, _leaves(document))
        kinds = Counter(
            place[1] if place[0] not in ("subject", "accepted") else place[0] for place in changes
        )
        self.say(f"{len(changes)} edits: {dict(kinds)}")
        return parser.load(file)

    def _erase(self, product: Product, data_map: DataMap, truth: Truth) -> Judgement | None:
        with product.eraser() as eraser:
            catalogue = schema.read(eraser)
            kind = catalogue.relations[data_map.subject.table].columns["id"].type
            key = str(key_value(kind, PERSON, self.subject))
            started = time.monotonic()
            foreseen = outlook_of(eraser, data_map, key)
            rows = sum(share.rows for share in foreseen.shares)
            self.say(f"preview in {time.monotonic() - started:.1f} s: {rows} rows")
        for place in foreseen.uncovered:
            self.say(f"  {place.table}.{place.column}: {place.rows} rows: {place.rule}")
        if foreseen.uncovered:
            return None
        proof.note_places(product, truth)
        before = proof.snapshot(product)
        started = time.monotonic()
        url = product.cluster.url("ops_eraser", product.name)
        stores = DataStores(data_map, lambda: postgres.connect(url, autocommit=True), {}, None)
        erase_without_tombstone(stores, key, lambda line: self.say(f"  {line}"))
        self.say(f"erased in {time.monotonic() - started:.1f} s")
        return proof.judge(product, truth, before, (self.subject, PERSON), key)


def _statements(text: str) -> list[str]:
    """Split a dump at the semicolons that end lines outside of function bodies."""
    statements, current, quote = list[str](), list[str](), ""
    for line in text.splitlines():
        if line.startswith(("--", "\\", "SET ", "SELECT pg_catalog", "DROP ")) and not current:
            continue
        for mark in ("$$", "$_$", "$function$"):
            if (not quote or quote == mark) and line.count(mark) % 2:
                quote = "" if quote else mark
        current.append(line)
        if line.rstrip().endswith(";") and not quote:
            statements.append("\n".join(current))
            current = []
    return statements


def _index(superuser: psycopg.Connection[Any], truth: Truth) -> int:
    """Make the indexes by which rows are found where the schema has none; count them."""
    made = 0
    for table, column in sorted(truth.links):
        row = superuser.execute(
            "SELECT t.typcategory = 'A' FROM pg_attribute AS a "
            "JOIN pg_type AS t ON t.oid = a.atttypid "
            "WHERE a.attrelid = to_regclass(quote_ident(%(table)s)) AND a.attname = %(column)s AND NOT "
            "EXISTS (SELECT FROM pg_index AS i WHERE i.indrelid = a.attrelid AND i.indkey[0] = a.attnum "
            "AND i.indpred IS NULL)",
            {"table": table, "column": column},
        ).fetchone()
        if row is not None:
            made += 1
            superuser.execute(
                sql.SQL("CREATE INDEX ON {} {} ({})").format(
                    sql.Identifier(table), sql.SQL("USING gin" if row[0] else ""), sql.Identifier(column)
                )
            )
    return made


def _leaves(document: dict[str, Any]) -> Leaves:
    """List what a reader would edit as one: a text, a column's class, a role, an entry of a mapping."""
    leaves: Leaves = {("subject", name): str(value) for name, value in document["subject"].items()}
    for entry in document.get("accepted", ()):
        leaves["accepted", entry["place"]] = entry["because"]
    for table, entry in document["tables"].items():
        for name, value in entry.items():
            if name in ("personal", "plain"):
                leaves.update({(table, "class", column): name for column in value})
            elif name == "rows":
                leaves.update({(table, "role", row["role"]): json.dumps(row) for row in value})
            elif isinstance(value, dict):
                leaves.update({(table, name, column): str(text) for column, text in value.items()})
            else:
                leaves[table, name] = str(value)
    return leaves


def _changes(old: Leaves, new: Leaves) -> list[tuple[str, ...]]:
    return [place for place in {**old, **new} if old.get(place) != new.get(place)]
