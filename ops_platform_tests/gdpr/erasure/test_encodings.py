"""Databases in another encoding than UTF-8: erased and exported like others, or refused before anything."""

from __future__ import annotations

import json
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ops_platform.clients import postgres
from ops_platform.errors import ConfigurationError
from ops_platform.gdpr import schema
from ops_platform.gdpr.erasure import data_stores
from ops_platform.gdpr.erasure.context import DataStores
from ops_platform.gdpr.export import ExportRequest, to_file
from ops_platform.gdpr.subject import SubjectKey
from ops_platform_tests.gdpr.erasing import Products, map_of
from ops_platform_tests.gdpr.single_erasures import erase_without_tombstone

pytestmark = pytest.mark.services

ADDRESS = "łukasz@example.org"
MAP = """
subject: {kind: user, table: users, key: id, email: email, identifiers: [name]}
tables:
  users: {personal: [email, name], rows: [{role: account, column: id, erase: delete, export: own}]}
  notes:
    plain: [id]
    personal: [body]
    rows:
      - {role: author, column: user_id, erase: delete, export: own}
      - {role: mentioned, mentions: [body], erase: {redact: "[gone]"}, export: [body]}
  letters: {plain: [id], rows: [{role: to, column: address, holds: email, erase: delete}]}
"""
ROWS = """
CREATE TABLE users (id int PRIMARY KEY, email text, name text);
CREATE TABLE notes (id int PRIMARY KEY, user_id int, body text);
CREATE TABLE letters (id int PRIMARY KEY, address text);
INSERT INTO users VALUES (1, 'josé.muñoz@example.org', 'José Muñoz'), (2, 'ben@example.org', 'Bén');
INSERT INTO notes VALUES (1, 1, 'Grüße von mir'), (2, 2, 'danke, Muñoz, José!'), (3, 2, 'JOSE MUNOZ: ça va'),
    (4, 2, 'été');
INSERT INTO letters VALUES (1, 'josé.muñoz@example.org'), (2, 'ben@example.org');
"""


def test_latin1_works_like_any_other(products: Products, tmp_path: Path) -> None:
    product = products.create_in("LATIN1")
    data_map = map_of(tmp_path, MAP)
    with product.owner() as owner:
        owner.execute(ROWS)
    url = product.cluster.url("ops_eraser", product.name)
    stores = DataStores(data_map, lambda: postgres.connect(url, autocommit=True), {}, None)
    with product.eraser() as eraser:
        file = tmp_path / "subject.zip"
        request = ExportRequest("1", "en", datetime.now(UTC))
        to_file.write(eraser, data_map, request, file, lambda bucket: pytest.fail(bucket))
        with zipfile.ZipFile(file) as archive:
            assert json.loads(archive.read("data/notes/author.json"))[0]["body"] == "Grüße von mir"
            assert len(json.loads(archive.read("data/notes/mentioned.json"))) == 2
        # The address of a request may have what no row of this database can.
        subject = SubjectKey("", "user", "7", "integer")
        identity, has_row = data_stores.identify(eraser, data_map, schema.read(eraser), subject, ADDRESS)
        assert (dict(identity.values), has_row) == ({"id": 7}, False)
    assert erase_without_tombstone(stores, "1", lambda line: None) is not None
    with product.eraser() as eraser:
        rows = eraser.execute("SELECT id, body FROM notes ORDER BY id").fetchall()
        assert [tuple(row.values()) for row in rows] == [
            (2, "danke, [gone]!"),
            (3, "[gone]: ça va"),
            (4, "été"),
        ]
        assert eraser.execute("SELECT id FROM letters").fetchall() == [{"id": 2}]
    products.drop(product)


def test_sql_ascii_is_refused_before_anything(products: Products) -> None:
    product = products.create_in("SQL_ASCII")
    with (
        product.eraser() as eraser,
        pytest.raises(ConfigurationError, match=r"has the encoding SQL_ASCII.* move it to a database"),
    ):
        schema.read(eraser)
    products.drop(product)
