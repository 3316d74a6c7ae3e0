"""What can be read of a trigger function: assignments to the new row, refusals, nothing that is not there."""

from __future__ import annotations

import pytest

from ops_platform.gdpr.schema import trigger_source
from ops_platform.gdpr.schema.trigger_source import NONE, RowChanges


def changes(source: str) -> RowChanges:
    return trigger_source.row_changes("f", "plpgsql", source, ())


@pytest.mark.parametrize(
    ("source", "column", "reads", "old"),
    [
        ("BEGIN NEW.updated_at := now(); RETURN NEW; END", "updated_at", set(), False),
        ("BEGIN new.updated_at = now(); RETURN NEW; END", "updated_at", set(), False),
        ('BEGIN\n  NEW."Full" := NEW.first || NEW.last; RETURN NEW; END', "Full", {"first", "last"}, False),
        (
            "BEGIN IF NEW.email IS NULL THEN NEW.email := OLD.email; END IF; RETURN NEW; END",
            "email",
            set(),
            True,
        ),
        (
            "BEGIN NEW.s := CASE WHEN NEW.a > 1 THEN OLD.s ELSE NEW.s END; RETURN NEW; END",
            "s",
            {"a", "s"},
            True,
        ),
        ("BEGIN NEW.s := build(NEW); RETURN NEW; END", "s", None, False),
        ("BEGIN SELECT a INTO NEW.s FROM x; RETURN NEW; END", "s", None, False),
    ],
)
def test_assignments_are_read(source: str, column: str, reads: set[str] | None, old: bool) -> None:
    [found] = changes(source).assignments
    assert (found.column, found.reads, found.old) == (column, reads, old)


@pytest.mark.parametrize(
    "source",
    [
        "BEGIN IF NEW.email = OLD.email THEN INSERT INTO log VALUES (1); END IF; RETURN NEW; END",
        "BEGIN -- NEW.email := OLD.email;\n RETURN NEW; END",
        "BEGIN EXECUTE 'NEW.email := 1;'; RETURN NEW; END",
        "BEGIN IF TG_OP = 'INSERT' THEN NEW.email := 'x'; END IF; RETURN NEW; END",
        "BEGIN IF (TG_OP = 'DELETE') THEN RETURN OLD; END IF; RETURN NEW; END",
        "BEGIN IF NEW.email <> OLD.email THEN RAISE NOTICE 'changed'; END IF; RETURN NEW; END",
        "BEGIN IF NEW.email <> OLD.name THEN RAISE EXCEPTION 'no'; END IF; RETURN NEW; END",
    ],
)
def test_what_only_looks_like_a_change_is_none(source: str) -> None:
    assert changes(source) == NONE


def test_refusals_are_read() -> None:
    guarded = changes(
        "BEGIN IF NEW.email IS DISTINCT FROM OLD.email THEN RAISE EXCEPTION 'fixed'; END IF; RETURN NEW; END"
    )
    assert guarded.guarded == {"email"}
    assert changes("BEGIN RETURN OLD; END").passes_over
    assert changes("BEGIN NEW := f(NEW); RETURN NEW; END").whole


def test_functions_that_come_with_the_server_are_known() -> None:
    vectors = trigger_source.row_changes(
        "tsvector_update_trigger", "internal", "", ("v", "pg_catalog.simple", "a")
    )
    assert [(found.column, found.reads) for found in vectors.assignments] == [("v", frozenset({"a"}))]
    assert trigger_source.row_changes("moddatetime", "c", "", ("changed",)).assignments[0].column == "changed"


@pytest.mark.parametrize(
    ("when", "columns"),
    [
        ("old.state IS DISTINCT FROM new.state", {"state"}),
        ("(old.a IS DISTINCT FROM new.a) OR (old.b <> new.b)", {"a", "b"}),
        ("old.* IS DISTINCT FROM new.*", set()),
        ("(old.a IS DISTINCT FROM new.a) OR (new.b > 5)", set()),
        ("new.a IS NOT NULL", set()),
    ],
)
def test_the_columns_of_a_condition_are_read_where_it_is_about_nothing_else(
    when: str, columns: set[str]
) -> None:
    said = f"CREATE TRIGGER t BEFORE UPDATE ON x FOR EACH ROW WHEN ({when}) EXECUTE FUNCTION f()"
    assert set(trigger_source.compared(said)) == columns
    assert trigger_source.compared("") == frozenset()
