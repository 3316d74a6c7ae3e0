"""Values that are computed from erased ones and kept are named, where the catalogue shows the dependency."""

from __future__ import annotations

from pathlib import Path

import pytest

from ops_platform.gdpr import schema
from ops_platform.gdpr.data_map import DataMap
from ops_platform.gdpr.map_check import derived_values
from ops_platform_tests.gdpr.erasing import Product, map_of

pytestmark = pytest.mark.services

SCHEMA = """
CREATE TABLE users (id int PRIMARY KEY, email text NOT NULL, full_name text,
    initials text GENERATED ALWAYS AS (left(full_name, 1)) STORED,
    house_number int, total_spent numeric DEFAULT 0);
CREATE TABLE posts (id int PRIMARY KEY, comment_count int DEFAULT 0, likes int DEFAULT 0, last_comment text,
    number int, words int GENERATED ALWAYS AS (1) STORED, account_number int);
CREATE TABLE comments (id int PRIMARY KEY, user_id int REFERENCES users, post_id int REFERENCES posts,
    body text);
CREATE INDEX ON comments (user_id);
CREATE INDEX ON comments (post_id);
CREATE TABLE likes (id int PRIMARY KEY, user_id int REFERENCES users, post_id int REFERENCES posts);
CREATE INDEX ON likes (user_id);
CREATE INDEX ON likes (post_id);
CREATE FUNCTION liked() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    UPDATE posts SET likes = likes + 1 WHERE id = new.post_id; RETURN new; END $$;
CREATE TRIGGER liked AFTER INSERT ON likes FOR EACH ROW EXECUTE FUNCTION liked();
CREATE VIEW writers AS SELECT post_id, count(DISTINCT user_id) AS people FROM comments GROUP BY 1;
CREATE MATERIALIZED VIEW lengths AS SELECT post_id, sum(length(body)) AS written FROM comments GROUP BY 1;
"""
MAP = """
subject: {kind: user, table: users, key: id, email: email}
tables:
  users:
    personal: [email, full_name]
    plain: [initials, house_number, total_spent]
    rows: [{role: account, column: id, erase: delete}]
  posts:
    plain: [id, comment_count, likes, last_comment, number, words, account_number]
  comments:
    personal: [body]
    plain: [id, post_id]
    rows: [{role: writer, column: user_id, erase: delete}]
  likes:
    plain: [id, post_id]
    rows: [{role: liker, column: user_id, erase: delete}]
views:
  writers: {plain: [post_id, people]}
  lengths: {plain: [post_id, written]}
"""
LIKED_TOO = """
CREATE FUNCTION unliked() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    UPDATE posts SET likes = likes - 1 WHERE id = old.post_id; RETURN old; END $$;
CREATE TRIGGER unliked AFTER DELETE ON likes FOR EACH ROW EXECUTE FUNCTION unliked();
"""


def found(product: Product, data_map: DataMap) -> dict[str, list[str]]:
    noted: dict[str, list[str]] = {}
    with product.eraser() as eraser:
        for note in derived_values.notes(eraser, data_map, schema.read(eraser)):
            assert note.code == "derived"
            noted.setdefault(note.where, []).append(note.message)
    return noted


def test_totals_counts_and_copies_are_named_and_what_follows_an_erasure_is_not(
    bare_product: Product, tmp_path: Path
) -> None:
    data_map = map_of(tmp_path, MAP)
    with bare_product.owner() as owner:
        owner.execute(SCHEMA)
    noted = found(bare_product, data_map)
    assert set(noted) == {
        "users.initials", "users.total_spent", "posts.comment_count", "posts.last_comment", "posts.likes",
        "writers", "lengths",
    }  # fmt: skip
    assert "computed from full_name" in noted["users.initials"][0]
    assert "trigger liked of likes" in noted["posts.likes"][0]
    assert "reads user_id of comments" in noted["writers"][0]
    assert len(noted["lengths"]) == 2, "it reads a text, and nobody refreshes it"
    with bare_product.owner() as owner:
        owner.execute(LIKED_TOO)
    assert "posts.likes" not in found(bare_product, data_map)
