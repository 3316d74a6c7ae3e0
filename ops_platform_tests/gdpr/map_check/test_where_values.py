"""Values in ``where`` that a column cannot hold, and ids whose type another column says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from ops_platform.gdpr import map_check
from ops_platform_tests.gdpr.erasing import Product, map_of

pytestmark = pytest.mark.services

SCHEMA = """
CREATE TABLE users (id int PRIMARY KEY, email text);
CREATE TYPE mood AS ENUM ('good', 'bad');
CREATE DOMAIN short AS varchar(4);
CREATE DOMAIN even AS int CHECK (value % 2 = 0);
CREATE TABLE notes (id int PRIMARY KEY, owner int, kind varchar(4), code char(3), mood mood,
                    amount numeric(4, 1), at timestamptz, open boolean, label short,
                    pair even, body json, spot point, tags text[]);
CREATE INDEX ON notes (owner);
CREATE TABLE files (id int PRIMARY KEY, record_id int, record_type text, "ownerId" int, "ownerType" text,
                    object_id int, content_type_id int, user_id int REFERENCES users, user_type text);
CREATE INDEX ON files (record_id); CREATE INDEX ON files ("ownerId"); CREATE INDEX ON files (object_id);
CREATE INDEX ON files (user_id);
INSERT INTO files VALUES (1, 1, 'User', 1, 'User', 1, 7, NULL, 'x'),
                         (2, 1, 'Post', 1, 'User', 1, 7, NULL, 'y');
"""
SUBJECT: dict[str, Any] = {"kind": "user", "table": "users", "key": "id", "email": "email"}
USERS = {"personal": ["email"], "rows": [{"role": "account", "column": "id", "erase": "delete"}]}
HELD: dict[str, list[Any]] = {
    "kind": ["User", 1234, "it's"],
    "code": ["abc", "a"],
    "mood": ["good", ["good", "bad", None]],
    "amount": [1, "1.5", [-999.9]],
    "at": ["2026-01-01", None],
    "open": [True, "no"],
    "label": ["ab"],
    "pair": [2],
}
NOT_HELD: dict[str, list[Any]] = {
    "kind": ["Users", ["User", "Person"], True],
    "code": ["abcd"],
    "mood": ["fine", 1],
    "amount": ["x", 1.25, 12345],
    "at": ["soon"],
    "open": ["perhaps"],
    "label": ["abcde"],
    "pair": [3, "x"],
    "body": ["{}"],
    "spot": ["1"],
    "tags": ["a"],
}


def codes(product: Product, directory: Path, tables: dict[str, Any]) -> list[tuple[str, str, str]]:
    data_map = map_of(directory, yaml.safe_dump({"subject": SUBJECT, "tables": {"users": USERS, **tables}}))
    with product.eraser() as eraser:
        return [(one.where, one.code, one.message) for one in map_check.check(eraser, data_map)]


def test_values_fit_their_columns(bare_product: Product, tmp_path: Path) -> None:
    with bare_product.owner() as owner:
        owner.execute(SCHEMA)
        columns = {"kind", "code", "mood", "amount", "at", "open", "label", "pair", "body", "spot", "tags"}
        for values, fits in ((HELD, True), (NOT_HELD, False)):
            rows = [
                {"role": f"{column} {number}", "column": "owner", "where": {column: value}, "erase": "delete"}
                for column, tried in values.items()
                for number, value in enumerate(tried)
            ]
            notes = {"plain": ["id", *sorted(columns - set(values))], "rows": rows}
            found = [
                one for one in codes(bare_product, tmp_path, {"notes": notes}) if one[0].startswith("notes")
            ]
            refused = [] if fits else sorted((f"notes ({row['role']})", "other-type") for row in rows)
            assert sorted(one[:2] for one in found) == refused
        assert "where wants kind to be 'Users', which character varying(4) cannot hold" in {
            one[2] for one in found
        }


def test_ids_whose_type_another_column_says(bare_product: Product, tmp_path: Path) -> None:
    with bare_product.owner() as owner:
        owner.execute(SCHEMA)
    plain = ["id", "record_type", "ownerType", "content_type_id", "user_type"]
    rows: list[dict[str, Any]] = [
        {"role": column, "column": column, "erase": "delete"}
        for column in ("record_id", "ownerId", "object_id", "user_id")
    ]
    found = codes(bare_product, tmp_path, {"files": {"plain": plain, "rows": rows}})
    pairs = {one[0]: one[2] for one in found if one[1] == "type-pair"}
    assert set(pairs) == {"files (record_id)", "files (ownerId)", "files (object_id)"}
    assert "record_type has 2 values" in pairs["files (record_id)"]
    assert "ownerType may say of what" in pairs["files (ownerId)"]
    for row, where in zip(rows, ("record_type", "ownerType", "content_type_id"), strict=False):
        row["where"] = {where: 7 if where == "content_type_id" else "User"}
    found = codes(bare_product, tmp_path, {"files": {"plain": ["id", "user_type"], "rows": rows}})
    assert [one for one in found if one[0].startswith("files")] == []
