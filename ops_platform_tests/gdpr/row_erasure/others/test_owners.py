"""Owners by foreign keys: what the SQL says of random rows is what a walk along their references says."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import psycopg
import pytest

from ops_platform.gdpr.data_map.model import Subject
from ops_platform.gdpr.row_erasure.others.owners import DEPTH, Ownership
from ops_platform.gdpr.schema import reader as catalogue
from ops_platform.gdpr.schema.relation_name import Name
from ops_platform.gdpr.subject.identity import Identity
from ops_platform_tests.gdpr.erasing import Product

pytestmark = pytest.mark.services

PEOPLE = 4
Row = tuple[str, int]


@dataclass
class World:
    """Tables that refer to people and to each other; some rows refer to nothing, some tables to themselves.

    ``references``: for each table its columns and what they refer to; ``rows``: what each row refers to.
    """

    chance: random.Random
    references: dict[str, list[str]] = field(default_factory=dict)
    rows: dict[Row, list[Row | None]] = field(default_factory=dict)
    statements: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.composite = self.chance.random() < 0.5
        self.statements.append("CREATE TABLE people (tenant int, id int, PRIMARY KEY (tenant, id))")
        self.statements += [f"INSERT INTO people VALUES (7, {n})" for n in range(PEOPLE)]
        self.references["people"] = []
        for n in range(PEOPLE):
            self.rows["people", n] = []
        for number in range(6):
            name = f"t{number}"
            # Itself, too: an answer refers to an answer.
            others = self.chance.sample(
                ["people", *(f"t{n}" for n in range(number + 1))], k=min(number + 1, 3)
            )
            self.references[name] = others
            columns = "".join(
                f", a{n} int, b{n} int, FOREIGN KEY (a{n}, b{n}) REFERENCES {other}"
                for n, other in enumerate(others)
            )
            self.statements.append(
                f"CREATE TABLE {name} (tenant int, id int, PRIMARY KEY (tenant, id){columns})"
            )
            for n in range(6):
                targets = [
                    self.chance.choice([None, *(row for row in self.rows if row[0] == other)])
                    for other in others
                ]
                self.rows[name, n] = targets
                values = "".join(
                    f", {'NULL' if row is None else 7}, {'NULL' if row is None else row[1]}"
                    for row in targets
                )
                self.statements.append(f"INSERT INTO {name} VALUES (7, {n}{values})")

    def distance(self, table: str) -> int:
        """References to people, at least; more than DEPTH where there are none."""
        level, distance = {"people"}, 0
        while table not in level:
            distance += 1
            if distance > DEPTH:
                return DEPTH + 1
            level = {name for name, others in self.references.items() if level & {*others}}
        return distance

    def owners(self, row: Row, limit: int = DEPTH) -> set[int]:
        """The nearest people: by the shortest way that the tables have and that the row goes."""
        if row[0] == "people":
            return {row[1]}
        by_level: dict[int, set[int]] = {}
        for target in self.rows[row]:
            if target is not None and (distance := self.distance(target[0])) < limit:
                by_level.setdefault(distance, set()).update(self.owners(target, distance))
        return next((found for _, found in sorted(by_level.items()) if found), set())


def test_owners_are_those_of_a_walk(bare_product: Product) -> None:
    owned = shared = 0
    for seed in range(6):
        world = World(random.Random(seed))
        with bare_product.owner() as owner:
            owner.execute(psycopg.sql.SQL(";\n".join(world.statements)))
            known = catalogue.read(owner)
            subject = Subject("person", Name("public", "people"), ("tenant", "id"), "id", (), {})
            ownership, identity = Ownership(subject, known), Identity({"tenant": 7, "id": 0})
            for table in world.references:
                name = Name("public", table)
                other = ownership.other(identity, name, "t")
                assert (other is None) == (world.distance(table) > DEPTH), (seed, table)
                if other is None:
                    continue
                query = psycopg.sql.SQL("SELECT t.id, ({}) IS NOT NULL AS other FROM {} AS t").format(
                    other, name.identifier
                )
                for row in owner.execute(query):
                    owners = world.owners((table, row["id"]))
                    assert row["other"] == bool(owners - {0}), (seed, table, row["id"])
                    owned, shared = owned + bool(owners), shared + (len(owners) > 1)
            owner.execute(psycopg.sql.SQL(f"DROP TABLE {', '.join(world.references)} CASCADE"))
    assert owned > 100
    assert shared > 3
