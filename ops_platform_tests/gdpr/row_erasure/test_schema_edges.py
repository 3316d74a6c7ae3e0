"""Schemas at the edges of what a map can say: found before anything is erased, and erased as foreseen."""

from __future__ import annotations

from pathlib import Path

import pytest

from ops_platform.clients.postgres.connection import Connection
from ops_platform.gdpr.data_map.model import DataMap
from ops_platform.gdpr.map_check import all_checks
from ops_platform.gdpr.row_erasure import engine as row_erasure
from ops_platform.gdpr.row_erasure.foresight import uncovered
from ops_platform.gdpr.schema import reader as catalogue
from ops_platform_tests.gdpr.erasing import Product, erasing, left, map_of

pytestmark = pytest.mark.services

SUBJECT = """
subject: {kind: user, table: users, key: id, email: email, identifiers: [name]}
tables:
  users: {personal: [email, name], rows: [{role: account, column: id, erase: delete}]}
"""


def findings(connection: Connection, data_map: DataMap) -> list[tuple[str, str]]:
    return [(found.where, found.code) for found in all_checks.check(connection, data_map)]


def test_triggers_indexes_and_partitions_are_read_as_they_are(
    bare_product: Product, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogue, "SMALL", -1)
    data_map = map_of(
        tmp_path,
        SUBJECT
        + """
  notes:
    plain: [id, search, tsv, changed_at]
    personal: [body]
    reasons: {tsv: The trigger computes it anew.}
    triggers: {kept: They stay within the row., vectors: They stay within the row.}
    rows: [{role: author, column: user_id, erase: {anonymise: {user_id: null, body: null}}}]
  events:
    plain: [id, at]
    documents: {meta: {user.id: personal}}
    rows:
      - {role: actor, column: actor_id, erase: delete}
      - {role: target, json: meta, path: user.id, erase: delete, shared: delete}
  answers:
    plain: [id]
    rows:
      - {role: author, column: user_id, erase: delete, shared: delete}
      - {role: answer, column: parent_id, through: answers, to: id, roles: [author],
         erase: {anonymise: {parent_id: null}}}
""",
    )
    with bare_product.owner() as owner:
        owner.execute(
            """
            CREATE TABLE users (id int PRIMARY KEY, email text, name text);
            CREATE TABLE notes (id int PRIMARY KEY, user_id int, body text, search text, tsv tsvector,
                                changed_at timestamptz);
            CREATE INDEX ON notes (user_id) WHERE user_id IS NOT NULL;
            CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS
                'BEGIN NEW.search := lower(NEW.body); NEW.changed_at := now(); RETURN NEW; END';
            CREATE TRIGGER kept BEFORE INSERT OR UPDATE ON notes FOR EACH ROW EXECUTE FUNCTION keep();
            CREATE FUNCTION count_up() RETURNS trigger LANGUAGE plpgsql AS
                'BEGIN NEW.id := NEW.id + 1; RETURN NEW; END';
            CREATE TRIGGER counted BEFORE UPDATE ON notes FOR EACH ROW
                WHEN (OLD.changed_at IS DISTINCT FROM NEW.changed_at) EXECUTE FUNCTION count_up();
            CREATE TRIGGER vectors BEFORE INSERT OR UPDATE ON notes FOR EACH ROW
                EXECUTE FUNCTION tsvector_update_trigger(tsv, 'pg_catalog.simple', body);
            CREATE TABLE events (id int, at date, actor_id int, meta json, PRIMARY KEY (id, at))
                PARTITION BY RANGE (at);
            CREATE INDEX ON events USING gin ((meta::jsonb));
            CREATE INDEX ON events (actor_id);
            CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
            CREATE TABLE events_2 PARTITION OF events FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
            ALTER TABLE events_1 ADD FOREIGN KEY (actor_id) REFERENCES users;
            ALTER TABLE events_2 ADD FOREIGN KEY (actor_id) REFERENCES users;
            CREATE TABLE answers (id int PRIMARY KEY, user_id int REFERENCES users,
                                  parent_id int REFERENCES answers);
            CREATE INDEX ON answers (user_id);
            CREATE INDEX ON answers (parent_id);
            INSERT INTO users VALUES (1, 'anna@example.org', 'anna_k.7'), (2, 'ben@example.org', 'ben.8');
            INSERT INTO notes VALUES (1, 1, 'by Anna_K.7'), (2, 2, 'by ben.8');
            INSERT INTO events VALUES (1, '2026-01-02', 1, '{"user": {"id": 2}}'),
                (2, '2026-02-02', 2, '{"user": {"id": 1}}'), (3, '2026-02-03', 2, '{}');
            INSERT INTO answers VALUES (1, 1, NULL), (2, 2, 1), (3, 1, 2), (4, 2, 2), (5, 1, 1);
            """
        )
    with bare_product.eraser() as eraser:
        assert findings(eraser, data_map) == []
        known = catalogue.read(eraser)
        [reference] = [one for one in known.references if one.table.relation == "events"]
        assert (str(reference.target), reference.columns) == ("users", ("actor_id",))
        erasure = erasing(eraser, data_map, "1")
        # The trigger keeps search and tsv in step: they will not hold the name, though no rule says so.
        assert uncovered.foresee(eraser, data_map, known, erasure).uncovered == ()
        row_erasure.erase(eraser, data_map, known, erasure)
        assert left(eraser, data_map, erasure) == ([], [])
        rows = eraser.execute("SELECT id, user_id, parent_id FROM answers ORDER BY id").fetchall()
        assert [tuple(row.values()) for row in rows] == [(2, 2, None), (4, 2, 2)]
        rows = eraser.execute("SELECT id FROM events").fetchall()
        assert [row["id"] for row in rows] == [3]
    with bare_product.owner() as owner:
        owner.execute(
            """
            DROP INDEX notes_user_id_idx;
            CREATE INDEX ON notes (user_id) WHERE body IS NOT NULL;
            CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS
                'BEGIN NEW.body := coalesce(NEW.body, OLD.body); RETURN NEW; END';
            CREATE TRIGGER held BEFORE UPDATE OF body ON notes FOR EACH ROW EXECUTE FUNCTION hold();
            """
        )
    with bare_product.eraser() as eraser:
        assert findings(eraser, data_map) == [
            ("notes (author)", "no-index"),
            ("notes.held", "trigger-undoes"),
        ]
        monkeypatch.setattr(catalogue, "SMALL", 1 << 20)
        assert findings(eraser, data_map) == [("notes.held", "trigger-undoes")]
