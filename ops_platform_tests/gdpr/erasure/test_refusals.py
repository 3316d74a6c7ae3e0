"""Whatever would touch more than the map says is undone and named; no message repeats a row."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from ops_platform.clients.postgres import connection as postgres
from ops_platform.errors import CheckFailed, ConfigurationError, OpsError
from ops_platform.gdpr.data_map.model import DataMap
from ops_platform.gdpr.row_erasure import engine as row_erasure
from ops_platform.gdpr.schema import reader as catalogue
from ops_platform_tests.gdpr.erasing import Product, erasing, map_of

pytestmark = pytest.mark.services

SCHEMA = """
CREATE TABLE users (id int PRIMARY KEY, email text, status text);
CREATE TABLE notes (id int PRIMARY KEY, user_id int REFERENCES users, text text NOT NULL CHECK (text <> ''));
CREATE TABLE other (id int, text text);
CREATE INDEX ON notes (user_id);
INSERT INTO users VALUES (1, 'anna@example.org', 'x'), (2, 'ben@example.org', 'y');
INSERT INTO notes VALUES (1, 1, 'a'), (2, 2, 'b'), (3, 1, 'c'), (4, 2, 'd');
INSERT INTO other VALUES (1, 'x'), (2, 'y');
"""
MAP = """
subject: {kind: user, table: users, key: id, email: email}
tables:
  users: {personal: [email], plain: [status], rows: [{role: account, column: id, erase: delete}]}
  other: {plain: [id, text]}
  notes:
    plain: [id]
    personal: [text]
    rows: [{role: writer, column: user_id, erase: ERASE}]
"""
SETS = '{anonymise: {user_id: null, text: {value: "-"}}}'
TRIGGER = """
CREATE FUNCTION act() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN %s; RETURN %s; END $$;
CREATE TRIGGER acts %s ON notes FOR EACH ROW EXECUTE FUNCTION act();
"""


def trigger(body: str, when: str = "AFTER DELETE", returned: str = "NULL") -> str:
    return TRIGGER % (body, returned, when)


REFUSED = {
    "a copy elsewhere": (
        "delete",
        trigger("INSERT INTO other VALUES (OLD.id, OLD.text)"),
        "other: 2 inserted",
    ),
    "other rows deleted": ("delete", trigger("DELETE FROM other WHERE id = 1"), "other: 0 inserted"),
    "other rows changed": (SETS, trigger("UPDATE other SET text = 'z'", "AFTER UPDATE"), "other: 0 inserted"),
    "its own table": (
        "delete",
        trigger("UPDATE notes SET text = 'z' WHERE id = 2"),
        "notes: 0 inserted, 2 updated",
    ),
    "a neighbour instead of the row": (
        SETS,
        trigger(
            "IF pg_trigger_depth() > 1 THEN RETURN NEW; END IF; UPDATE notes SET text = 'z' WHERE id = 2",
            "BEFORE UPDATE",
        ),
        "changed 0 of 2 rows",
    ),
    "emptied": (
        "delete",
        "CREATE FUNCTION act() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN TRUNCATE other; RETURN NULL; END $$;"
        "ALTER FUNCTION act() SECURITY DEFINER;"
        "CREATE TRIGGER acts AFTER DELETE ON notes EXECUTE FUNCTION act();",
        "other: was locked against everybody",
    ),
    "a deletion that spreads": (
        "delete",
        "ALTER TABLE other ADD CONSTRAINT o FOREIGN KEY (id) REFERENCES notes ON DELETE CASCADE",
        "other: 0 inserted, 0 updated, 1 deleted",
    ),
    "a deletion that empties": (
        "delete",
        "ALTER TABLE other ADD CONSTRAINT o FOREIGN KEY (id) REFERENCES notes ON DELETE SET NULL",
        "other: 0 inserted, 1 updated",
    ),
    "a rule": (
        "delete",
        "CREATE RULE copies AS ON DELETE TO notes DO ALSO INSERT INTO other VALUES (OLD.id, OLD.text)",
        "other: [12] inserted",
    ),
    "a rule that refuses": ("delete", "CREATE RULE no AS ON DELETE TO notes DO INSTEAD NOTHING", "of 2 rows"),
    "late, at commit": (
        "delete",
        "CREATE FUNCTION act() RETURNS trigger LANGUAGE plpgsql AS $$ "
        "BEGIN INSERT INTO other VALUES (OLD.id, OLD.text); RETURN NULL; END $$;"
        "CREATE CONSTRAINT TRIGGER acts AFTER DELETE ON notes DEFERRABLE INITIALLY DEFERRED "
        "FOR EACH ROW EXECUTE FUNCTION act();",
        "other: 2 inserted",
    ),
    "another column": (
        "{anonymise: {user_id: null}}",
        trigger("NEW.text = OLD.text || '!'", "BEFORE UPDATE", "NEW"),
        "more columns of 2 rows changed than user_id",
    ),
    "undone": (
        SETS,
        trigger("NEW.user_id = OLD.user_id; NEW.text = OLD.text", "BEFORE UPDATE", "NEW"),
        "are the subject's after",
    ),
    "refused by a trigger": ("delete", trigger("RETURN NULL", "BEFORE DELETE"), "changed 0 of 2 rows"),
    "an error that quotes rows": (
        "delete",
        trigger("RAISE EXCEPTION 'not %', OLD.text", "BEFORE DELETE"),
        r"refuses 'delete': raised by act\(\), line 1: a trigger of the table does",
    ),
    "a value that is not taken": (
        '{anonymise: {user_id: null, text: {value: ""}}}',
        "",
        r"CheckViolation \(notes_text_check\)",
    ),
    "rows that the map does not know": (
        "delete",
        "ALTER TABLE other ADD CONSTRAINT known FOREIGN KEY (id) REFERENCES notes",
        r"rows of other still refer to what should go \(known\)",
    ),
}


def prepared(product: Product, directory: Path, erase: str, schema: str) -> DataMap:
    with product.owner() as owner:
        owner.execute(SCHEMA + schema)
    return map_of(directory, MAP.replace("ERASE", erase))


@pytest.mark.parametrize("name", REFUSED)
def test_what_spreads_is_undone(bare_product: Product, tmp_path: Path, name: str) -> None:
    erase, schema, said = REFUSED[name]
    data_map = prepared(bare_product, tmp_path, erase, schema)
    before = bare_product.digest()
    with bare_product.eraser() as eraser:
        what = erasing(eraser, data_map, "1")
        with pytest.raises(CheckFailed, match=said) as refused:
            row_erasure.erase(eraser, data_map, catalogue.read(eraser), what)
        assert "anna" not in str(refused.value)
        assert "\n" not in str(refused.value)
        # Whoever comes next is not kept out, and finds the same.
        with pytest.raises(CheckFailed, match=said):
            row_erasure.erase(eraser, data_map, catalogue.read(eraser), what)
    assert bare_product.digest() == before


def test_a_declared_trigger_does_not_let_deletions_spread(bare_product: Product, tmp_path: Path) -> None:
    schema = (
        trigger("UPDATE users SET status = status")
        + "CREATE TABLE more (id int REFERENCES notes ON DELETE CASCADE); INSERT INTO more VALUES (1)"
    )
    prepared(bare_product, tmp_path, "delete", schema)
    declared = MAP.replace("ERASE", "delete") + "    triggers: {acts: Sets what is set already.}\n"
    data_map = map_of(tmp_path, declared + "  more: {plain: [id]}\n")
    with bare_product.eraser() as eraser:
        what = erasing(eraser, data_map, "1")
        with pytest.raises(CheckFailed, match="more: 0 inserted, 0 updated, 1 deleted"):
            row_erasure.erase(eraser, data_map, catalogue.read(eraser), what)


def test_who_cannot_see_all_rows_may_not_erase(bare_product: Product, tmp_path: Path) -> None:
    data_map = prepared(bare_product, tmp_path, "delete", "ALTER TABLE notes ENABLE ROW LEVEL SECURITY")
    with bare_product.cluster.superuser(bare_product.name) as superuser:
        superuser.execute("ALTER ROLE ops_eraser NOBYPASSRLS")
        superuser.commit()
        try:
            with bare_product.eraser() as eraser:
                what = erasing(eraser, data_map, "1")
                with pytest.raises(
                    ConfigurationError, match=r"row-level security policy for table .*BYPASSRLS"
                ):
                    row_erasure.erase(eraser, data_map, catalogue.read(eraser), what)
        finally:
            superuser.execute("ALTER ROLE ops_eraser BYPASSRLS")
            superuser.commit()


def test_who_may_not_write_is_told_so(bare_product: Product, tmp_path: Path) -> None:
    data_map = prepared(
        bare_product, tmp_path, "delete", "GRANT SELECT ON ALL TABLES IN SCHEMA public TO ops_worker"
    )
    with postgres.session(
        bare_product.cluster.url("ops_worker", bare_product.name), autocommit=True
    ) as worker:
        what = erasing(worker, data_map, "1")
        with pytest.raises(ConfigurationError, match="may not keep the progress"):
            row_erasure.erase(worker, data_map, catalogue.read(worker), what)


def test_without_counting_nothing_begins(bare_product: Product, tmp_path: Path) -> None:
    data_map = prepared(bare_product, tmp_path, "delete", "")
    before = bare_product.digest()
    with bare_product.cluster.superuser(bare_product.name) as superuser:
        superuser.execute(f"ALTER DATABASE {bare_product.name} SET track_counts = off")
        superuser.commit()
    with bare_product.eraser() as eraser:
        what = erasing(eraser, data_map, "1")
        with pytest.raises(ConfigurationError, match="track_counts"):
            row_erasure.erase(eraser, data_map, catalogue.read(eraser), what)
    assert bare_product.digest() == before


def test_without_the_footprint_nothing_begins(bare_product: Product, tmp_path: Path) -> None:
    data_map = prepared(bare_product, tmp_path, "delete", "")
    with bare_product.cluster.superuser(bare_product.name) as superuser:
        superuser.execute("DROP TABLE ops_platform.erasure_steps, ops_platform.erasures")
        superuser.commit()
    with bare_product.eraser() as eraser:
        what = erasing(eraser, data_map, "1")
        with pytest.raises(ConfigurationError, match="ops-platform migrate"):
            row_erasure.erase(eraser, data_map, catalogue.read(eraser), what)


def test_a_view_that_nobody_could_refresh(bare_product: Product, tmp_path: Path) -> None:
    schema = "CREATE MATERIALIZED VIEW names AS SELECT email FROM users"
    prepared(bare_product, tmp_path, "delete", schema)
    data_map = map_of(tmp_path, MAP.replace("ERASE", "delete") + "views: {names: {personal: [email]}}")
    with bare_product.eraser() as eraser:
        what = erasing(eraser, data_map, "1")
        with pytest.raises(ConfigurationError, match="cannot refresh names"):
            row_erasure.erase(eraser, data_map, catalogue.read(eraser), what)


def test_a_lock_that_others_hold(
    bare_product: Product, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ops_platform.gdpr.row_erasure import batch as row_batches

    monkeypatch.setattr(row_batches, "LOCK_TIMEOUT", "20ms")
    data_map = prepared(bare_product, tmp_path, "delete", "")
    with (
        bare_product.eraser() as eraser,
        psycopg.connect(bare_product.cluster.url("product_owner", bare_product.name)) as other,
    ):
        other.execute("SELECT FROM notes WHERE id = 3 FOR UPDATE")
        what = erasing(eraser, data_map, "1")
        with pytest.raises(OpsError, match="keep rows of it locked"):
            row_erasure.erase(eraser, data_map, catalogue.read(eraser), what)
        other.rollback()
        row_erasure.erase(eraser, data_map, catalogue.read(eraser), what)
        assert row_erasure.remaining(eraser, data_map, catalogue.read(eraser), what) == []
