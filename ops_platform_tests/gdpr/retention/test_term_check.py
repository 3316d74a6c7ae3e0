"""Terms against a catalogue: what keeps them from being carried out is said before anything goes."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from ops_platform.gdpr.data_map.model import (
    Belonging,
    ByColumn,
    ByMention,
    ByParent,
    Constant,
    DataMap,
    Delete,
    KnownBy,
    Redact,
    Table,
)
from ops_platform.gdpr.data_map.retention_term import Period, RetentionTerm
from ops_platform.gdpr.retention.due_rows import DueRows
from ops_platform.gdpr.retention.term_check import check, with_declared
from ops_platform.gdpr.schema.reader import Catalogue, Reference, Trigger
from ops_platform.gdpr.schema.relation_name import Name
from ops_platform_tests.gdpr import catalogues
from ops_platform_tests.gdpr.catalogues import AUTHOR, NOTES, NOTES_TABLE, USERS, USERS_TABLE, column

NOW = datetime(2026, 6, 1, tzinfo=UTC)
YEAR = RetentionTerm(Period(12), "at")
ZONED = "timestamp with time zone"


def noted(term: RetentionTerm = YEAR) -> DataMap:
    return catalogues.data_map(replace(NOTES_TABLE, term=term))


def with_at(type_: str | None = ZONED, **changes: object) -> Catalogue:
    columns = dict(catalogues.NOTES_RELATION.columns)
    if type_ is not None:
        columns["at"] = column("at", type_)
    return catalogues.catalogue(replace(catalogues.NOTES_RELATION, columns=columns, **changes))  # type: ignore[arg-type]


def codes(data_map: DataMap, catalogue: Catalogue) -> list[tuple[str, str]]:
    return [(one.where, one.code) for one in check(data_map, catalogue)]


@pytest.mark.parametrize(
    ("type_", "zone", "found"),
    [
        (ZONED, None, []),
        ("timestamp without time zone", "UTC", []),
        ("date", "Europe/Paris", []),
        ("timestamp without time zone", None, [("notes.at", "no-zone")]),
        ("date", None, [("notes.at", "no-zone")]),
        ("text", "UTC", [("notes.at", "other-type")]),
        (None, None, [("notes.at", "no-such-column")]),
    ],
)
def test_a_term_runs_from_a_time_whose_zone_is_known(
    type_: str | None, zone: str | None, found: list[tuple[str, str]]
) -> None:
    assert codes(noted(replace(YEAR, zone=zone)), with_at(type_)) == found


def test_what_hides_or_copies_rows_is_named() -> None:
    assert codes(noted(), with_at(row_security=True)) == [("notes", "row-security")]
    assert codes(noted(), with_at(triggers=(Trigger("copy", "copy", True),))) == [("notes.copy", "trigger")]
    assert codes(noted(), with_at(kind="foreign")) == [("notes", "no-term")]


def test_new_values_must_fit() -> None:
    values = replace(YEAR, values={"id": None, "gone": 1, "body": "x"})
    columns = {
        "at": column("at", ZONED),
        "id": column("id", not_null=True),
        "body": column("body", generated=True),
    }
    known = catalogues.catalogue(replace(catalogues.NOTES_RELATION, columns=columns))
    assert codes(noted(values), known) == [
        ("notes.body", "generated"), ("notes.gone", "no-such-column"), ("notes.id", "not-null"),
    ]  # fmt: skip


def test_each_row_is_asked_who_refers_to_it_so_an_index_must_answer() -> None:
    users = replace(USERS_TABLE, term=replace(YEAR, of="seen"))
    columns = {**catalogues.USERS_RELATION.columns, "seen": column("seen", ZONED)}
    relation = replace(catalogues.USERS_RELATION, columns=columns)
    bare = replace(catalogues.NOTES_RELATION, leading=frozenset())
    assert codes(catalogues.data_map(users), catalogues.catalogue(relation)) == []
    assert codes(catalogues.data_map(users), catalogues.catalogue(relation, bare)) == [
        ("notes.user_id", "no-index")
    ]


def test_a_reference_that_the_map_declares_counts_as_one() -> None:
    declaring = replace(NOTES_TABLE, refers={"body": (USERS, "id")})
    term = replace(YEAR, of="seen")
    columns = {**catalogues.USERS_RELATION.columns, "seen": column("seen", ZONED)}
    known = catalogues.catalogue(replace(catalogues.USERS_RELATION, columns=columns), references=())
    data_map = catalogues.data_map(replace(USERS_TABLE, term=term), declaring)
    assert codes(data_map, known) == [("notes.body", "other-type")]
    of_map, of_role = with_declared(data_map, known).references
    assert (of_map.table, of_map.columns, of_map.target) == (NOTES, ("body",), USERS)
    assert (of_role.columns, of_role.target_columns) == (("user_id",), ("id",))


def test_a_circle_is_known_as_one() -> None:
    own = Reference("up", NOTES, ("body",), NOTES, ("id",), "no action", False)
    known = Catalogue(with_at().relations, (own,))
    assert DueRows(noted(), known, NOW).is_circular(NOTES)
    assert not DueRows(noted(), with_at(), NOW).is_circular(NOTES)
    assert not DueRows(noted(replace(YEAR, values={"body": None})), known, NOW).is_circular(NOTES)


# --- rows that are found through others -------------------------------------------------------------------

TAGS, MARKS = Name("public", "tags"), Name("public", "marks")
TAGS_RELATION = catalogues.relation(TAGS, column("id"), column("note_id"), column("kind", "text"))
THROUGH = Belonging("tagged", ByParent(("note_id",), NOTES, ("id",), ()), Delete(), "own")
TAGS_TABLE = Table(TAGS, "p", "r", frozenset(), frozenset({"id", "kind"}), {}, (THROUGH,))


def waits_for(table: Name, data_map: DataMap, *references: Reference) -> list[str]:
    """The tables, and where of a role, whose rows keep those of ``table`` that are due."""
    columns = {**catalogues.USERS_RELATION.columns, "seen": column("seen", ZONED)}
    users = replace(catalogues.USERS_RELATION, columns=columns)
    relations = {
        **with_at().relations,
        USERS: users,
        TAGS: TAGS_RELATION,
        MARKS: replace(TAGS_RELATION, name=MARKS),
    }
    known = with_declared(data_map, Catalogue(relations, references))
    asked = DueRows(data_map, known, NOW).referring(table)
    text = DueRows(data_map, known, NOW).referenced(table, "t").as_string()
    assert text.count("EXISTS") == len(asked)
    return sorted(f"{one.table}.{','.join(one.columns)}" for one in asked)


def test_rows_found_through_a_row_keep_it_without_a_foreign_key() -> None:
    dated = replace(NOTES_TABLE, term=YEAR)
    assert waits_for(NOTES, catalogues.data_map(dated, TAGS_TABLE)) == ["tags.note_id"]
    # One question is enough where a foreign key asks it, too.
    foreign = Reference("fk", TAGS, ("note_id",), NOTES, ("id",), "no action", False)
    assert waits_for(NOTES, catalogues.data_map(dated, TAGS_TABLE), foreign) == ["tags.note_id"]
    by_email = replace(AUTHOR, role="by_email", way=ByColumn(("body",), ("email",)))
    users = replace(USERS_TABLE, term=replace(YEAR, of="seen"))
    both = catalogues.data_map(users, replace(NOTES_TABLE, belongings=(AUTHOR, by_email)))
    assert waits_for(USERS, both) == ["notes.body", "notes.user_id"], "a row does not keep itself"
    others = replace(catalogues.data_map(), subject=replace(both.subject, kind="employee"))
    assert waits_for(USERS, replace(catalogues.data_map(users), others=(others,))) == ["notes.user_id"]


def test_a_side_table_is_kept_by_what_is_found_by_its_names() -> None:
    known_by = (KnownBy(TAGS, "kind"),)
    by_tag = replace(AUTHOR, way=ByColumn(("body",), ("tags.kind",)))
    tags = replace(TAGS_TABLE, term=replace(YEAR, of="id"))
    data_map = catalogues.data_map(tags, replace(NOTES_TABLE, belongings=(by_tag,)), known_by=known_by)
    assert waits_for(TAGS, data_map) == ["notes.body"]


def test_only_rows_in_the_role_refer() -> None:
    of_notes = replace(THROUGH, where={"kind": (Constant("Note"), Constant(None))})
    data_map = catalogues.data_map(
        replace(NOTES_TABLE, term=YEAR), replace(TAGS_TABLE, belongings=(of_notes,))
    )
    assert waits_for(NOTES, data_map) == ["tags.note_id"]
    known = with_declared(data_map, catalogues.catalogue(TAGS_RELATION, *with_at().relations.values()))
    text = DueRows(data_map, known, NOW).takes(NOTES, "t").as_string()
    assert """"t_"."kind" IN (CAST('Note' AS text)) OR "t_"."kind" IS NULL""" in text


def test_rows_that_become_anonymous_wait_for_what_would_be_lost() -> None:
    blank = replace(YEAR, values={"user_id": None, "body": None})
    data_map = catalogues.data_map(replace(NOTES_TABLE, term=blank), TAGS_TABLE)
    assert waits_for(NOTES, data_map) == [], "tags hold nothing personal"
    personal = replace(TAGS_TABLE, personal=frozenset({"kind"}), plain=frozenset({"id"}))
    assert waits_for(NOTES, catalogues.data_map(replace(NOTES_TABLE, term=blank), personal)) == [
        "tags.note_id"
    ]
    deep = replace(TAGS_TABLE, name=MARKS, personal=frozenset({"kind"}), plain=frozenset({"id"}))
    deep = replace(deep, belongings=(replace(THROUGH, way=ByParent(("note_id",), TAGS, ("id",), ())),))
    further = catalogues.data_map(replace(NOTES_TABLE, term=blank), TAGS_TABLE, deep)
    assert waits_for(NOTES, further) == ["tags.note_id"], "through tags, marks do"
    kept = replace(blank, values={"body": None})
    assert waits_for(NOTES, catalogues.data_map(replace(NOTES_TABLE, term=kept), personal)) == []
    # One that is anonymous itself by then needs nobody.
    dated = replace(personal, term=replace(YEAR, of="id", values={"kind": None}))
    after = catalogues.data_map(replace(NOTES_TABLE, term=YEAR), dated)
    known = with_declared(after, catalogues.catalogue(TAGS_RELATION, *with_at().relations.values()))
    text = DueRows(after, known, NOW).takes(NOTES, "t").as_string()
    assert 'CAST("t_"."kind" AS text) IS DISTINCT FROM' in text


def test_a_term_of_who_is_named_in_arrays_and_texts_is_refused() -> None:
    users = replace(USERS_TABLE, term=replace(YEAR, of="seen"))
    columns = {**catalogues.USERS_RELATION.columns, "seen": column("seen", ZONED)}
    known = catalogues.catalogue(replace(catalogues.USERS_RELATION, columns=columns))
    mentions = Belonging("mentioned", ByMention(("body",)), Redact("x"), "none")
    notes = replace(NOTES_TABLE, belongings=(AUTHOR, mentions))
    assert codes(catalogues.data_map(users, notes), known) == [("notes (mentioned)", "no-term")]
    blank = replace(YEAR, of="seen", values={"email": None})
    blanked = catalogues.data_map(replace(users, term=blank), notes, identifiers=("id", "email"))
    assert codes(blanked, known) == [("notes (mentioned)", "no-term")]
    assert codes(catalogues.data_map(notes), known) == []
