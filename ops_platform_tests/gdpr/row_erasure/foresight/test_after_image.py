"""An exact map is not refused for what the database keeps in step, nor for what another rule empties."""

from __future__ import annotations

from pathlib import Path

import pytest

from ops_platform.gdpr.row_erasure import engine as row_erasure
from ops_platform.gdpr.row_erasure.foresight.uncovered import foresee
from ops_platform.gdpr.schema import reader as catalogue
from ops_platform_tests.gdpr.erasing import Product, erasing, left, map_of

pytestmark = pytest.mark.services

SCHEMA = """
CREATE TABLE users (id int PRIMARY KEY, email text, handle text);
CREATE TABLE comments (
    id int PRIMARY KEY, author_id int, title text, body citext,
    words tsvector GENERATED ALWAYS AS (to_tsvector('simple', title || ' ' || body::text)) STORED,
    loud text GENERATED ALWAYS AS (upper(body::text)) STORED);
CREATE TABLE letters (id int PRIMARY KEY, body varchar(60), words tsvector);
CREATE FUNCTION index_letter() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN NEW.words := to_tsvector('simple', NEW.body); RETURN NEW; END $$;
CREATE TRIGGER index_letter BEFORE INSERT OR UPDATE ON letters FOR EACH ROW EXECUTE FUNCTION index_letter();
CREATE TABLE orders (
    id int PRIMARY KEY, user_id int, first text, last text,
    whole text GENERATED ALWAYS AS (first || '/' || last) STORED);
CREATE TABLE base (id int PRIMARY KEY, said text);
CREATE TABLE derived (owner_id int) INHERITS (base);
INSERT INTO users VALUES (1, 'anna.k@example.org', 'anna_k.7'), (2, 'bob@example.org', 'bobby.8');
INSERT INTO comments VALUES
    (1, 1, 'x', 'bye -- anna_k.7'), (2, 2, 'thanks', 'to anna_k.7'), (3, 2, 'of anna_k.7', 'x'),
    (4, 1, 'by anna_k.7', 'x');
INSERT INTO letters VALUES (1, 'dear anna.k@example.org'), (2, 'dear all');
INSERT INTO orders VALUES (1, 1, 'anna.k@example.org', 'anna.k@example.org'), (2, 2, 'bob', 'x');
INSERT INTO derived VALUES (1, 'by anna.k@example.org', 1), (2, 'by bob', 2);
"""
MAP = """
subject: {kind: user, table: users, key: id, email: email, identifiers: [handle]}
tables:
  users: {personal: [email, handle], rows: [{role: account, column: id, erase: delete}]}
  comments:
    personal: [title, body, words, loud]
    plain: [id]
    rows:
      - {role: author, column: author_id, erase: {anonymise: {author_id: null, title: {value: "-"}}}}
      - {role: mentioned, mentions: [title, body], erase: redact}
  letters:
    personal: [body]
    plain: [id, words]
    rows: [{role: mentioned, mentions: [body], erase: redact}]
    triggers: {index_letter: An index of the words that the letter has then.}
  orders:
    personal: [first, last, whole]
    plain: [id]
    rows: [{role: buyer, column: user_id, erase: {anonymise: {first: {value: "-"}, last: null}}}]
  base: {personal: [said], plain: [id], rows: []}
  derived: {personal: [said], plain: [id], rows: [{role: owner, column: owner_id, erase: delete}]}
"""


def filled(product: Product) -> None:
    with product.cluster.superuser(product.name) as superuser:
        superuser.execute("CREATE EXTENSION IF NOT EXISTS citext")
        superuser.commit()
    with product.owner() as owner:
        owner.execute(SCHEMA)


def test_what_the_database_keeps_in_step_is_foreseen(bare_product: Product, tmp_path: Path) -> None:
    filled(bare_product)
    data_map = map_of(tmp_path, MAP)
    with bare_product.eraser() as eraser:
        known, what = catalogue.read(eraser), erasing(eraser, data_map, "1")
        seen = foresee(eraser, data_map, known, what)
        assert [(one.table, one.column, one.rows) for one in seen.uncovered] == []
        row_erasure.erase(eraser, data_map, known, what)
        assert left(eraser, data_map, what) == ([], [])


def test_what_it_would_not_change_is_still_named(bare_product: Product, tmp_path: Path) -> None:
    """No rule touches these rows: their generated columns are as they are, with what they are made from."""
    filled(bare_product)
    with bare_product.owner() as owner:
        owner.execute(
            """
            INSERT INTO orders VALUES (3, 2, 'for anna_k.7', 'x');
            ALTER TABLE letters DISABLE TRIGGER index_letter;
            UPDATE letters SET words = to_tsvector('simple', 'anna_k.7') WHERE id = 2;
            ALTER TABLE letters ENABLE TRIGGER index_letter;
            INSERT INTO base VALUES (3, 'of anna_k.7');
            """
        )
    data_map = map_of(tmp_path, MAP)
    with bare_product.eraser() as eraser:
        known, what = catalogue.read(eraser), erasing(eraser, data_map, "1")
        seen = {(one.table, one.column): one.rows for one in foresee(eraser, data_map, known, what).uncovered}
    assert seen == {
        ("orders", "first"): 1,
        ("orders", "whole"): 1,
        ("letters", "words"): 1,
        ("base", "said"): 1,
    }
