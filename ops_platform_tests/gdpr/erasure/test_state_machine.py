"""Random maps and rows: after an erasure every row, everybody else's too, is what a model in Python says.

What is left of the subject then is what was foreseen.
"""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from psycopg import sql
from psycopg.types.json import Jsonb

from ops_platform.clients.postgres.connection import Connection
from ops_platform.gdpr.map_check import all_checks as map_check
from ops_platform.gdpr.row_erasure import engine as row_erasure
from ops_platform.gdpr.row_erasure.foresight.uncovered import foresee
from ops_platform.gdpr.schema import reader as catalogue
from ops_platform_tests.gdpr.erasing import Product, Products, erasing, map_of

pytestmark = pytest.mark.services

KEYS = [UUID(int=(n + 1) << 96) for n in range(4)]
EMAILS = ["tom.1@example.org", "tom.11@example.org", "om.1@example.org", "tom.1@example.org.uk"]
S, E = KEYS[0], EMAILS[0]

Row = dict[str, Any]
Rows = dict[str, list[Row]]


@dataclass(frozen=True)
class Shape:
    """What the map does with rows of ``a`` by owner and other, of ``b`` by owner and by way of ``a``."""

    a_owner: Literal["delete", "anonymise", "unless"]
    a_other: Literal["delete", "anonymise"]
    b_owner: Literal["delete", "anonymise"]
    b_above: Literal["delete", "anonymise"]

    @property
    def deleting(self) -> list[str]:
        """Roles of ``a`` whose rows go whatever refers to them."""
        return [role for role, how in (("owner", self.a_owner), ("other", self.a_other)) if how == "delete"]

    @property
    def threaded(self) -> bool:
        """Whether rows of ``a`` may refer to each other: not while any of them goes at once."""
        return not self.deleting

    def map(self) -> str:
        # Rows here have several owners, and go all the same.
        owner = {
            "delete": "delete, shared: delete",
            "anonymise": '{anonymise: {owner: null, text: {value: "-"}}}, shared: stand_in',
            "unless": '{delete_unless_referenced: {owner: stand_in, text: {value: "-"}}}, shared: delete',
        }
        shared = """
      - {role: tagged, array: tags, erase: remove}
      - {role: named, json: doc, path: "a[*].id", erase: remove}
      - {role: mailed, json: doc, path: who, holds: email, erase: remove}
"""
        other = {"delete": "delete, shared: delete", "anonymise": "{anonymise: {other: null}}"}
        above = {"delete": "delete, shared: delete", "anonymise": "{anonymise: {above: null}}"}
        text = f"""
subject: {{kind: user, table: users, key: id, email: email}}
tables:
  users: {{personal: [email], rows: [{{role: account, column: id, erase: delete}}]}}
  a:
    plain: [n, above]
    personal: [text]
    documents: {{doc: {{"a[*].x": plain, x: plain}}}}
    rows:
      - {{role: owner, column: owner, erase: {owner[self.a_owner]}}}
      - {{role: other, column: other, erase: {other[self.a_other]}}}{shared}
  b:
    plain: [n{"" if self.deleting else ", above"}, other]
    personal: [text]
    documents: {{doc: {{"a[*].x": plain, x: plain}}}}
    rows:
      - {{role: owner, column: owner, erase: {owner[self.b_owner]}}}{shared}
"""
        if self.deleting:
            roles = ", ".join(self.deleting)
            text += (
                f"      - {{role: below, column: above, through: a, to: n, roles: [{roles}], "
                f"erase: {above[self.b_above]}}}\n"
            )
        return text


shapes = st.builds(
    Shape,
    st.sampled_from(["delete", "anonymise", "unless"]),
    st.sampled_from(["delete", "anonymise"]),
    st.sampled_from(["delete", "anonymise"]),
    st.sampled_from(["delete", "anonymise"]),
)
people = st.none() | st.sampled_from(KEYS)
documents = st.fixed_dictionaries(
    {},
    optional={
        "a": st.lists(
            st.fixed_dictionaries({"x": st.integers(0, 9)}, optional={"id": st.sampled_from(KEYS).map(str)}),
            max_size=3,
        ),
        "who": st.sampled_from(EMAILS),
        "x": st.sampled_from(["", "x", "é"]),
    },
)
row = st.fixed_dictionaries(
    {
        "owner": people,
        "other": people,
        "tags": st.lists(st.sampled_from(KEYS), max_size=3),
        "doc": documents,
        "text": st.sampled_from(["", "x", "y", f"of {E}"]),
        "above": st.none() | st.integers(0, 11),
    }
)


def schema(shape: Shape) -> str:
    above = "int" if not shape.threaded else "int REFERENCES a"
    columns = "owner uuid REFERENCES users, other uuid, tags uuid[], doc jsonb, text text"
    indexes = "".join(
        f"CREATE INDEX ON {table} (owner); CREATE INDEX ON {table} (other);"
        f"CREATE INDEX ON {table} (above);"
        f"CREATE INDEX ON {table} USING gin (tags); CREATE INDEX ON {table} USING gin (doc jsonb_path_ops);"
        for table in ("a", "b")
    )
    return (
        "DROP TABLE IF EXISTS b, a, users; "
        "CREATE TABLE users (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), email text); "
        f"CREATE TABLE a (n int PRIMARY KEY, above {above}, {columns});"
        f"CREATE TABLE b (n int PRIMARY KEY, above int REFERENCES a, {columns}); {indexes}"
    )


def fill(connection: Connection, rows: Rows) -> None:
    for key, email in zip(KEYS, EMAILS, strict=True):
        connection.execute("INSERT INTO users VALUES (%s, %s)", (key, email))
    for table in ("a", "b"):
        for one in rows[table]:
            values = {**one, "doc": Jsonb(one["doc"])}
            query = sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
                sql.Identifier(table),
                sql.SQL(", ").join(map(sql.Identifier, values)),
                sql.SQL(", ").join(map(sql.Placeholder, values)),
            )
            connection.execute(query, values)


def dump(connection: Connection) -> Rows:
    """A key that is nobody's is the stand-in's."""
    found: Rows = {}
    for table in ("a", "b"):
        found[table] = connection.execute(f"SELECT * FROM {table} ORDER BY n").fetchall()
        for one in found[table]:
            if one["owner"] is not None and one["owner"] not in KEYS:
                one["owner"] = "stand-in"
    return found


def model(shape: Shape, before: Rows) -> Rows:
    """What must be left, from the map's words alone."""
    rows = copy.deepcopy(before)
    a, b = {one["n"]: one for one in rows["a"]}, {one["n"]: one for one in rows["b"]}
    gone = {n for n, one in a.items() if any(one[role] == S for role in shape.deleting)}
    for n, one in list(b.items()):
        below = one["above"] in gone
        if (one["owner"] == S and shape.b_owner == "delete") or (below and shape.b_above == "delete"):
            del b[n]
        elif below:
            one["above"] = None
    for n in gone:
        del a[n]
    if shape.a_owner == "unless":
        while True:
            referred = {one["above"] for one in [*b.values(), *(a.values() if shape.threaded else ())]}
            free = [n for n, one in a.items() if one["owner"] == S and n not in referred]
            if not free:
                break
            for n in free:
                del a[n]
    for table, how in ((a, shape.a_owner), (b, shape.b_owner)):
        for one in table.values():
            if one["owner"] == S:
                one["owner"], one["text"] = ("stand-in" if how == "unless" else None), "-"
            one["tags"] = [key for key in one["tags"] if key != S]
            if "a" in one["doc"]:
                one["doc"]["a"] = [each for each in one["doc"]["a"] if each.get("id") != str(S)]
            if one["doc"].get("who") == E:
                del one["doc"]["who"]
    for one in a.values():
        if one["other"] == S:
            one["other"] = None
    return {"a": [a[n] for n in sorted(a)], "b": [b[n] for n in sorted(b)]}


@pytest.fixture(scope="module")
def product(products: Products) -> Iterator[Product]:
    made = products.create()
    yield made
    products.drop(made)


@settings(
    max_examples=40,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.generate, Phase.shrink),
)
@given(
    shape=shapes,
    a=st.lists(row, max_size=12),
    b=st.lists(row, max_size=8),
    batch=st.sampled_from([1, 2, 1000]),
)
@pytest.mark.full
def test_rows_are_what_the_model_says(
    product: Product, shape: Shape, a: list[Row], b: list[Row], batch: int
) -> None:
    rows: Rows = {
        # A row refers to an earlier one: what is inserted first is there.
        "a": [
            {**one, "n": n, "above": one["above"] if shape.threaded and (one["above"] or 0) < n else None}
            for n, one in enumerate(a)
        ],
        "b": [
            {
                **one,
                "n": n,
                "other": None if one["other"] == S else one["other"],
                "above": one["above"] if (one["above"] or 0) < len(a) else None,
            }
            for n, one in enumerate(b)
        ],
    }
    with tempfile.TemporaryDirectory() as directory, product.owner() as owner, product.eraser() as eraser:
        owner.execute(schema(shape))
        fill(owner, rows)
        before = dump(owner)
        data_map = map_of(Path(directory), shape.map())
        known = catalogue.read(eraser)
        assert map_check.check(eraser, data_map) == []
        what = erasing(eraser, data_map, str(S))
        foreseen = foresee(eraser, data_map, known, what).uncovered
        effects = row_erasure.erase(eraser, data_map, known, what, batch=batch)
        assert dump(owner) == model(shape, before)
        assert row_erasure.remaining(eraser, data_map, known, what) == []
        residue = row_erasure.residue(eraser, data_map, known, what)
        assert [(str(one.table), one.column, one.rows) for one in residue] == [
            (one.table, one.column, one.rows) for one in foreseen
        ]
        assert all(one.changed == one.before and one.after == 0 for one in effects)
        assert [
            one["id"] for one in owner.execute("SELECT id FROM users WHERE email IS NOT NULL ORDER BY 1")
        ] == KEYS[1:]
        row_erasure.forget(eraser, what.erasure_id)
