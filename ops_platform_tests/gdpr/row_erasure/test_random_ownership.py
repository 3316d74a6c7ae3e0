"""Random schemas of composite keys, typed ids and side tables: exactly one person's rows go.

Whose a row is stands in its column ``truth``, which the map calls plain and the engine never looks at: it was
written first, and the columns that say the same by keys were made from it.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from ops_platform.clients.postgres.connection import Connection
from ops_platform.gdpr import map_check
from ops_platform.gdpr.after_restore import replay
from ops_platform.gdpr.row_erasure import engine as row_erasure
from ops_platform.gdpr.schema import reader as catalogue
from ops_platform.gdpr.subject import subject_key
from ops_platform.gdpr.tombstones.entry import Tombstone
from ops_platform_tests.gdpr.erasing import CUTOFF, Product, erasing, left, map_of

pytestmark = pytest.mark.services

PEOPLE = 4
NOBODY = 0


@dataclass
class World:
    """A schema that ``chance`` makes: ``statements`` in SQL, and the map's ``tables``."""

    chance: random.Random
    statements: list[str] = field(default_factory=list)
    tables: dict[str, Any] = field(default_factory=dict)
    known_by: list[dict[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.composite = self.coin()
        # Ids that several tenants give out, or one sequence.
        self.people = {
            number: ((number + 1) // 2, number % 2 + 1 if self.composite else number)
            for number in range(1, PEOPLE + 1)
        }
        key = ["tenant", "id"] if self.composite else ["id"]
        self.make("people", "tenant int NOT NULL, id int NOT NULL, mail text", key)
        for number, (tenant, id_) in self.people.items():
            self.insert("people", tenant, id_, f"person{number}@example.org", truth=number)
        self.role("people", key, plain=() if self.composite else ("tenant",), personal=("mail",))
        self.side_table()
        for number in range(self.chance.randint(1, 2)):
            self.direct(f"direct{number}")
        self.versions()

    def coin(self) -> bool:
        return self.chance.random() < 0.5

    def make(self, table: str, columns: str, key: list[str]) -> None:
        self.statements.append(f"CREATE TABLE {table} ({columns}, truth int, PRIMARY KEY ({', '.join(key)}))")

    def insert(self, table: str, *values: object, truth: int) -> None:
        texts = ["NULL" if value is None else f"'{value}'" for value in (*values, truth)]
        self.statements.append(f"INSERT INTO {table} VALUES ({', '.join(texts)})")

    def role(
        self,
        table: str,
        columns: list[str],
        *,
        plain: tuple[str, ...] = (),
        personal: tuple[str, ...] = (),
        **row: Any,
    ) -> None:
        self.tables[table] = {
            "plain": [*plain, "truth"],
            "personal": list(personal),
            "rows": [{"role": "owner", "column": columns, "erase": "delete", **row}],
        }
        for column in columns:
            self.statements.append(f"CREATE INDEX ON {table} ({column})")

    def owners(self, rows: int) -> Iterator[tuple[int, int | None, int | None]]:
        """Somebody or nobody for each row, with their tenant and id."""
        for _ in range(rows):
            truth = self.chance.randint(NOBODY, PEOPLE)
            yield (truth, *self.people.get(truth, (None, None)))

    def link(self) -> list[str]:
        """The columns that hold a person's key, in any order."""
        return self.chance.sample(["tenant", "person"], 2) if self.composite else ["person"]

    def holds(self, columns: list[str]) -> dict[str, Any]:
        return {"holds": [{"tenant": "tenant", "person": "id"}[column] for column in columns]}

    def side_table(self) -> None:
        """Handles of everybody, and rows that only they lead to."""
        self.make("handles", "tenant int, person int, handle text", ["handle"])
        self.make("words", "n int, handle text", ["n"])
        self.known_by = [{"table": "handles", "column": "handle"}]
        columns = self.link()
        self.role(
            "handles",
            columns,
            plain=() if self.composite else ("tenant",),
            personal=("handle",),
            **self.holds(columns),
        )
        n = 0
        for truth, (tenant, id_) in self.people.items():
            for name in range(self.chance.randint(0, 3)):
                handle = f"handle-{truth}-{name}"
                self.insert("handles", tenant, id_, handle, truth=truth)
                for _ in range(self.chance.randint(0, 2)):
                    self.insert("words", n, handle, truth=truth)
                    n += 1
        self.insert("words", n, None, truth=NOBODY)
        self.role("words", ["handle"], plain=("n",), holds="handles.handle")

    def direct(self, table: str) -> None:
        """Rows by key: perhaps by an id whose type another column says, or only while not deleted."""
        typed, hidden = self.coin(), self.coin()
        self.make(table, "n int, tenant int, person int, person_type text, hidden boolean", ["n"])
        columns, where = self.link(), dict[str, Any]()
        if typed:
            where["person_type"] = self.chance.choice(["User", ["User", "Admin"], ["User", None]])
        if hidden:
            where["hidden"] = self.chance.choice([None, False])
        types = where.get("person_type", "User")
        types = types if isinstance(types, list) else [types]
        for n, (truth, tenant, id_) in enumerate(self.owners(30)):
            kind, is_hidden = self.chance.choice(types), where.get("hidden", True)
            if truth and typed and self.coin():
                kind, truth = "Post", NOBODY
            if truth and hidden and self.coin():
                is_hidden, truth = True, NOBODY
            self.insert(table, n, tenant, id_, kind, is_hidden, truth=truth)
        if not typed:
            # A foreign key says that the id is always a person's.
            target = "(tenant, person) REFERENCES people" if self.composite else "(person) REFERENCES people"
            if not hidden:
                self.statements.append(f"ALTER TABLE {table} ADD FOREIGN KEY {target}")
        rest = {"n", "tenant", "person_type", "hidden"} - {*columns, *where}
        row = self.holds(columns) | ({"where": where} if where else {})
        self.role(table, columns, plain=tuple(sorted(rest)), **row)
        self.statements.append(f"CREATE INDEX ON {table} (tenant, person)")

    def versions(self) -> None:
        """Rows of a parent whose versions are of several people, and rows of those."""
        foreign = self.coin()
        self.make("docs", "no int, version int, tenant int, person int", ["no", "version"])
        self.make("parts", "doc int, version int, part int", ["doc", "version", "part"])
        self.make("marks", "doc int, version int, part int, n int", ["n"])
        columns, n = self.link(), 0
        for place, (truth, tenant, id_) in enumerate(self.owners(12)):
            no, version = place // 3, place % 3
            self.insert("docs", no, version, tenant, id_, truth=truth)
            for part in range(self.chance.randint(0, 2)):
                self.insert("parts", no, version, part, truth=truth)
                for _ in range(self.chance.randint(0, 2)):
                    self.insert("marks", no, version, part, n, truth=truth)
                    n += 1
        rest = ("no", "version") if self.composite else ("no", "tenant", "version")
        self.role("docs", columns, plain=rest, **self.holds(columns))
        self.role("parts", ["version", "doc"], plain=("part",), through="docs", to=["version", "no"])
        whole = ["doc", "version", "part"]
        self.role("marks", whole, plain=("n",), through="parts", to=whole)
        self.statements.append("CREATE INDEX ON marks (doc, version, part)")
        if foreign:
            self.statements.append("ALTER TABLE parts ADD FOREIGN KEY (doc, version) REFERENCES docs")
            self.statements.append("ALTER TABLE marks ADD FOREIGN KEY (doc, version, part) REFERENCES parts")

    def map(self) -> str:
        key = ["tenant", "id"] if self.composite else "id"
        subject = {"kind": "person", "table": "people", "key": key, "email": "mail"}
        document = {"subject": {**subject, "known_by": self.known_by}, "tables": self.tables}
        return yaml.safe_dump(document, sort_keys=False)

    def key(self, number: int) -> str:
        tenant, id_ = self.people[number]
        return f"[{tenant}, {id_}]" if self.composite else str(id_)


def truths(connection: Connection, tables: list[str]) -> dict[str, dict[int, str]]:
    """Number and content of everybody's rows, by table and person."""
    found = {}
    for table in tables:
        query = psycopg.sql.SQL(
            "SELECT truth, count(*) || ':' || sum(hashtextextended(t::text, 0)::numeric) AS rows "
            "FROM {} AS t GROUP BY truth"
        ).format(psycopg.sql.Identifier(table))
        found[table] = {row["truth"]: row["rows"] for row in connection.execute(query)}
    return found


def check(product: Product, directory: Path, seed: int) -> None:
    world = World(random.Random(seed))
    with product.owner() as owner:
        owner.execute(psycopg.sql.SQL(";\n".join(world.statements)))
        tables, victim = list(world.tables), world.chance.randint(1, PEOPLE)
        before = truths(owner, tables)
        data_map = map_of(directory, world.map())
        with product.eraser() as eraser:
            assert map_check.check(eraser, data_map) == [], seed
            what, known = erasing(eraser, data_map, world.key(victim), name=str(seed)), catalogue.read(eraser)
            if seed % 2:
                row_erasure.erase(eraser, data_map, known, what)
            else:
                key = subject_key.parse(eraser, data_map, known, "product", world.key(victim))
                replay.replay(eraser, data_map, [Tombstone(key, CUTOFF, str(seed), "m", bytes(32), CUTOFF)])
            assert left(eraser, data_map, what) == ([], []), seed
        after = truths(owner, tables)
        owner.execute(psycopg.sql.SQL(f"DROP TABLE {', '.join(tables)} CASCADE"))
    expected = {
        table: {truth: rows for truth, rows in found.items() if truth != victim}
        for table, found in before.items()
    }
    assert after == expected, seed


def test_exactly_what_is_theirs_goes(bare_product: Product, tmp_path: Path) -> None:
    for seed in range(2):
        check(bare_product, tmp_path, seed)


@pytest.mark.full
def test_exactly_what_is_theirs_goes_in_many_schemas(bare_product: Product, tmp_path: Path) -> None:
    for seed in range(2, 40):
        check(bare_product, tmp_path, seed)
